package ops

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"iter"
	"math/bits"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// A dump is all that a log is, or what came after an earlier one, independent of
// the engine: lines of JSON. The first is the header. Each record is followed by
// the outcomes of the commands that ended with it and by the checkpoint of its
// size; then come the cursors, and last a line with the sum of all before. Only
// the very bytes that a writer writes are accepted, so that every damage shows.
const dumpFormat = "muniment.dev/dump/v1"

// DumpHeader is the first line of a dump.
type DumpHeader struct {
	Format   string         `json:"format"`
	Made     time.Time      `json:"made"` // by the operator's clock
	Log      event.LogID    `json:"log"`
	After    event.Position `json:"after"`      // the records up to here are in the dump before; 0: there is none
	Before   tlog.Hash      `json:"after_root"` // of those
	Frontier []tlog.Hash    `json:"after_frontier,omitempty"`
	Size     event.Position `json:"size"`
	Root     tlog.Hash      `json:"root"`
	Last     tlog.Hash      `json:"last"` // leaf hash of the last record
	Term     uint64         `json:"term"`
	Newest   string         `json:"checkpoint,omitempty"` // the newest signed one
}

// dumpLine is every other line; exactly one of its parts is set.
type dumpLine struct {
	Leaf        []byte          `json:"leaf,omitempty"`
	Ciphertexts [][]byte        `json:"ciphertexts,omitempty"` // null where erased
	Blind       []dumpBlind     `json:"blind,omitempty"`
	Outcome     *dumpOutcome    `json:"outcome,omitempty"`
	Checkpoint  *dumpCheckpoint `json:"checkpoint,omitempty"`
	Cursor      *dumpCursor     `json:"cursor,omitempty"`
	End         *dumpEnd        `json:"end,omitempty"`
}

type dumpBlind struct {
	Subject event.SubjectID `json:"subject"`
	Name    string          `json:"name"`
	N       int             `json:"n"`
	Version uint32          `json:"version"`
	Value   tlog.Hash       `json:"value"`
}

type dumpOutcome struct {
	Kind    string         `json:"kind"`
	Actor   event.ID       `json:"actor"`
	Command event.ID       `json:"command"`
	Digest  tlog.Hash      `json:"digest"`
	First   event.Position `json:"first"`
	Last    event.Position `json:"last"`
}

type dumpCheckpoint struct {
	Size event.Position `json:"size"`
	Note string         `json:"note"`
}

type dumpCursor struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

type dumpEnd struct {
	Lines  uint64 `json:"lines"` // all others
	SHA256 string `json:"sha256"`
}

// dumper writes a dump.
type dumper struct {
	out   *bufio.Writer
	lines uint64
	sum   io.Writer
}

func encodeLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

func (d *dumper) put(v any) error {
	b, err := encodeLine(v)
	if err != nil {
		return err
	}
	d.lines++
	d.sum.Write(b)
	_, err = d.out.Write(b)
	return writeFault(err)
}

// WriteDump writes what came after a position of a log, all of it for 0, up to
// the source's end. before is the frontier at that position.
func WriteDump(ctx context.Context, out io.Writer, log event.LogID, src eventlog.Source, after event.Position, before []event.Hash, progress func(eventlog.CopyProgress)) (DumpHeader, error) {
	head, sum := src.Head(), sha256.New()
	h := DumpHeader{Format: dumpFormat, Made: time.Now().UTC(), Log: log, After: after, Before: tlog.Hash(eventlog.NewGrowing(after, before).Root()),
		Size: head.Size, Root: tlog.Hash(head.Root()), Last: tlog.Hash(head.Last), Term: head.Term}
	for _, f := range before {
		h.Frontier = append(h.Frontier, tlog.Hash(f))
	}
	for c, err := range src.Checkpoints(ctx, after+1) {
		if err != nil {
			return h, err
		}
		h.Newest = string(c.Note)
	}
	d := &dumper{out: bufio.NewWriterSize(out, 1<<16), sum: sum}
	if err := d.put(h); err != nil {
		return h, err
	}
	if err := d.records(ctx, src, after, progress); err != nil {
		return h, err
	}
	for c, err := range src.Cursors(ctx) {
		if err == nil {
			err = d.put(dumpLine{Cursor: &dumpCursor{c.Name, c.Value}})
		}
		if err != nil {
			return h, err
		}
	}
	b, err := encodeLine(dumpLine{End: &dumpEnd{d.lines, hex.EncodeToString(sum.Sum(nil))}})
	if err == nil {
		_, err = d.out.Write(b)
	}
	if err == nil {
		err = d.out.Flush()
	}
	return h, writeFault(err)
}

