package eventlog

import (
	"context"
	"iter"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// ReadTo is Read up to a position of the caller's choice, or the mark if that
// is less.
func (l *Log) ReadTo(ctx context.Context, q event.Query, after, upto event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		upto := min(upto, l.Mark().Size)
		if after >= upto {
			return
		}
		all := slices.ContainsFunc(q, func(it event.Item) bool { return len(it.All) == 0 && len(it.Types) == 0 })
		recent, ok := l.recentSince(after)
		if ok && (all || len(recent) <= walked) {
			for _, e := range recent {
				if e.rec.Position > upto {
					return
				}
				if (all || q.Matches(e.rec.Type, e.terms)) && !yield(e.rec, nil) {
					return
				}
			}
			return
		}
		if all {
			l.between(ctx, after+1, upto)(yield)
			return
		}
		l.find(ctx, q, after, upto, false, recent)(yield)
	}
}

// ReadBack yields the records that q selects before a position (0: from the
// mark on), newest first.
func (l *Log) ReadBack(ctx context.Context, q event.Query, before event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		mark := l.Mark().Size
		if before == 0 || before > mark+1 {
			before = mark + 1
		}
		if before > 1 {
			l.find(ctx, q, 0, before-1, true, nil)(yield)
		}
	}
}

// walked is how many records are held against a query one by one. Beyond that the
// index is quicker, even for records that are in memory.
const walked = 512

func (l *Log) recentSince(after event.Position) ([]entry, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.recent.since(after, l.Mark().Size)
}

// between yields from..to and asserts that none is missing.
func (l *Log) between(ctx context.Context, from, to event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		next := from
		for r, err := range l.store.Records(ctx, l.id, from, to) {
			if err == nil && r.Position != next {
				err = fault.New(fault.Corrupt, "position %d follows %d: a record is missing", r.Position, next-1)
			}
			if err == nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(r, nil) {
				return
			}
			next++
		}
		if next <= to {
			yield(nil, fault.New(fault.Corrupt, "the record at position %d is missing", next))
		}
	}
}

// find finds positions by the index and reads their records.
func (l *Log) find(ctx context.Context, q event.Query, after, upto event.Position, down bool, recent []entry) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		last := event.Position(0)
		for p, err := range l.candidates(ctx, q, after, upto, down) {
			if err != nil {
				yield(nil, err)
				return
			}
			if p == last { // found by several items
				continue
			}
			last = p
			if e, ok := at(recent, p); ok {
				if q.Matches(e.rec.Type, e.terms) && !yield(e.rec, nil) {
					return
				}
				continue
			}
			for r, err := range l.between(ctx, p, p) {
				if err != nil {
					yield(nil, err)
					return
				}
				if q.Matches(r.Type, r.Terms()) && !yield(r, nil) {
					return
				}
			}
		}
	}
}

// at finds the entry of a position among entries that follow each other.
func at(entries []entry, p event.Position) (entry, bool) {
	if len(entries) == 0 || p < entries[0].rec.Position || p-entries[0].rec.Position >= event.Position(len(entries)) {
		return entry{}, false
	}
	return entries[p-entries[0].rec.Position], true
}

// candidates yields, in order, positions among which are all that q selects.
func (l *Log) candidates(ctx context.Context, q event.Query, after, upto event.Position, down bool) iter.Seq2[event.Position, error] {
	var lists []iter.Seq2[event.Position, error]
	for _, it := range q {
		terms, all := driving(it)
		if all {
			return every(after, upto, down)
		}
		for _, t := range terms {
			if l.absent(t, upto) {
				continue
			}
			lists = append(lists, l.store.Postings(ctx, l.id, t, after, upto, down))
		}
	}
	return merge(lists, down)
}

// driving picks the terms whose postings cover an item: its most selective
// term if it has one, else its types; all if neither.
func driving(it event.Item) (terms []event.Term, all bool) {
	if len(it.All) > 0 {
		return []event.Term{slices.MinFunc(it.All, func(a, b event.Term) int { return rank(a) - rank(b) })}, false
	}
	for _, t := range it.Types {
		terms = append(terms, event.TypeTerm(t))
	}
	return terms, len(it.Types) == 0
}

// rank orders terms by how few records they are likely to find.
func rank(t event.Term) int {
	const order = "bsugat"
	for i := range len(order) {
		if t[0] == order[i] {
			return i
		}
	}
	return len(order)
}

func every(after, upto event.Position, down bool) iter.Seq2[event.Position, error] {
	return func(yield func(event.Position, error) bool) {
		for i := range upto - after {
			p := after + 1 + i
			if down {
				p = upto - i
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// merge yields the union of sorted lists in their order, with repetitions.
func merge(lists []iter.Seq2[event.Position, error], down bool) iter.Seq2[event.Position, error] {
	if len(lists) == 1 {
		return lists[0]
	}
	return func(yield func(event.Position, error) bool) {
		type head struct {
			p    event.Position
			err  error
			next func() (event.Position, error, bool)
		}
		var heads []*head
		for _, list := range lists {
			next, stop := iter.Pull2(list)
			defer stop()
			if p, err, ok := next(); ok {
				heads = append(heads, &head{p, err, next})
			}
		}
		for len(heads) > 0 {
			i := 0
			for j, h := range heads {
				if h.err != nil || (h.p < heads[i].p) != down && h.p != heads[i].p {
					i = j
				}
			}
			h := heads[i]
			if !yield(h.p, h.err) || h.err != nil {
				return
			}
			var ok bool
			if h.p, h.err, ok = h.next(); !ok {
				heads = slices.Delete(heads, i, i+1)
			}
		}
	}
}
