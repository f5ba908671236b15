package pebblelog

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Erase implements eventlog.Store. Deleting a key in a log-structured store
// only hides it, so what held the bytes is written anew without them: first
// out of memory and the write-ahead log into tables, then the tables of the
// ranges concerned into others, down to the lowest level; then the manifest,
// which names the first and last key of each table that ever was. It returns
// when none of the files that held them exists any more. Snapshots that were
// made before keep theirs.
//
// A reader that stays in the middle of a scan keeps files alive; Erase waits
// for it until the context ends and may then be repeated.
func (s *Store) Erase(ctx context.Context, log event.LogID, subject event.SubjectID, progress func(done int)) error {
	const op = "erase a subject from the log store"
	head, err := s.Head(ctx, log)
	if err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.users.leave()
	s.erasing.Lock()
	defer s.erasing.Unlock()
	positions, err := s.positions(ctx, log, subject, head.Size)
	if err != nil || len(positions) == 0 {
		return err
	}
	var ranges ranges
	// What is in memory goes into tables first: a deletion that meets its key
	// there would be kept without it.
	if err := s.flush(); err != nil {
		return fault.Wrap(op, err)
	}
	for done, p := range positions {
		if err := s.eraseRecord(ctx, log, subject, p, &ranges); err != nil {
			return fault.Wrap(op, err)
		}
		if progress != nil {
			progress(done + 1)
		}
	}
	return fault.Wrap(op, s.purge(ctx, ranges.merged()))
}

func (s *Store) positions(ctx context.Context, log event.LogID, subject event.SubjectID, upto event.Position) ([]event.Position, error) {
	var out []event.Position
	for p, err := range s.Postings(ctx, log, event.SubjectTerm(subject), 0, upto, false) {
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// eraseRecord deletes what one record has of a subject beside its leaf, and
// notes where it stood: also if an attempt before this one deleted it already.
func (s *Store) eraseRecord(ctx context.Context, log event.LogID, subject event.SubjectID, p event.Position, gone *ranges) error {
	var r *event.Record
	for rec, err := range s.Records(ctx, log, p, p) {
		if err != nil {
			return err
		}
		r = rec
	}
	before := r.Terms()
	r.Blind = slices.DeleteFunc(slices.Clone(r.Blind), func(t event.BlindTag) bool { return t.Subject == subject })
	after := r.Terms()
	var k key
	var keys [][]byte
	for i := range r.Blocks {
		if r.Blocks[i].Subject == subject {
			keys = append(keys, bytes.Clone(k.block(log, p, i)))
		}
	}
	for _, t := range before {
		if _, stays := slices.BinarySearch(after, t); !stays {
			keys = append(keys, bytes.Clone(k.posting(log, t, p)))
		}
	}
	for _, k := range keys {
		gone.add(k)
	}
	return s.write("delete", func(b *pebble.Batch) {
		for _, k := range keys {
			_ = b.Delete(k, nil) // a batch that is not indexed only grows
		}
	})
}

func (s *Store) flush() error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.awaitDisk(s.db.Flush)
}

// purge writes anew whatever holds keys of the ranges, and waits until the
// files that held them are gone.
func (s *Store) purge(ctx context.Context, ranges []keyRange) error {
	logs, err := s.files(".log")
	if err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	for _, r := range ranges {
		err := s.await(func() error { return s.db.Compact(ctx, r.first, append(bytes.Clone(r.last), 0), false) })
		if dead := s.health.err(); dead != nil {
			return dead
		}
		if err != nil {
			return unfinished(ctx, err)
		}
	}
	if err := s.rotateManifest(ctx); err != nil {
		return err
	}
	tables, err := s.files(".sst")
	if err != nil {
		return err
	}
	return s.awaitGone(ctx, logs, tables)
}

// unfinished is what is said when an erasure must be repeated.
func unfinished(ctx context.Context, err error) error {
	f := &fault.Error{Kind: fault.Unavailable, Msg: "the bytes are not yet gone from all files; erase again", Err: err}
	if ctx.Err() == nil {
		f.Msg += " when the disk is well"
	}
	return f
}

// rotateManifest makes Pebble begin a new manifest. A manifest is rotated when it has seen more changes than
// there are tables, so a few empty ones are made.
func (s *Store) rotateManifest(ctx context.Context) error {
	before := s.names.Load()
	scratch := []byte{spaceCursor} // sorts before every cursor; never read
	for s.names.Load() == before {
		if ctx.Err() != nil {
			return unfinished(ctx, ctx.Err())
		}
		if err := s.write("rotate the manifest", func(b *pebble.Batch) { put(b, scratch, nil) }); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	return nil
}

// removeManifests deletes the manifests before the current one. Pebble would
// keep the last of them.
func (s *Store) removeManifests() error {
	current := *s.names.Load()
	names, err := s.files("MANIFEST-")
	if err != nil {
		return err
	}
	for _, name := range names {
		if older(name, current) {
			_ = s.fs.Remove(s.fs.PathJoin(s.dir, name)) // looked for below
		}
	}
	return nil
}

// awaitGone waits until none of the write-ahead logs exists, and of the tables
// only those that are in use.
func (s *Store) awaitGone(ctx context.Context, logs, tables []string) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		s.dropLookups() // they hold files too
		if err := s.removeManifests(); err != nil {
			return err
		}
		left, err := s.left(logs, tables)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return unfinished(ctx, fmt.Errorf("still there: %s", strings.Join(left, ", ")))
		}
	}
}

func (s *Store) left(logs, tables []string) ([]string, error) {
	var levels [][]pebble.SSTableInfo
	err := s.awaitDisk(func() (err error) { levels, err = s.db.SSTables(); return err })
	if err != nil {
		return nil, err
	}
	live := map[string]bool{}
	for _, level := range levels {
		for _, t := range level {
			live[fmt.Sprintf("%s.sst", t.BackingSSTNum)] = true
		}
	}
	there, err := s.files("")
	if err != nil {
		return nil, err
	}
	manifest := *s.names.Load()
	return slices.DeleteFunc(there, func(name string) bool {
		return !(slices.Contains(logs, name) || slices.Contains(tables, name) && !live[name] || strings.HasPrefix(name, "MANIFEST-") && older(name, manifest))
	}), nil
}

// older compares the names of two manifests, whose numbers rise.
func older(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }

// files lists the directory's files whose names contain part.
func (s *Store) files(part string) ([]string, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, diskFault(err)
	}
	return slices.DeleteFunc(names, func(n string) bool { return !strings.Contains(n, part) }), nil
}

// keyRange is a range of keys, both ends included.
type keyRange struct{ first, last []byte }

// ranges collects keys and joins those that are near, so that one compaction
// serves them.
type ranges struct{ keys [][]byte }

func (r *ranges) add(k []byte) { r.keys = append(r.keys, k) }

// near is how many bytes at the end of two keys may differ for them to be
// compacted together: 65,536 positions of records.
const near = 4

func (r *ranges) merged() []keyRange {
	slices.SortFunc(r.keys, bytes.Compare)
	var out []keyRange
	for _, k := range r.keys {
		if n := len(out) - 1; n >= 0 && len(k) == len(out[n].first) && bytes.Equal(k[:len(k)-near], out[n].first[:len(k)-near]) {
			out[n].last = k
			continue
		}
		out = append(out, keyRange{k, k})
	}
	return out
}
