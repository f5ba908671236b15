package logtest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var conditionTests = []test{
	{"of many who claim one thing, one gets it", contention},
	{"a condition sees what is in its own batch", sameBatch},
	{"a refusal waits for what it rests on", refusalWaits},
	{"conditions select as queries do", selection},
	{"conditions that reach behind the window", behindWindow},
	{"streams are at their expected versions", versions},
	{"a condition past the end is refused", pastEnd},
}

// Requirement E03: append only if nothing newer matches, decided again else.
func contention(f *fixture) {
	f.open(eventlog.Options{})
	claim := event.Tag("name:ada")
	for range 20 {
		after := f.log.Mark().Size
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c := event.Condition{Query: event.OfTerm(event.TagTerm(claim)), After: after}
				_, err := f.log.Append(f.ctx, If(c, New(NewStream("user"), "user.named", Tags(claim))))
				var between *eventlog.Between
				switch {
				case err == nil:
					won.Add(1)
				case fault.Is(err, fault.Conflict) && errors.As(err, &between):
					lost.Add(1)
					if between.Position <= after || between.Type != "user.named" || f.log.Mark().Size < between.Position {
						f.Errorf("came between, after %d: %+v; the mark is %d", after, between, f.log.Mark().Size)
					}
				default:
					f.Errorf("append: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 7 {
			f.Fatalf("%d won, %d lost", won.Load(), lost.Load())
		}
	}
	f.check()
}

func sameBatch(f *fixture) {
	c := event.Condition{Query: event.OfTerm(event.TagTerm("name:ada"))}
	var requests []eventlog.Request
	for range 6 {
		requests = append(requests, If(c, New(NewStream("user"), "user.named", Tags("name:ada"))))
	}
	_, errs := f.together(eventlog.Options{}, requests...)
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !fault.Is(err, fault.Conflict) {
			f.Errorf("append: %v", err)
		}
	}
	if won != 1 {
		f.Fatalf("%d claims were accepted", won)
	}
	f.check()
}

// A conflict with what is not durable yet is no conflict if that is lost: the
// answer is given when it is known, and then it is the right one.
func refusalWaits(f *fixture) {
	claim := func() eventlog.Request {
		return If(event.Condition{Query: event.OfTerm(event.TagTerm("name:ada"))}, New(NewStream("user"), "user.named", Tags("name:ada")))
	}
	for _, lost := range []bool{false, true} {
		f.id = event.LogID{ID: event.NewID()}
		g := &gate{Store: f.store}
		f.openOn(g, eventlog.Options{})
		hold := make(chan struct{})
		var once sync.Once
		release := func() { once.Do(func() { g.set(nil, nil); close(hold) }) }
		f.Cleanup(release)
		g.set(hold, nil)
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := f.log.Append(f.ctx, claim()); first <- err }()
		f.soon("the first claim is held", func() bool { return g.waiting() == 1 })
		go func() { _, err := f.log.Append(f.ctx, claim()); second <- err }()
		select {
		case err := <-second:
			f.Fatalf("answered before the first claim was durable: %v", err)
		case <-time.After(30 * time.Millisecond):
		}
		g.fail(lost)
		release()
		if err := <-first; lost != fault.Is(err, fault.Unavailable) || !lost && err != nil {
			f.Fatalf("the first claim (lost: %v): %v", lost, err)
		}
		g.fail(false)
		err := <-second
		if !lost && !fault.Is(err, fault.Conflict) {
			f.Fatalf("the second claim: %v", err)
		}
		// If the first was lost, the second may have met the failing store too.
		if lost && fault.Is(err, fault.Conflict) {
			f.Fatalf("the second claim was refused for the sake of one that was lost: %v", err)
		}
		f.check()
	}
}

// selecting is a table of queries, whether they select the record that
// subject makes.
type selecting struct {
	name    string
	query   event.Query
	selects bool
}

