package ops

import (
	"context"
	"maps"
	"slices"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// indexLister is what an engine offers so that its index can be checked both
// ways: each posting that it has, in any order.
type indexLister interface {
	Indexed(ctx context.Context, log event.LogID, yield func(term [16]byte, p event.Position) bool) error
}

func (a *audit) checkStreams(ctx context.Context) error {
	for s, want := range a.streams {
		got, ok, err := a.store.Stream(ctx, a.log, s)
		switch {
		case err != nil && !isDamage(err):
			return err
		case err != nil:
			a.add(StoreDamaged, 0, "the head of stream %s cannot be read: %v", s, err)
		case !ok:
			a.add(StoreStream, 0, "stream %s is not known; its records say version %d", s, want.Version)
		case got != want:
			a.add(StoreStream, 0, "stream %s is at version %d by its records; the store says version %d, or another last record", s, want.Version, got.Version)
		}
	}
	return nil
}

func (a *audit) checkKeys(ctx context.Context) error {
	for s, want := range a.keys {
		got, ok, err := a.store.Subject(ctx, a.log, s)
		switch {
		case err != nil && !isDamage(err):
			return err
		case err != nil:
			a.add(StoreDamaged, 0, "the key of subject %s cannot be read: %v", s, err)
		case !ok || got != want:
			a.add(StoreKey, 0, "the store has not assigned key %s to subject %s, or differs in whether it is erased", want.Key, s)
		}
		if want.Key.IsZero() {
			continue
		}
		got, ok, err = a.store.Key(ctx, a.log, want.Key)
		switch {
		case err != nil && !isDamage(err):
			return err
		case err != nil:
			a.add(StoreDamaged, 0, "whose key %s is cannot be read: %v", want.Key, err)
		case !ok || got != want:
			a.add(StoreKey, 0, "the store does not know key %s as that of subject %s, or differs in whether it is erased", want.Key, s)
		}
	}
	return nil
}

// checkIndex compares sums of what the index finds with sums of what the
// records can be found by, and searches again only where they differ.
func (a *audit) checkIndex(ctx context.Context) error {
	lister, ok := a.store.(indexLister)
	if !ok {
		return fault.New(fault.Internal, "this store cannot list its index")
	}
	got := map[event.Position]uint64{}
	err := lister.Indexed(ctx, a.log, func(term [16]byte, p event.Position) bool {
		got[p/bucket] += a.sum(term, p)
		return ctx.Err() == nil
	})
	switch {
	case err == nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil && isDamage(err):
		a.add(StoreDamaged, 0, "the index cannot be read: %v", err)
		return nil
	case err != nil:
		return err
	}
	var wrong []event.Position
	for b := range maps.Keys(got) {
		if got[b] != a.want[b] {
			wrong = append(wrong, b)
		}
	}
	for b := range a.want {
		if _, ok := got[b]; !ok {
			wrong = append(wrong, b)
		}
	}
	slices.Sort(wrong)
	for i, b := range wrong {
		if i == perCode {
			a.suppressed += uint64(len(wrong) - i)
			break
		}
		if err := a.searchBucket(ctx, lister, b); err != nil {
			return err
		}
	}
	return nil
}

// searchBucket finds the postings that are missing and those that should not be
// there.
func (a *audit) searchBucket(ctx context.Context, lister indexLister, b event.Position) error {
	type posting struct {
		term [16]byte
		p    event.Position
	}
	want := map[posting]event.Term{}
	from, to := max(1, b*bucket), min(b*bucket+bucket-1, a.head.Size)
	for p := from; p <= to; p++ {
		for r, err := range a.store.Records(ctx, a.log, p, p) {
			if err != nil {
				break // reported already
			}
			for _, t := range r.Terms() {
				want[posting{termDigest(t), p}] = t
			}
		}
	}
	var extra []posting
	err := lister.Indexed(ctx, a.log, func(term [16]byte, p event.Position) bool {
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
	missing := slices.SortedFunc(maps.Keys(want), func(x, y posting) int { return int(x.p) - int(y.p) })
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
