package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ledger/verify"
	"muniment.dev/ops"
)

// VerifyReport is how fast a log is verified, beside what one core can hash
// and decode of the same records when they lie in memory.
type VerifyReport struct {
	Records   uint64  `json:"records"`
	Floor     float64 `json:"hash_and_decode_records_per_second"` // one core: leaf hash, digests, decoding
	Directory float64 `json:"directory_records_per_second"`       // muniment verify: from disk, and the index too
	Memory    float64 `json:"memory_records_per_second"`          // the stand-alone verifier on records in memory
	Ratio     float64 `json:"ratio"`                              // of Directory to Floor in the same round
	Lowest    float64 `json:"ratio_lowest"`
	Highest   float64 `json:"ratio_highest"`
	CPURatio  float64 `json:"cpu_ratio"`    // of processor time per record, Floor's to Directory's; 0 where it is not known
	InMemory  float64 `json:"memory_ratio"` // of Memory to Floor
}

// verify verifies a log in its directory and in memory.
func (b *bench) verify(ctx context.Context) error {
	in, err := b.prepare(ctx, "verify", b.Records)
	if err != nil {
		return err
	}
	all, err := in.load(ctx)
	if err := fault.Wrap("read the log", err); err != nil {
		in.close()
		return err
	}
	if err := in.close(); err != nil { // with a checkpoint of all of it
		return err
	}
	n := float64(len(all.entries))
	var floors, dirs, memories, ratios, cpus, memoryRatios []float64
	for round := range b.Rounds + 1 {
		floor, floorCPU, err := timing(all.hashAndDecode)
		if err != nil {
			return err
		}
		dir, dirCPU, err := timing(func() error { return in.verifyDirectory(ctx) })
		if err != nil {
			return err
		}
		memory, _, err := timing(func() error { return all.verify(ctx) })
		if err != nil {
			return err
		}
		if round == 0 { // for warming up
			continue
		}
		b.say("verify, round %d of %d: hash and decode %.0f/s, directory %.0f/s, in memory %.0f/s", round, b.Rounds, n/floor, n/dir, n/memory)
		floors, dirs, memories = append(floors, n/floor), append(dirs, n/dir), append(memories, n/memory)
		if dirCPU > 0 {
			cpus = append(cpus, floorCPU.Seconds()/dirCPU.Seconds())
		}
		ratios, memoryRatios = append(ratios, floor/dir), append(memoryRatios, floor/memory)
	}
	b.report.Verify = &VerifyReport{Records: uint64(n), Floor: median(floors), Directory: median(dirs), Memory: median(memories),
		Ratio: median(ratios), Lowest: slices.Min(ratios), Highest: slices.Max(ratios), InMemory: median(memoryRatios)}
	if len(cpus) > 0 {
		b.report.Verify.CPURatio = median(cpus)
	}
	return nil
}

// timing runs f and returns how many seconds it took, and how much processor
// time.
func timing(f func() error) (seconds float64, cpu time.Duration, err error) {
	start, before := time.Now(), processTime()
	err = f()
	return time.Since(start).Seconds(), processTime() - before, err
}

// loaded is a log in memory, as the stand-alone verifier takes it. It is a
// verify.Source without checkpoints.
type loaded struct{ entries []verify.Entry }

func (in *instance) load(ctx context.Context) (*loaded, error) {
	l := &loaded{}
	for r, err := range in.log.Read(ctx, event.Everything(), 0) {
		if err != nil {
			return nil, err
		}
		e := verify.Entry{Position: uint64(r.Position), Leaf: r.Leaf, Ciphertexts: r.Ciphertexts}
		for _, t := range r.Blind {
			e.Blind = append(e.Blind, verify.BlindTag{Subject: verify.ID(t.Subject.ID), Name: t.Name, N: uint32(t.N), Version: uint64(t.Version), Value: t.Value})
		}
		l.entries = append(l.entries, e)
	}
	return l, nil
}

// Entries implements verify.Source.
func (l *loaded) Entries(_ context.Context, from uint64) iter.Seq2[verify.Entry, error] {
	return func(yield func(verify.Entry, error) bool) {
		for _, e := range l.entries[from-1:] {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Checkpoints implements verify.Source.
func (l *loaded) Checkpoints(context.Context) iter.Seq2[[]byte, error] {
	return func(func([]byte, error) bool) {}
}

// hashAndDecode is the least that any verifier must do, on one core: hash every
// leaf, decode it, and compare every ciphertext's digest.
func (l *loaded) hashAndDecode() error {
	var prev [32]byte
	for _, e := range l.entries {
		leaf, err := verify.ParseLeaf(e.Leaf)
		if err != nil {
			return err
		}
		if leaf.Prev != prev {
			return fault.New(fault.Internal, "record %d does not follow the one before", e.Position)
		}
		prev = verify.LeafHash(e.Leaf)
		for i, c := range e.Ciphertexts {
			if sha256.Sum256(c) != leaf.Blocks[i].Digest {
				return fault.New(fault.Internal, "a ciphertext of record %d is not the one that it names", e.Position)
			}
		}
	}
	return nil
}

// verify runs the stand-alone verifier on the records.
func (l *loaded) verify(ctx context.Context) error {
	r, err := verify.Log(ctx, l, verify.Options{Blind: true, EventIDs: true})
	if err == nil && r.Verdict != verify.Consistent {
		err = fault.New(fault.Internal, "a sound log was found to be %s", r.Verdict)
	}
	return err
}

// verifyDirectory is `muniment verify DIR --key KEY`.
func (in *instance) verifyDirectory(ctx context.Context) error {
	r, err := ops.VerifyDir(ctx, in.layout, ops.VerifyOptions{Key: in.verifier})
	if err == nil && r.Verdict != verify.Verified {
		err = fault.New(fault.Internal, "a sound log was found to be %s", r.Verdict)
	}
	return err
}

func (r *VerifyReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nVerify, %d records\n\n", r.Records)
	fmt.Fprintf(w, "  hash and decode, one core, in memory    %9.0f records/s\n", r.Floor)
	fmt.Fprintf(w, "  muniment verify DIR --key, from disk    %9.0f records/s   ratio %.2f (%.2f to %.2f), wanted >= %.1f; CPU ratio %.2f\n", r.Directory, r.Ratio, r.Lowest, r.Highest, verifyTarget, r.CPURatio)
	fmt.Fprintf(w, "  the stand-alone verifier, in memory     %9.0f records/s   ratio %.2f\n", r.Memory, r.InMemory)
}
