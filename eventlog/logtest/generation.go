package logtest

import (
	"slices"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var generationTests = []test{
	{"a new generation goes on with the tree under another id", generation},
	{"a generation begins with its continuation and nothing else", generationRefused},
}

// Continued returns the event that begins a generation after another.
func Continued(previous event.LogID) *event.Draft {
	return New(NewStream("instance"), "log.continued", Public(map[uint64]any{1: previous}))
}

// Begin returns the append that begins a generation after another.
func Begin(next, previous event.LogID) eventlog.Request {
	r := Request(Continued(previous))
	r.Generation = next
	return r
}

func generation(f *fixture) {
	l := f.open(eventlog.Options{})
	first := Request(New(NewStream("user"), "user.noted"))
	f.append(first)
	second, third := event.LogID{ID: event.NewID()}, event.LogID{ID: event.NewID()}
	if a := f.append(Begin(second, f.id)); a.Log != second || a.First != 2 {
		f.Fatalf("beginning: %+v", a)
	}
	if a := f.append(Request(New(NewStream("user"), "user.noted"))); a.Log != second || l.Generation() != second {
		f.Fatalf("after it: %+v, generation %s", a, l.Generation())
	}
	l = f.reopen()
	f.append(Request(New(NewStream("user"), "user.noted")))
	if a := f.append(first); !a.Replayed || a.Log != f.id {
		f.Fatalf("a command of the first generation, repeated: %+v", a)
	}
	f.append(Begin(third, second))
	var ids []event.LogID
	for r, err := range l.Read(f.ctx, event.Everything(), 0) {
		if err != nil {
			f.Fatal(err)
		}
		ids = append(ids, r.Log)
	}
	if want := []event.LogID{f.id, second, second, second, third}; !slices.Equal(ids, want) {
		f.Fatalf("the leaves carry %v, want %v", ids, want)
	}
	want := []eventlog.Generation{{ID: f.id, First: 1}, {ID: second, First: 2}, {ID: third, First: 5}}
	if got := f.reopen().Generations(); !slices.Equal(got, want) {
		f.Fatalf("generations %v, want %v", got, want)
	}
	for _, c := range []struct {
		id event.LogID
		p  event.Position
		ok bool
	}{{f.id, 1, true}, {f.id, 2, false}, {second, 1, true}, {second, 4, true}, {second, 5, false}, {third, 9, true}, {event.LogID{ID: event.NewID()}, 1, false}} {
		if got := f.log.Holds(c.id, c.p); got != c.ok {
			f.Errorf("position %d of %s: held %t", c.p, c.id, got)
		}
	}
	f.check()
}

func generationRefused(f *fixture) {
	f.open(eventlog.Options{})
	next := event.LogID{ID: event.NewID()}
	f.refused(Begin(next, f.id), fault.Invalid) // nothing to continue
	f.append(Request(New(NewStream("user"), "user.noted")))
	f.refused(Begin(next, next), fault.Invalid)
	f.refused(Begin(f.id, f.id), fault.Invalid)
	f.refused(Request(Continued(f.id)), fault.Invalid)
	more := Begin(next, f.id)
	more.Events = append(more.Events, New(NewStream("user"), "user.noted"))
	f.refused(more, fault.Invalid)
	other := Request(New(NewStream("user"), "user.noted"))
	other.Generation = next
	f.refused(other, fault.Invalid)
	f.append(Begin(next, f.id))
	f.refused(Begin(f.id, next), fault.Invalid) // it was that already
	f.check()
}
