package eventlog_test

import (
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

// swapped is a store that another may be put in the place of.
type swapped struct{ eventlog.Store }

// A store that is put back to an older state under the log, whether shorter or
// of other records, takes nothing more, and the log says why.
func TestLost(t *testing.T) {
	for name, records := range map[string]int{"shorter": 1, "other records": 3, "longer": 5} {
		t.Run(name, func(t *testing.T) {
			id := event.LogID{ID: event.NewID()}
			write := func(s eventlog.Store, n int) *eventlog.Log {
				l, err := eventlog.Open(t.Context(), s, id, eventlog.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				for range n {
					if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
						t.Fatal(err)
					}
				}
				return l
			}
			s := &swapped{memlog.New()}
			l := write(s, 3)
			if l.Lost() != nil {
				t.Fatal(l.Lost())
			}
			older := memlog.New()
			write(older, records).Close()
			s.Store = older
			for range 2 {
				_, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted")))
				if !fault.Is(err, fault.Unavailable) {
					t.Fatalf("append to a log that was put back: %v", err)
				}
			}
			if !fault.Is(l.Lost(), fault.Refused) || !strings.Contains(l.Lost().Error(), "put back to an older state") {
				t.Fatalf("the log says %v", l.Lost())
			}
			if h, err := older.Head(t.Context(), id); err != nil || h.Size != event.Position(records) {
				t.Fatalf("it appended: %d records (%v)", h.Size, err)
			}
		})
	}
}
