package view_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// Many records are decoded on all cores, and prepared for together. The views
// still stop exactly before the first that cannot be decoded, wherever in the
// batch it is, with everything before it applied and nothing behind it.
func TestDecodedTogether(t *testing.T) {
	l := newLog(t)
	var last event.Position
	for range 30 {
		var events []event.New
		for range 50 {
			id := event.NewID()
			events = append(events, of(id, added{User: id, Org: id}))
		}
		last = l.Append(events...)
	}
	for _, bad := range [][]event.Position{{1}, {2, 700}, {511, 512}, {513, 514, 515}, {1000, 1100}, {last}} {
		var prepared atomic.Int64
		decode := func(ctx context.Context, r *event.Record) (event.Fact, error) {
			if slices.Contains(bad, r.Position) {
				return event.Fact{}, fault.New(fault.Corrupt, "malformed")
			}
			return l.Decode(ctx, r)
		}
		prepare := func(_ context.Context, records []*event.Record) error {
			prepared.Add(int64(len(records)))
			return fault.New(fault.Unavailable, "not now") // decoding finds out
		}
		set, err := view.Open(ctx, stored(t), l, decode, []view.View{people()}, view.Options{Batch: 5000, Prepare: prepare})
		if err != nil {
			t.Fatal(err)
		}
		var f *view.Failure
		err = set.Fresh(ctx, last)
		if stopped := set.Status().Stopped; err == nil || !errors.As(stopped, &f) || f.Position != bad[0] {
			t.Errorf("%v: stopped by %v", bad, stopped)
		}
		if st := set.Status(); st.Applied != bad[0]-1 || prepared.Load() == 0 {
			t.Errorf("%v: applied up to %d, prepared for %d", bad, st.Applied, prepared.Load())
		}
		if err := set.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