// records writes the records, each with what goes with it.
func (d *dumper) records(ctx context.Context, src eventlog.Source, after event.Position, progress func(eventlog.CopyProgress)) error {
	nextOutcome, stop := iter.Pull2(src.Outcomes(ctx, after+1))
	defer stop()
	nextCheckpoint, stop2 := iter.Pull2(src.Checkpoints(ctx, after+1))
	defer stop2()
	o, err, outcomes := nextOutcome()
	c, err2, checkpoints := nextCheckpoint()
	size := src.Head().Size
	if after >= size {
		return nil
	}
	for r, bad := range src.Records(ctx, after+1) {
		for _, err := range []error{bad, ctx.Err(), err, err2} {
			if err != nil {
				return err
			}
		}
		if err := d.put(lineOf(r)); err != nil {
			return err
		}
		for ; outcomes && err == nil && o.Last <= r.Position; o, err, outcomes = nextOutcome() {
			if err := d.put(dumpLine{Outcome: &dumpOutcome{o.Actor.Kind, o.Actor.ID, o.Command, tlog.Hash(o.Digest), o.First, o.Last}}); err != nil {
				return err
			}
		}
		for ; checkpoints && err2 == nil && c.Size <= r.Position; c, err2, checkpoints = nextCheckpoint() {
			if err := d.put(dumpLine{Checkpoint: &dumpCheckpoint{c.Size, string(c.Note)}}); err != nil {
				return err
			}
		}
		if progress != nil && (r.Position%4096 == 0 || r.Position == size) {
			progress(eventlog.CopyProgress{Done: r.Position, Of: size})
		}
	}
	return nil
}

func lineOf(r *event.Record) dumpLine {
	l := dumpLine{Leaf: r.Leaf, Ciphertexts: r.Ciphertexts}
	for _, t := range r.Blind {
		l.Blind = append(l.Blind, dumpBlind{t.Subject, t.Name, t.N, t.Version, tlog.Hash(t.Value)})
	}
	return l
}

// record reads a record's line, of which the leaf must name what is beside it.
func (l *dumpLine) record() (*event.Record, error) {
	r, err := event.ParseLeaf(l.Leaf)
	if err != nil {
		return nil, err
	}
	if len(l.Ciphertexts) != len(r.Blocks) {
		return nil, fault.New(fault.Corrupt, "record %d has another number of ciphertexts than of sealed blocks", r.Position)
	}
	r.Ciphertexts = l.Ciphertexts
	sealed := map[event.SubjectID]bool{}
	for i, b := range r.Blocks {
		sealed[b.Subject] = true
		if c := r.Ciphertexts[i]; c != nil && sha256.Sum256(c) != b.Digest {
			return nil, fault.New(fault.Corrupt, "a ciphertext of record %d is not the one that its leaf names", r.Position)
		}
	}
	for _, t := range l.Blind {
		if !sealed[t.Subject] {
			return nil, fault.New(fault.Corrupt, "a blind tag of record %d is of somebody of whom it seals nothing", r.Position)
		}
		r.Blind = append(r.Blind, event.BlindTag{Subject: t.Subject, Name: t.Name, N: t.N, Version: t.Version, Value: event.Hash(t.Value)})
	}
	return r, nil
}

// check refuses a header that no writer writes.
func (h *DumpHeader) check() error {
	frontier := make([]event.Hash, len(h.Frontier))
	for i, f := range h.Frontier {
		frontier[i] = event.Hash(f)
	}
	switch {
	case h.Format != dumpFormat:
		return fault.New(fault.Invalid, "this is no dump that this version knows")
	case h.Log.IsZero() || h.After > h.Size || h.Size > 1<<53-1:
		return fault.New(fault.Corrupt, "the dump's first line is damaged")
	case len(frontier) != bits.OnesCount64(uint64(h.After)) || event.Hash(h.Before) != eventlog.NewGrowing(h.After, frontier).Root():
		return fault.New(fault.Corrupt, "the dump's first line does not give the tree that it goes on from")
	}
	return nil
}
