package logtest

import (
	"errors"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var repeatTests = []test{
	{"a command does its work once", repeated},
	{"a command repeated within a batch does its work once", repeatedTogether},
	{"event ids are written once", eventIDs},
}

// Requirement E19: idempotency by (actor, command id).
func repeated(f *fixture) {
	f.open(eventlog.Options{})
	f.append(Request(New(NewStream("user"), "user.noted")))
	r := Request(New(NewStream("user"), "user.noted"), New(NewStream("user"), "user.noted"))
	first := f.append(r)
	same := func() {
		f.Helper()
		a := f.append(r)
		if !a.Replayed || a.First != first.First || a.Last != first.Last || !a.Time.Equal(first.Time) {
			f.Fatalf("the repetition got %+v, the first run %+v", a, first)
		}
		o, ok, err := f.log.Outcome(f.ctx, r.Actor, r.Command, r.Digest)
		if err != nil || !ok || o.First != first.First || o.Last != first.Last {
			f.Fatalf("the outcome is %+v, %v, %v", o, ok, err)
		}
		other := r
		other.Digest = RandomHash()
		if err := f.refused(other, fault.Refused); !errors.Is(err, eventlog.ErrCommandReused) {
			f.Fatalf("another request under the same command id: %v", err)
		}
		if _, _, err := f.log.Outcome(f.ctx, r.Actor, r.Command, other.Digest); !errors.Is(err, eventlog.ErrCommandReused) {
			f.Fatalf("the outcome of another request under the same command id: %v", err)
		}
	}
	same()
	// It is the request that is repeated, not its condition.
	r.If = event.Condition{Query: event.Everything()}
	same()
	f.reopen()
	same()
	// Command ids are the actor's own.
	theirs := Request(New(NewStream("user"), "user.noted"))
	theirs.Command, theirs.Actor = r.Command, event.Actor{Kind: "user", ID: event.NewID()}
	if a := f.append(theirs); a.Replayed {
		f.Fatal("a command of another actor was taken for a repetition")
	}
	if _, ok, err := f.log.Outcome(f.ctx, event.System, event.NewID(), r.Digest); ok || err != nil {
		f.Fatalf("the outcome of a command that never came: %v, %v", ok, err)
	}
	f.check()
}

func repeatedTogether(f *fixture) {
	r := Request(New(NewStream("user"), "user.noted"))
	other := r
	other.Digest = RandomHash()
	as, errs := f.together(eventlog.Options{}, r, r, r, r)
	fresh := 0
	for i, a := range as {
		if errs[i] != nil || a.First != as[0].First || a.Last != as[0].Last {
			f.Fatalf("%+v, %v", a, errs[i])
		}
		if !a.Replayed {
			fresh++
		}
	}
	if fresh != 1 || f.log.Mark().Size != 2 {
		f.Fatalf("%d ran, the log has %d records", fresh, f.log.Mark().Size)
	}
	f.refused(other, fault.Refused)
	f.check()
}

// Requirement E20: event ids are write-once.
func eventIDs(f *fixture) {
	f.open(eventlog.Options{})
	d := New(NewStream("user"), "user.noted")
	again := func() *event.Draft {
		e := New(NewStream("user"), "user.noted")
		e.ID = d.ID
		return e
	}
	f.append(Request(d))
	f.refused(Request(again()), fault.Exists)
	f.reopen()
	f.refused(Request(New(NewStream("user"), "user.noted"), again()), fault.Exists)
	d = New(NewStream("user"), "user.noted")
	f.refused(Request(d, again()), fault.Exists)
	_, errs := f.together(eventlog.Options{}, Request(d), Request(again()), Request(again()))
	stored := 0
	for _, err := range errs {
		if err == nil {
			stored++
		} else if !errors.Is(err, eventlog.ErrEventExists) {
			f.Errorf("append: %v", err)
		}
	}
	if stored != 1 {
		f.Fatalf("one event id was stored %d times", stored)
	}
	f.check()
}
