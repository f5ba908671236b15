package decide

import (
	"context"

	"muniment.dev/event"
)

// erasures are the records after which what was read before may be stale: the
// index forgets the blind tags of the person, and with them the facts that
// ended what those tags had found.
var erasures = event.Query{{Types: []string{"subject.erased"}}}

// readOn reads what a query selects in (after, upto]; ok is false if somebody
// was erased there, and all of it is to be read anew.
func (r *Runner) readOn(ctx context.Context, q event.Query, after, upto event.Position) (facts []event.Fact, ok bool, err error) {
	for rec, err := range r.Log.ReadTo(ctx, q.Or(erasures), after, upto) {
		if err != nil {
			return nil, false, err
		}
		if rec.Type == erasures[0].Types[0] {
			return nil, false, nil
		}
		f, err := r.Sealer.Decode(ctx, rec)
		if err != nil {
			return nil, false, err
		}
		facts = append(facts, f)
	}
	return facts, true, nil
}
