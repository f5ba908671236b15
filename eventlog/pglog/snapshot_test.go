package pglog

import (
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
)

// A snapshot shows the log as it was, whatever is appended meanwhile, also while
// something else is being read from it; and changes nothing.
func TestSnapshot(t *testing.T) {
	o := testOptions(t, postgres.Shared(t).NewDatabase(t))
	if _, err := OpenSnapshot(t.Context(), o); !fault.Is(err, fault.NotFound) {
		t.Errorf("of a database that holds nothing: %v", err)
	}
	s := mustOpen(t, o)
	id := event.LogID{ID: event.NewID()}
	log, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	grow := func(n int) {
		t.Helper()
		for range n {
			if _, err := log.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("thing"), "thing.made"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	grow(5)
	frozen, err := OpenSnapshot(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	grow(5)
	read := 0
	for _, err := range frozen.Records(t.Context(), id, 1, 5) {
		if err != nil {
			t.Fatal(err)
		}
		read++
		h, err := frozen.Head(t.Context(), id) // beside
		if err != nil || h.Size != 5 {
			t.Fatalf("the head is at %d, %v", h.Size, err)
		}
	}
	for p, err := range frozen.Records(t.Context(), id, 6, 6) {
		if err == nil {
			t.Errorf("position %d is in the snapshot", p.Position)
		}
	}
	if read != 5 {
		t.Errorf("%d records were read", read)
	}
	if _, err := frozen.Take(t.Context(), id, event.NewID(), 1); err == nil {
		t.Error("the log was taken through a snapshot")
	}
	if err := frozen.PutCursor(t.Context(), id, "x", []byte{1}); err == nil {
		t.Error("a cursor was put through a snapshot")
	}
	grow(1) // it is still held
}
