package decide

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"muniment.dev/event"
)

// fold folds the facts that q selects up to a position: on from the state that
// was folded last, if that is kept, else from what is known of each item. A
// state that is kept may be of a later position already; which it is, is
// returned too. On a condition after that position it is as good.
func fold[S any](ctx context.Context, r *Runner, key cacheKey, q event.Query, upto event.Position, state S, evolve func(S, event.Fact) S) (S, event.Position, error) {
	c, era := r.cache.get(key)
	var facts []event.Fact
	var fits bool
	var err error
	if c.state != nil {
		if c.at >= upto {
			return c.state.(S), c.at, nil
		}
		facts, fits, err = r.readOn(ctx, q, c.at, upto)
	}
	if fits {
		state = c.state.(S)
	} else if err == nil {
		facts, err = r.gather(ctx, q, upto)
	}
	if err != nil {
		return state, upto, err
	}
	for _, f := range facts {
		state = evolve(state, f)
	}
	r.cache.put(key, cached{state, upto}, era)
	return state, upto, nil
}

// read reads what a query selects in (after, upto].
func (r *Runner) read(ctx context.Context, q event.Query, after, upto event.Position) (facts []event.Fact, err error) {
	for rec, err := range r.Log.ReadTo(ctx, q, after, upto) {
		if err != nil {
			return nil, err
		}
		f, err := r.Sealer.Decode(ctx, rec)
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	return facts, nil
}

// gather reads what a query selects up to a position, item by item: of a new
// object's facts most are usually known, such as those of its organization.
func (r *Runner) gather(ctx context.Context, q event.Query, upto event.Position) (facts []event.Fact, err error) {
	for _, it := range q {
		more, err := r.factsOf(ctx, it, upto)
		if err != nil {
			return nil, err
		}
		facts = append(facts, more...)
	}
	byPosition := func(a, b event.Fact) int { return cmp.Compare(a.Position, b.Position) }
	slices.SortFunc(facts, byPosition)
	return slices.CompactFunc(facts, func(a, b event.Fact) bool { return byPosition(a, b) == 0 }), nil
}

// maxFacts bounds the facts of one item that are kept.
const maxFacts = 32

// factsOf returns what one item selects up to a position. The result may be
// shared and must not be changed.
func (r *Runner) factsOf(ctx context.Context, it event.Item, upto event.Position) ([]event.Fact, error) {
	key := cacheKey{query: queryText(event.Query{it})}
	c, era := r.cache.get(key)
	known, _ := c.state.([]event.Fact)
	if known == nil {
		if isNew, err := r.isNew(ctx, it); err != nil || isNew {
			return nil, err
		}
	}
	if c.at > upto { // only as many as there were
		n, _ := slices.BinarySearchFunc(known, upto+1, func(f event.Fact, p event.Position) int { return cmp.Compare(f.Position, p) })
		return known[:n], nil
	}
	var more []event.Fact
	var fits bool
	var err error
	if c.at > 0 {
		more, fits, err = r.readOn(ctx, event.Query{it}, c.at, upto)
	}
	if !fits && err == nil {
		known = nil
		more, err = r.read(ctx, event.Query{it}, 0, upto)
	}
	if err != nil {
		return nil, err
	}
	facts := append(slices.Clip(known), more...)
	if n := len(facts); n > 0 && n <= maxFacts {
		r.cache.put(key, cached{facts, upto}, era)
	}
	return facts, nil
}

// isNew reports whether an item asks for a stream that has no record at all,
// which is cheaper to find out than to search for its records.
func (r *Runner) isNew(ctx context.Context, it event.Item) (bool, error) {
	for _, t := range it.All {
		name, ok := strings.CutPrefix(string(t), "s:")
		if !ok {
			continue
		}
		stream, err := event.ParseStream(name)
		if err != nil {
			return false, err
		}
		exists, err := r.Log.Started(ctx, stream)
		return err == nil && !exists, err
	}
	return false, nil
}

// queryText is a query as text, for telling queries apart: numbers and lengths
// stand before what they are of.
func queryText(q event.Query) string {
	b := make([]byte, 0, 512)
	for _, it := range q {
		b = binary.AppendUvarint(b, uint64(len(it.Types)))
		for _, t := range it.Types {
			b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
		}
		b = binary.AppendUvarint(b, uint64(len(it.All)))
		for _, t := range it.All {
			b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
		}
	}
	return string(b)
}
