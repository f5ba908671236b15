package eventlog_test

import (
	"slices"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
)

// Whether records are held against a query one by one, found by the index and
// taken from memory, or read from the store: it is the same ones, up to where
// they were asked for.
func TestReadToAgrees(t *testing.T) {
	store, id := memlog.New(), event.LogID{ID: event.NewID()}
	l, err := eventlog.Open(t.Context(), store, id, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size = 1200
	streams := []event.Stream{logtest.NewStream("user"), logtest.NewStream("user"), logtest.NewStream("user")}
	var want []event.Position // of the first stream, some of it long ago
	for p := event.Position(1); p <= size; p++ {
		s := streams[int(p*p)%len(streams)]
		if s == streams[0] {
			want = append(want, p)
		}
		if _, err := l.Append(t.Context(), logtest.Request(logtest.New(s, "user.noted"))); err != nil {
			t.Fatal(err)
		}
	}
	fresh, err := eventlog.OpenReadOnly(t.Context(), store, id) // nothing in memory
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	q := event.Query{{All: []event.Term{event.StreamTerm(streams[0])}}, {Types: []string{"user.never"}}}
	for _, r := range [][2]event.Position{{0, size}, {0, 700}, {1, size - 1}, {300, 1000}, {size - 100, size}, {size, size}, {0, size + 9}} {
		var expected []event.Position
		for _, p := range want {
			if p > r[0] && p <= r[1] {
				expected = append(expected, p)
			}
		}
		for name, from := range map[string]*eventlog.Log{"in memory": l, "from the store": fresh} {
			var got []event.Position
			for rec, err := range from.ReadTo(t.Context(), q, r[0], r[1]) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, rec.Position)
			}
			if !slices.Equal(got, expected) {
				t.Errorf("%s, after %d up to %d: %d records, want %d", name, r[0], r[1], len(got), len(expected))
			}
		}
	}
}
