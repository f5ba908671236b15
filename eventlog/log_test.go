package eventlog_test

import (
	"context"
	"iter"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

// tampered is a store whose answers were changed.
type tampered struct {
	eventlog.Store
	head   func(*eventlog.Head)
	record func(*event.Record)
	tile   func([]byte)
}

func (s tampered) Take(ctx context.Context, log event.LogID, holder event.ID, atLeast uint64) (eventlog.Head, error) {
	h, err := s.Store.Take(ctx, log, holder, atLeast)
	h.Frontier = append([]event.Hash(nil), h.Frontier...)
	if s.head != nil {
		s.head(&h)
	}
	return h, err
}

func (s tampered) Records(ctx context.Context, log event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		for r, err := range s.Store.Records(ctx, log, from, to) {
			if err == nil && s.record != nil {
				c := *r
				c.Leaf = append([]byte(nil), r.Leaf...)
				s.record(&c)
				r = &c
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (s tampered) Tile(ctx context.Context, log event.LogID, level int, index uint64) ([]byte, bool, error) {
	data, ok, err := s.Store.Tile(ctx, log, level, index)
	data = append([]byte(nil), data...)
	if s.tile != nil && ok {
		s.tile(data)
	}
	return data, ok, err
}

// A log whose head, last records or tiles do not agree is not taken: nothing
// is built on it.
func TestTakingChecksTheTree(t *testing.T) {
	store, id := memlog.New(), event.LogID{ID: event.NewID()}
	l, err := eventlog.Open(t.Context(), store, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	for name, s := range map[string]tampered{
		"frontier":    {head: func(h *eventlog.Head) { h.Frontier[0][3] ^= 1 }},
		"last leaf":   {head: func(h *eventlog.Head) { h.Last[3] ^= 1 }},
		"shorter":     {head: func(h *eventlog.Head) { h.Size-- }},
		"longer":      {head: func(h *eventlog.Head) { h.Size++ }},
		"last record": {record: func(r *event.Record) { r.Leaf[len(r.Leaf)/2] ^= 1 }},
		"tile":        {tile: func(b []byte) { b[700] ^= 1 }},
	} {
		s.Store = store
		if l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{}); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				l.Close()
			}
		}
	}
}
