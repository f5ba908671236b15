package ops

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// lister is what an engine offers so that what it keeps beside the records can
// be checked both ways: all of it, in any order, until yield returns false.
type lister interface {
	Indexed(ctx context.Context, log event.LogID, yield func(term [16]byte, p event.Position) bool) error
	Events(ctx context.Context, log event.LogID, yield func(id event.ID, p event.Position) bool) error
	Streams(ctx context.Context, log event.LogID, yield func(event.Stream, eventlog.StreamHead) bool) error
	Subjects(ctx context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error
	Keys(ctx context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error
}

// listed turns damage that keeps a list from being read into a finding.
func (a *audit) listed(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && isDamage(err):
		a.add(StoreDamaged, 0, "%s cannot be read to the end: %v", what, err)
		return nil
	}
	return err
}

func (a *audit) checkStreams(ctx context.Context, l lister) error {
	seen := 0
	err := l.Streams(ctx, a.log, func(s event.Stream, got eventlog.StreamHead) bool {
		want, ok := a.streams[s]
		switch {
		case !ok:
			a.add(StoreStream, 0, "the store knows stream %s, of which there is no record", s)
			return true
		case got != want:
			a.add(StoreStream, 0, "stream %s is at version %d by its records; the store says version %d, or another last record", s, want.Version, got.Version)
		}
		seen++
		return true
	})
	if err == nil && seen < len(a.streams) {
		a.add(StoreStream, 0, "of %s the store does not know %d", count(len(a.streams), "stream", "streams"), len(a.streams)-seen)
	}
	return a.listed(ctx, "the list of streams", err)
}

func (a *audit) checkKeys(ctx context.Context, l lister) error {
	subjects, keys := 0, 0
	err := l.Subjects(ctx, a.log, func(got eventlog.KeyUse) bool {
		if want, ok := a.keys[got.Subject]; !ok || got != want {
			a.add(StoreKey, 0, "the store says of subject %s: key %s, erased %t; its records say otherwise", got.Subject, got.Key, got.Erased)
		}
		subjects++
		return true
	})
	if err := a.listed(ctx, "the list of subjects", err); err != nil {
		return err
	}
	err = l.Keys(ctx, a.log, func(got eventlog.KeyUse) bool {
		if want, ok := a.keys[got.Subject]; !ok || got != want {
			a.add(StoreKey, 0, "the store says of key %s: subject %s, erased %t; the records say otherwise", got.Key, got.Subject, got.Erased)
		}
		keys++
		return true
	})
	keyed := 0
	for _, use := range a.keys {
		if !use.Key.IsZero() {
			keyed++
		}
	}
	if subjects < len(a.keys) || keys < keyed {
		a.add(StoreKey, 0, "the store knows %d of %s, and %d of %s", subjects, count(len(a.keys), "subject", "subjects"), keys, count(keyed, "key", "keys"))
	}
	return a.listed(ctx, "the list of keys", err)
}

// checkEvents compares sums of where the store finds events by their ids with
// sums of where they are, and searches again only where they differ.
func (a *audit) checkEvents(ctx context.Context, l lister) error {
	got := map[event.Position]uint64{}
	err := l.Events(ctx, a.log, func(id event.ID, p event.Position) bool {
		got[p/bucket] += a.sum(id, p)
		return ctx.Err() == nil
	})
	for _, b := range a.differing(got, a.ids) {
		want := map[event.Position]event.ID{}
		for r := range a.bucket(ctx, b) {
			want[r.Position] = r.ID
		}
		err = l.Events(ctx, a.log, func(id event.ID, p event.Position) bool {
			if p/bucket == b && want[p] != id {
				a.add(StoreEvent, p, "the store finds event %s at record %d, which is another", id, p)
			} else if p/bucket == b {
				delete(want, p)
			}
			return ctx.Err() == nil
		})
		for _, p := range slices.Sorted(maps.Keys(want)) {
			a.add(StoreEvent, p, "record %d is not found by its event id %s", p, want[p])
		}
	}
	return a.listed(ctx, "the list of event ids", err)
}

// checkIndex is checkEvents for the index.
func (a *audit) checkIndex(ctx context.Context, l lister) error {
	got := map[event.Position]uint64{}
	err := l.Indexed(ctx, a.log, func(term [16]byte, p event.Position) bool {
		got[p/bucket] += a.sum(term, p)
		return ctx.Err() == nil
	})
	for _, b := range a.differing(got, a.want) {
		if err == nil {
			err = a.searchBucket(ctx, l, b)
		}
	}
	return a.listed(ctx, "the index", err)
}

// differing lists the buckets whose sums differ, as many as are worth searching.
func (a *audit) differing(got, want map[event.Position]uint64) (wrong []event.Position) {
	for b := range got {
		if got[b] != want[b] {
			wrong = append(wrong, b)
		}
	}
	for b := range want {
		if _, ok := got[b]; !ok {
			wrong = append(wrong, b)
		}
	}
	slices.Sort(wrong)
	if len(wrong) > perCode {
		a.suppressed += uint64(len(wrong) - perCode)
		wrong = wrong[:perCode]
	}
	return wrong
}

// bucket yields the records of a bucket that can be read.
func (a *audit) bucket(ctx context.Context, b event.Position) iter.Seq[*event.Record] {
	return func(yield func(*event.Record) bool) {
		for p := max(1, b*bucket); p <= min(b*bucket+bucket-1, a.head.Size); p++ {
			for r, err := range a.store.Records(ctx, a.log, p, p) {
				if err == nil && !yield(r) {
					return
				}
			}
		}
	}
}

// searchBucket finds the postings that are missing and those that should not be
// there.
func (a *audit) searchBucket(ctx context.Context, l lister, b event.Position) error {
	type posting struct {
		term [16]byte
		p    event.Position
	}
	want := map[posting]event.Term{}
	for r := range a.bucket(ctx, b) {
		for _, t := range r.Terms() {
			want[posting{t.Digest(), r.Position}] = t
		}
	}
	var extra []posting
	err := l.Indexed(ctx, a.log, func(term [16]byte, p event.Position) bool {
		if p/bucket != b {
			return true
		}
		if _, ok := want[posting{term, p}]; !ok {
			extra = append(extra, posting{term, p})
		}
		delete(want, posting{term, p})
		return len(extra) <= perCode
	})
	if err != nil {
		return err
	}
	missing := slices.SortedFunc(maps.Keys(want), func(x, y posting) int { return cmp.Compare(x.p, y.p) })
	for _, m := range missing {
		a.add(IndexMissing, m.p, "the index does not find record %d by %s", m.p, describe(want[m]))
	}
	for _, e := range extra {
		if e.p == 0 || e.p > a.head.Size {
			a.add(IndexExtra, 0, "the index finds record %d, which does not exist", e.p)
			continue
		}
		a.add(IndexExtra, e.p, "the index finds record %d by something that it has not", e.p)
	}
	return nil
}

// describe names a term. The value of a blind tag stays out of reports.
func describe(t event.Term) string {
	kind, rest, _ := strings.Cut(string(t), ":")
	switch kind {
	case "s":
		return "its stream " + rest
	case "t":
		return "its type " + rest
	case "a":
		return "its actor " + rest
	case "g":
		return "the tag " + rest
	case "u":
		return "the subject " + rest
	}
	name, _, _ := strings.Cut(rest, ":")
	return "a blind tag " + name
}