func selectingTable(s event.Stream, subject event.SubjectID, blind event.Hash) []selecting {
	tag := func(t event.Tag) event.Term { return event.TagTerm(t) }
	both := func(types []string, terms ...event.Term) event.Query { return event.Query{{Types: types, All: terms}} }
	return []selecting{
		{"everything", event.Everything(), true},
		{"nothing", nil, false},
		{"its stream", event.OfStream(s), true},
		{"another stream", event.OfStream(NewStream("user")), false},
		{"its stream, its type", event.OfStream(s, "user.noted", "user.named"), true},
		{"its stream, other types", event.OfStream(s, "user.named"), false},
		{"type alone", both([]string{"user.noted"}), true},
		{"other type alone", both([]string{"user.named"}), false},
		{"one tag", event.OfTerm(tag("a:1")), true},
		{"two tags", both(nil, tag("a:1"), tag("b:2")), true},
		{"two tags, one not its own", both(nil, tag("a:1"), tag("b:3")), false},
		{"tags and type", both([]string{"user.noted"}, tag("a:1"), tag("b:2"), event.StreamTerm(s)), true},
		{"tags and other type", both([]string{"user.named"}, tag("a:1"), tag("b:2")), false},
		{"its actor", event.OfTerm(event.ActorTerm(event.System)), true},
		{"its subject", event.OfTerm(event.SubjectTerm(subject)), true},
		{"another subject", event.OfTerm(event.SubjectTerm(NewSubject())), false},
		{"its blind tag", event.OfTerm(event.BlindTerm("email", 1, blind)), true},
		{"its blind tag, other key version", event.OfTerm(event.BlindTerm("email", 2, blind)), false},
		{"another blind tag", event.OfTerm(event.BlindTerm("email", 1, RandomHash())), false},
		{"either of two", event.OfStream(NewStream("user")).Or(event.OfTerm(tag("b:2"))), true},
		{"neither of two", event.OfStream(NewStream("user")).Or(event.OfTerm(tag("b:3"))), false},
	}
}

func (f *fixture) subject() (*event.Draft, event.Stream, event.SubjectID, event.Hash) {
	s, subject, blind := NewStream("user"), NewSubject(), RandomHash()
	d := New(s, "user.noted", Tags("a:1", "b:2"), Sealed(subject, NewKey(), "/email"), Blind(subject, "email", blind))
	return d, s, subject, blind
}

func selection(f *fixture) {
	f.open(eventlog.Options{})
	f.append(Request(New(NewStream("org"), "org.named", Tags("b:3"))))
	d, s, subject, blind := f.subject()
	p := f.append(Request(d)).Last
	f.append(Request(New(NewStream("org"), "org.named", Tags("z:9"))))
	for _, reopened := range []bool{false, true} {
		if reopened { // so that the index is asked, not the memory
			f.reopen()
		}
		for _, c := range selectingTable(s, subject, blind) {
			r := If(event.Condition{Query: c.query, After: p - 1}, New(NewStream("probe"), "probe.made"))
			_, err := f.log.Append(f.ctx, r)
			if c.selects != fault.Is(err, fault.Conflict) || !c.selects && err != nil {
				f.Errorf("condition on %s (reopened: %v): %v", c.name, reopened, err)
			}
			// Behind the record that it selects, the same condition holds.
			r = If(event.Condition{Query: c.query, After: f.log.Mark().Size}, New(NewStream("probe"), "probe.made"))
			if _, err := f.log.Append(f.ctx, r); err != nil {
				f.Errorf("condition on %s, behind it: %v", c.name, err)
			}
		}
	}
	f.check()
}

func behindWindow(f *fixture) {
	f.open(eventlog.Options{Window: 4})
	claim := func(after event.Position) eventlog.Request {
		return If(event.Condition{Query: event.OfTerm(event.TagTerm("name:ada")), After: after}, New(NewStream("user"), "user.named", Tags("name:ada")))
	}
	p := f.append(claim(0)).Last
	for range 30 {
		f.append(Request(New(NewStream("user"), "user.noted")))
	}
	f.refused(claim(p-1), fault.Conflict)
	f.reopen()
	f.refused(claim(p-1), fault.Conflict)
	f.append(claim(p))
	f.refused(claim(p), fault.Conflict)
	f.check()
}

func versions(f *fixture) {
	f.open(eventlog.Options{})
	s, other := NewStream("user"), NewStream("user")
	at := func(v uint64) event.Condition { return event.Condition{Streams: map[event.Stream]uint64{s: v}} }
	f.append(If(at(0), New(s, "user.made"), New(s, "user.noted")))
	f.refused(If(at(0), New(s, "user.made")), fault.Conflict)
	f.refused(If(at(1), New(s, "user.noted")), fault.Conflict)
	f.refused(If(at(3), New(s, "user.noted")), fault.Conflict)
	f.reopen()
	f.refused(If(event.Condition{Streams: map[event.Stream]uint64{s: 2, other: 1}}, New(s, "user.noted")), fault.Conflict)
	f.append(If(event.Condition{Streams: map[event.Stream]uint64{s: 2, other: 0}}, New(s, "user.noted")))
	f.check()
}

func pastEnd(f *fixture) {
	f.open(eventlog.Options{})
	f.append(Request(New(NewStream("user"), "user.noted")))
	f.refused(If(event.Condition{Query: event.Everything(), After: 2}, New(NewStream("user"), "user.noted")), fault.Invalid)
}
