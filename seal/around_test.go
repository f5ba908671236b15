package seal

import (
	"testing"

	"muniment.dev/event"
)

// An event that brings an id and circumstances of its own is recorded with
// them; what the server says itself stands above what a publisher says.
func TestOwnCircumstances(t *testing.T) { engines(t, testOwnCircumstances) }

func testOwnCircumstances(t *testing.T, e *engine) {
	s, a := sealer(t, e)
	user, actor := event.NewID(), event.NewID()
	e1 := event.New{ID: event.NewID(), Stream: event.Stream{Kind: "user", ID: user}, Payload: registered{User: user, Name: event.Seal("Ada")},
		Context: map[string]any{"source": "mine", "correlation": "c-1"}, Private: map[string]string{"device": "Pixel", "ip": "forged"}}
	e2 := event.New{Stream: e1.Stream, Payload: e1.Payload}
	c := Context{Public: map[string]any{"source": "server"}, Subject: event.SubjectID{ID: actor}, Sealed: map[string]string{"ip": "192.0.2.7"}}
	drafts, err := s.Seal(t.Context(), event.System, []event.New{e1, e2}, c)
	if err != nil {
		t.Fatal(err)
	}
	if drafts[0].ID != e1.ID || drafts[1].ID.IsZero() || drafts[1].ID == e1.ID {
		t.Errorf("ids %v and %v, want %v and a fresh one", drafts[0].ID, drafts[1].ID, e1.ID)
	}
	for n, want := range []struct{ public, sealed map[string]string }{
		{map[string]string{"source": "server", "correlation": "c-1"}, map[string]string{"ip": "192.0.2.7", "device": "Pixel"}},
		{map[string]string{"source": "server"}, map[string]string{"ip": "192.0.2.7"}},
	} {
		d := drafts[n]
		var public map[string]any
		if err := event.Strict.Unmarshal(d.Context, &public); err != nil || len(public) != len(want.public) {
			t.Errorf("event %d: context %v, %v", n, public, err)
		}
		for name, v := range want.public {
			if public[name] != v {
				t.Errorf("event %d: %s is %v, want %v", n, name, public[name], v)
			}
		}
		for _, b := range d.Blocks {
			a[b.Subject] = b.Key
			if b.Subject.ID != actor {
				continue
			}
			if len(b.Fields) != len(want.sealed) {
				t.Errorf("event %d: %d fields of the actor's are sealed, want %v", n, len(b.Fields), want.sealed)
			}
		}
	}
	if len(c.Public) != 1 || len(c.Sealed) != 1 || len(e1.Context) != 2 {
		t.Error("what was given was changed")
	}
	// Of an actor who is no subject nothing can be sealed.
	c.Subject, c.Sealed = event.SubjectID{}, nil
	if drafts, err = s.Seal(t.Context(), event.System, []event.New{e1}, c); err != nil || len(drafts[0].Blocks) != 1 {
		t.Errorf("%v, %v", drafts, err)
	}
}
