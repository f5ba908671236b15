package ops

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// maxLine bounds a line of a dump, in bytes: a leaf, and what it seals.
const maxLine = 64 << 20

// dumpReader reads the lines of a dump, strictly.
type dumpReader struct {
	header DumpHeader
	lines  *bufio.Scanner
	sum    hash.Hash
	n      uint64
	ended  bool
}

var errDumpCut = fault.New(fault.Corrupt, "the dump was cut short")

func newDumpReader(in io.Reader) (*dumpReader, error) {
	d := &dumpReader{lines: bufio.NewScanner(in), sum: sha256.New()}
	d.lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	d.lines.Split(wholeLines)
	ok, err := d.next(&d.header)
	switch {
	case err != nil || !ok:
		return nil, &fault.Error{Kind: fault.Invalid, Msg: "this is no dump that this version knows", Err: err}
	}
	return d, d.header.check()
}

// wholeLines splits into lines with their ends; a last one without is none.
func wholeLines(data []byte, _ bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	return 0, nil, nil
}

// next reads a line into v; false at the end of the file.
func (d *dumpReader) next(v any) (bool, error) {
	if !d.lines.Scan() {
		return false, d.lines.Err()
	}
	line := d.lines.Bytes()
	in := json.NewDecoder(bytes.NewReader(line))
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil {
		return false, &fault.Error{Kind: fault.Corrupt, Msg: fmt.Sprintf("line %d of the dump is damaged", d.n+1), Err: err}
	}
	again, err := encodeLine(v)
	if err != nil || !bytes.Equal(again, line) {
		return false, fault.New(fault.Corrupt, "line %d of the dump is not written as a dump is", d.n+1)
	}
	if l, ok := v.(*dumpLine); !ok || l.End == nil {
		d.n++
		d.sum.Write(line)
	}
	return true, nil
}

// line reads the next line that is not the last one; nil behind that, which is
// held against what was read.
func (d *dumpReader) line() (*dumpLine, error) {
	l := &dumpLine{}
	ok, err := d.next(l)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errDumpCut
	case l.End == nil:
		return l, l.check(d.n)
	case l.End.Lines != d.n || l.End.SHA256 != hex.EncodeToString(d.sum.Sum(nil)):
		return nil, fault.New(fault.Corrupt, "the dump is damaged: its lines are not those that were written")
	}
	if d.lines.Scan() || d.lines.Err() != nil {
		return nil, fault.New(fault.Corrupt, "something stands behind the end of the dump")
	}
	d.ended = true
	return nil, nil
}

// check refuses a line of several parts or none.
func (l *dumpLine) check(n uint64) error {
	parts := 0
	for _, is := range []bool{l.Leaf != nil, l.Outcome != nil, l.Checkpoint != nil, l.Cursor != nil} {
		if is {
			parts++
		}
	}
	if parts != 1 || l.Leaf == nil && (l.Ciphertexts != nil || l.Blind != nil) {
		return fault.New(fault.Corrupt, "line %d of the dump is none that a dump has", n)
	}
	return nil
}

// Dump is a dump that was read to its end and found whole.
type Dump struct {
	DumpHeader
	path   string
	end    eventlog.Head
	erased map[event.SubjectID]bool // that its records erase
}

