package fieldapi_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/custom/publish"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/field/fieldapi"
)

// Issue 5: whatever a device sends as a cursor is one that a pull answered, in
// its one form and of a place that this log has reached, or is refused by name;
// behind it comes what was recorded after it, and nothing else.
func FuzzCursor(f *testing.F) {
	pack, err := field.Pack()
	must(f, err)
	w := newWorld(f, openKeys(f), rand.New(rand.NewPCG(1, 1)), pack)
	for range 3 {
		_, err := w.engine.Push(f.Context(), system, event.NewID().String(), []fieldapi.Event{{Event: publish.Event{ID: event.NewID(), Type: "create-group", Entity: event.NewID(), Data: map[string]any{"name": "x"}}}})
		must(f, err)
	}
	mark := w.log.Mark().Size
	other := event.NewID().String()
	for _, s := range []string{"", w.engine.Cursor(0), w.engine.Cursor(mark), w.engine.Cursor(mark + 1), other + ":1", w.id.String(), w.id.String() + ":", w.id.String() + ":-1", w.id.String() + ":01",
		w.id.String() + ":18446744073709551615", w.id.String() + ":18446744073709551616", strings.ToUpper(w.engine.Cursor(1)), " " + w.engine.Cursor(1), w.engine.Cursor(1) + ":1", "2026-03-01T00:00:00.000Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := w.engine.Position("cursor", s)
		if err != nil {
			var refused *fault.Error
			if !errors.As(err, &refused) || refused.Kind != fault.Invalid || refused.Field != "cursor" {
				t.Fatalf("%q is refused by %v", s, err)
			}
			return
		}
		if p > mark || s != "" && w.engine.Cursor(p) != s {
			t.Fatalf("%q is read as %d", s, p)
		}
		events, next, err := w.engine.Pull(t.Context(), authz.For(event.System), nil, p, 100)
		must(t, err)
		for _, e := range events {
			if e.Position <= p {
				t.Fatalf("behind %d comes %d", p, e.Position)
			}
		}
		if next != mark {
			t.Fatalf("it ends at %d of %d", next, mark)
		}
	})
}
