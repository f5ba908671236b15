package ops

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ledger/verify"
)

// altered is a store in memory in which something was changed behind the log's
// back, as far as it shows to whoever reads through the engine.
type altered struct {
	engine
	at         event.Position // the record concerned
	leaf       []byte         // instead of its leaf, if not nil
	change     func(*event.Record)
	postings   func(term [16]byte, p event.Position) [16]byte
	checkpoint func(i int, note []byte) []byte
}

// engine is what verifying asks of a store.
type engine interface {
	eventlog.Store
	leafReader
	lister
}

func (s *altered) Leaf(ctx context.Context, log event.LogID, p event.Position) ([]byte, bool, error) {
	if p == s.at && s.leaf != nil {
		return s.leaf, true, nil
	}
	return s.engine.Leaf(ctx, log, p)
}

func (s *altered) Records(ctx context.Context, log event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		for r, err := range s.engine.Records(ctx, log, from, to) {
			if err == nil && r.Position == s.at {
				r, err = s.alter(r)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// alter reads the changed record as an engine does.
func (s *altered) alter(r *event.Record) (*event.Record, error) {
	c := *r
	c.Ciphertexts, c.Blind = slices.Clone(r.Ciphertexts), slices.Clone(r.Blind)
	if s.leaf != nil {
		p, err := event.ParseLeaf(s.leaf)
		if err != nil {
			return nil, err
		}
		if p.Position != r.Position || p.Log != r.Log || len(p.Blocks) != len(r.Blocks) {
			return nil, fault.New(fault.Corrupt, "position %d holds another record", r.Position)
		}
		p.Ciphertexts, p.Blind = c.Ciphertexts, c.Blind
		c = *p
	}
	if s.change != nil {
		s.change(&c)
	}
	return &c, nil
}

func (s *altered) Indexed(ctx context.Context, log event.LogID, yield func([16]byte, event.Position) bool) error {
	return s.engine.Indexed(ctx, log, func(term [16]byte, p event.Position) bool {
		if s.postings != nil {
			term = s.postings(term, p)
		}
		return yield(term, p)
	})
}

func (s *altered) Checkpoints(ctx context.Context, log event.LogID, from event.Position) iter.Seq2[eventlog.Checkpoint, error] {
	return func(yield func(eventlog.Checkpoint, error) bool) {
		i := 0
		for c, err := range s.engine.Checkpoints(ctx, log, from) {
			if s.checkpoint != nil {
				c.Note = s.checkpoint(i, c.Note)
			}
			i++
			if !yield(c, err) {
				return
			}
		}
	}
}

// stride is how many bits are left out between two that are tried: none in
// the long version.
func stride(quick int) int {
	if os.Getenv("MUNIMENT_SOAK") != "" {
		return 1
	}
	return quick
}

// eachBit calls try, on all processors, for every stride-th bit of b with a
// copy in which it is flipped. try says what is wrong with the outcome, or "".
func eachBit(t *testing.T, b []byte, stride, offset int, try func(flipped []byte) string) (tried int) {
	t.Helper()
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range jobs {
				flipped := bytes.Clone(b)
				flipped[i/8] ^= 1 << (i % 8)
				if wrong := try(flipped); wrong != "" {
					t.Errorf("bit %d: %s", i, wrong)
				}
			}
		})
	}
	for i := offset % stride; i < 8*len(b) && !t.Failed(); i += stride {
		jobs <- i
		tried++
	}
	close(jobs)
	wg.Wait()
	return tried
}

// names reports whether a finding names the record, or a range of two of which
// it is one.
func names(r *Report, p event.Position, codes ...verify.Code) bool {
	return slices.ContainsFunc(r.Findings, func(f verify.Finding) bool {
		if len(codes) > 0 && !slices.Contains(codes, f.Code) {
			return false
		}
		return f.Position == uint64(p) || f.First != 0 && f.First <= uint64(p) && uint64(p) <= f.Last && f.Last-f.First <= 1
	})
}

// Every bit of every leaf of a log of 100 records: found, and the record named.
func TestTamperedLeaf(t *testing.T) {
	w := inMemory(t, 100)
	o := VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg}
	for r := range recordsOf(t, w) {
		t.Run(fmt.Sprintf("record %d", r.Position), func(t *testing.T) {
			tried := eachBit(t, r.Leaf, stride(211), int(r.Position), func(leaf []byte) string {
				rep, err := Verify(t.Context(), &altered{engine: w.store.(engine), at: r.Position, leaf: leaf}, o)
				if err != nil || rep.Verdict != verify.Failed || !names(rep, r.Position) || rep.FirstBad == 0 || rep.FirstBad > uint64(r.Position) {
					return fmt.Sprintf("leaf of record %d: %v\n%s", r.Position, err, text(rep))
				}
				return ""
			})
			t.Logf("%d bits", tried)
		})
	}
}