// OpenDump reads a dump to its end: each line, the sum, the chain of its records
// and the tree that they give. It keeps nothing open.
func OpenDump(ctx context.Context, path string) (_ *Dump, err error) {
	defer func() {
		var told *fault.Error
		if errors.As(err, &told) {
			e := *told
			e.Msg = path + ": " + told.Msg
			err = &e
		}
	}()
	d := &Dump{path: path, erased: map[event.SubjectID]bool{}}
	frontier := []event.Hash(nil)
	var tree *eventlog.Growing
	err = d.each(ctx, func(h DumpHeader, l *dumpLine) error {
		if tree == nil {
			d.DumpHeader = h
			for _, f := range h.Frontier {
				frontier = append(frontier, event.Hash(f))
			}
			tree = eventlog.NewGrowing(h.After, frontier)
			d.end = eventlog.Head{Term: h.Term, Size: h.After}
		}
		if l == nil {
			return nil
		}
		return d.take(tree, l)
	})
	if err != nil {
		return nil, err
	}
	if d.end.Size != d.Size || d.Size > d.After && d.end.Last != event.Hash(d.Last) || tree.Root() != event.Hash(d.Root) {
		return nil, fault.New(fault.Corrupt, "the dump's records are not those that its first line names: it says %d, and ends with %d", d.Size, d.end.Size)
	}
	d.end.Last = event.Hash(d.Last)
	return d, nil
}

// take checks one line behind those before.
func (d *Dump) take(tree *eventlog.Growing, l *dumpLine) error {
	switch {
	case l.Leaf != nil:
		r, err := l.record()
		if err != nil {
			return err
		}
		if r.Position != d.end.Size+1 || d.end.Size > d.After && r.Prev != d.end.Last {
			return fault.New(fault.Corrupt, "record %d of the dump does not continue record %d: a piece is missing", r.Position, d.end.Size)
		}
		d.end.Size, d.end.Last, d.end.Time = r.Position, r.Hash(), r.Time
		tree.Add(d.end.Last)
		if s, ok := erasedBy(r); ok {
			d.erased[s] = true
		}
	case l.Outcome != nil && (l.Outcome.Last != d.end.Size || l.Outcome.First == 0 || l.Outcome.First > l.Outcome.Last),
		l.Checkpoint != nil && l.Checkpoint.Size != d.end.Size:
		return fault.New(fault.Corrupt, "the dump holds something that belongs elsewhere than behind record %d", d.end.Size)
	}
	return nil
}

// erasedBy returns whom a record erases.
func erasedBy(r *event.Record) (event.SubjectID, bool) {
	var e struct {
		Subject event.SubjectID `cbor:"1,keyasint"`
		Keys    []event.KeyID   `cbor:"2,keyasint,omitempty"`
	}
	if r.Type != "subject.erased" || event.Strict.Unmarshal(r.Public, &e) != nil {
		return event.SubjectID{}, false
	}
	return e.Subject, true
}

// each reads the file: the header with a nil line, then every line.
func (d *Dump) each(ctx context.Context, use func(DumpHeader, *dumpLine) error) error {
	f, err := os.Open(d.path)
	if err != nil {
		return &fault.Error{Kind: fault.NotFound, Msg: "the dump cannot be read", Err: err}
	}
	defer f.Close()
	in, err := newDumpReader(f)
	if err != nil {
		return err
	}
	if err := use(in.header, nil); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := in.line()
		if err != nil || l == nil {
			return err
		}
		if err := use(in.header, l); err != nil {
			return err
		}
	}
}

// dumps are dumps of which each goes on where the one before ends. They are an
// eventlog.Source, in which nobody is left who was erased in any of them.
type dumps []*Dump

// follow refuses pieces that do not follow each other, by name.
func (ds dumps) follow() error {
	for i := 1; i < len(ds); i++ {
		if err := ds[i].follows(ds[i-1].Log, ds[i-1].Size, event.Hash(ds[i-1].Root), ds[i-1].path); err != nil {
			return err
		}
	}
	return nil
}

// follows refuses a piece that does not go on where another ends.
func (d *Dump) follows(log event.LogID, size event.Position, root event.Hash, path string) error {
	switch {
	case d.Log != log:
		return fault.New(fault.Invalid, "%s is of log %s, %s of log %s: it is a foreign piece", d.path, d.Log, path, log)
	case d.After > size:
		return fault.New(fault.Invalid, "a piece is missing: %s ends with record %d, %s begins behind record %d", path, size, d.path, d.After)
	case d.After != size || event.Hash(d.Before) != root:
		return fault.New(fault.Invalid, "%s does not go on from %s: it was made since another backup (of %d records)", d.path, path, d.After)
	}
	return nil
}

