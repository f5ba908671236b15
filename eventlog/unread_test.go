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

// unreadable is a store that can be asked what a command did, and whose records
// cannot be read.
type unreadable struct{ eventlog.Store }

func (unreadable) Records(context.Context, event.LogID, event.Position, event.Position) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		yield(nil, fault.New(fault.Unavailable, "the store is away"))
	}
}

// A command that stands in the log is never said not to have been done, whether
// what it did can be read or not: whoever gave it repeats it to learn that.
func TestUnreadOutcome(t *testing.T) {
	s := &swapped{memlog.New()}
	l, err := eventlog.Open(t.Context(), s, event.LogID{ID: event.NewID()}, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))
	if _, err := l.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	base := s.Store
	s.Store = unreadable{base}
	if _, _, err := l.Outcome(t.Context(), r.Actor, r.Command, r.Digest); !fault.Is(err, fault.Unknown) {
		t.Errorf("asked: %v", err)
	}
	if _, err := l.Append(t.Context(), r); !fault.Is(err, fault.Unknown) {
		t.Errorf("repeated: %v", err)
	}
	s.Store = base
	if done, err := l.Append(t.Context(), r); err != nil || !done.Replayed {
		t.Errorf("repeated when it can be read: %v, %v", done, err)
	}
}