func recordsOf(t *testing.T, w *world) iter.Seq[*event.Record] {
	return func(yield func(*event.Record) bool) {
		for r, err := range w.store.Records(t.Context(), w.log.ID(), 1, w.log.Mark().Size) {
			must(t, err)
			if !yield(r) {
				return
			}
		}
	}
}

// Every bit of every ciphertext: the record is named, with keys and without.
func TestTamperedCiphertext(t *testing.T) {
	w := inMemory(t, 100)
	o := VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg}
	tried := 0
	for r := range recordsOf(t, w) {
		for i, ct := range r.Ciphertexts {
			tried += eachBit(t, ct, stride(97), int(r.Position), func(ct []byte) string {
				s := &altered{engine: w.store.(engine), at: r.Position, change: func(r *event.Record) { r.Ciphertexts[i] = ct }}
				rep, err := Verify(t.Context(), s, o)
				if err != nil || rep.Verdict != verify.Failed || !names(rep, r.Position, verify.CiphertextDigest) || rep.FirstBad != uint64(r.Position) {
					return fmt.Sprintf("ciphertext of record %d: %v\n%s", r.Position, err, text(rep))
				}
				return ""
			})
		}
	}
	t.Logf("%d bits", tried)
}

// Every bit of every blind tag: named by the index alone if it was changed in
// one place, and by the commitment, with keys, if it was changed in both.
func TestTamperedBlindTag(t *testing.T) {
	w := inMemory(t, 100)
	plain := VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg}
	open := plain
	open.Keys = w.keys
	tried := 0
	for r := range recordsOf(t, w) {
		for i, tag := range r.Blind {
			was := event.BlindTerm(tag.Name, tag.Version, tag.Value).Digest()
			tried += eachBit(t, tag.Value[:], stride(31), int(r.Position), func(value []byte) string {
				s := &altered{engine: w.store.(engine), at: r.Position, change: func(r *event.Record) { r.Blind[i].Value = event.Hash(value) }}
				rep, err := Verify(t.Context(), s, plain)
				if err != nil || rep.Verdict != verify.Failed || !names(rep, r.Position, IndexMissing) || !names(rep, r.Position, IndexExtra) || rep.FirstBad != uint64(r.Position) {
					return fmt.Sprintf("blind tag of record %d: %v\n%s", r.Position, err, text(rep))
				}
				s.postings = func(term [16]byte, p event.Position) [16]byte {
					if term == was && p == r.Position {
						return event.BlindTerm(tag.Name, tag.Version, event.Hash(value)).Digest()
					}
					return term
				}
				rep, err = Verify(t.Context(), s, open)
				if err != nil || rep.Verdict != verify.Failed || !names(rep, r.Position, verify.CommitmentDiffer) {
					return fmt.Sprintf("blind tag of record %d, in the index as well: %v\n%s", r.Position, err, text(rep))
				}
				return ""
			})
		}
	}
	t.Logf("%d bits", tried)
}

// Every bit of every stored checkpoint: the checkpoint is named.
func TestTamperedCheckpoint(t *testing.T) {
	w := inMemory(t, 100)
	o := VerifyOptions{Key: w.signer.VerifierKey(), Register: w.reg}
	var notes [][]byte
	for c, err := range w.store.Checkpoints(t.Context(), w.log.ID(), 0) {
		must(t, err)
		notes = append(notes, c.Note)
	}
	if len(notes) < 5 {
		t.Fatalf("only %d checkpoints", len(notes))
	}
	tried := 0
	for i, n := range notes {
		tried += eachBit(t, n, stride(29), i, func(flipped []byte) string {
			s := &altered{engine: w.store.(engine), checkpoint: func(j int, note []byte) []byte {
				if i == j {
					return flipped
				}
				return note
			}}
			rep, err := Verify(t.Context(), s, o)
			named := rep != nil && slices.ContainsFunc(rep.Findings, func(f verify.Finding) bool { return f.Checkpoint == uint64(i+1) })
			if err != nil || rep.Verdict != verify.Failed || !named {
				return fmt.Sprintf("checkpoint %d: %v\n%s", i+1, err, text(rep))
			}
			return ""
		})
	}
	t.Logf("%d bits", tried)
}