func (ds dumps) last() *Dump { return ds[len(ds)-1] }

// Head implements eventlog.Source.
func (ds dumps) Head() eventlog.Head { return ds.last().end }

var errEnough = errors.New("enough")

// lines gives the lines of those dumps that reach a position.
func (ds dumps) lines(ctx context.Context, from event.Position, use func(*dumpLine) (more bool, err error)) error {
	for _, d := range ds {
		if d.Size < from {
			continue
		}
		err := d.each(ctx, func(_ DumpHeader, l *dumpLine) error {
			if l == nil {
				return nil
			}
			more, err := use(l)
			if err == nil && !more {
				err = errEnough
			}
			return err
		})
		if err == errEnough {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sequence makes a sequence of what use finds in lines.
func sequence[T any](ctx context.Context, ds dumps, from event.Position, find func(*dumpLine) (T, bool, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		err := ds.lines(ctx, from, func(l *dumpLine) (bool, error) {
			v, ok, err := find(l)
			if err != nil || !ok {
				return true, err
			}
			stopped = !yield(v, nil)
			return !stopped, nil
		})
		if err != nil && !stopped {
			var none T
			yield(none, err)
		}
	}
}

// Records implements eventlog.Source.
func (ds dumps) Records(ctx context.Context, from event.Position) iter.Seq2[*event.Record, error] {
	return sequence(ctx, ds, from, func(l *dumpLine) (*event.Record, bool, error) {
		if l.Leaf == nil {
			return nil, false, nil
		}
		r, err := l.record()
		if err != nil || r.Position < from {
			return nil, false, err
		}
		ds.forget(r)
		return r, true, nil
	})
}

// forget takes out of a record what is of somebody who was erased since.
func (ds dumps) forget(r *event.Record) {
	for _, d := range ds {
		for i, b := range r.Blocks {
			if d.erased[b.Subject] {
				r.Ciphertexts[i] = nil
			}
		}
		kept := r.Blind[:0]
		for _, t := range r.Blind {
			if !d.erased[t.Subject] {
				kept = append(kept, t)
			}
		}
		r.Blind = kept
	}
}

// Outcomes implements eventlog.Source.
func (ds dumps) Outcomes(ctx context.Context, from event.Position) iter.Seq2[eventlog.Outcome, error] {
	return sequence(ctx, ds, from, func(l *dumpLine) (eventlog.Outcome, bool, error) {
		o := l.Outcome
		if o == nil || o.Last < from {
			return eventlog.Outcome{}, false, nil
		}
		return eventlog.Outcome{Actor: event.Actor{Kind: o.Kind, ID: o.Actor}, Command: o.Command, Digest: event.Hash(o.Digest), First: o.First, Last: o.Last}, true, nil
	})
}

// Checkpoints implements eventlog.Source.
func (ds dumps) Checkpoints(ctx context.Context, from event.Position) iter.Seq2[eventlog.Checkpoint, error] {
	return sequence(ctx, ds, from, func(l *dumpLine) (eventlog.Checkpoint, bool, error) {
		if l.Checkpoint == nil || l.Checkpoint.Size < from {
			return eventlog.Checkpoint{}, false, nil
		}
		return eventlog.Checkpoint{Size: l.Checkpoint.Size, Note: []byte(l.Checkpoint.Note)}, true, nil
	})
}

// Cursors implements eventlog.Source; those of the last dump count.
func (ds dumps) Cursors(ctx context.Context) iter.Seq2[eventlog.Cursor, error] {
	return sequence(ctx, ds[len(ds)-1:], 0, func(l *dumpLine) (eventlog.Cursor, bool, error) {
		if l.Cursor == nil {
			return eventlog.Cursor{}, false, nil
		}
		return eventlog.Cursor{Name: l.Cursor.Name, Value: l.Cursor.Value}, true, nil
	})
}
