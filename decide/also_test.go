package decide_test

import (
	"errors"
	"testing"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/user"
)

// What a command is conditioned on besides its decider's facts is looked at
// once: when it does not hold, deciding again cannot mend it. Facts of the
// decider that change are decided upon again.
func TestAlso(t *testing.T) {
	r, organization := openRunner(t)
	register := func(email string) event.ID {
		id := event.NewID()
		mustRun(t, r, user.Registering, user.Register{User: id, Organization: organization, Email: email, Names: user.Names{Given: "Ada"}})
		return id
	}
	ada, bob := register("ada@example.org"), register("bob@example.org")
	mark := r.Log.Mark().Size
	of := event.OfStream(user.Stream(bob))
	head := func(id event.ID) uint64 {
		h, _, err := r.Log.Store().Stream(t.Context(), r.Log.ID(), user.Stream(id))
		if err != nil {
			t.Fatal(err)
		}
		return h.Version
	}
	run := func(c event.Condition, id event.ID) error {
		_, err := decide.Run(t.Context(), r, user.Locking, decide.Envelope{Actor: event.System, Command: event.NewID(), Also: c}, user.Lock{User: id})
		return err
	}
	unlock := func(id event.ID) { mustRun(t, r, user.Unlocking, user.Unlock{User: id}) }
	if err := run(event.Condition{Query: of, After: mark}, ada); err != nil {
		t.Fatalf("nothing of Bob's came after: %v", err)
	}
	unlock(ada)
	if err := run(event.Condition{Query: of, After: mark - 1}, ada); !errors.Is(err, decide.ErrAlso) {
		t.Errorf("Bob was registered since: %v", err)
	}
	mustRun(t, r, user.Locking, user.Lock{User: bob})
	if err := run(event.Condition{Query: of, After: mark}, ada); !errors.Is(err, decide.ErrAlso) {
		t.Errorf("Bob was locked since: %v", err)
	}
	if err := run(event.Condition{Query: event.OfStream(user.Stream(ada)), After: mark}, ada); !errors.Is(err, decide.ErrAlso) {
		t.Errorf("a fact of the decider that is a condition, too: %v", err)
	}
	if err := run(event.Condition{Streams: map[event.Stream]uint64{user.Stream(ada): head(ada) - 1}}, ada); !errors.Is(err, eventlog.ErrVersion) {
		t.Errorf("an old version: %v", err)
	}
	if err := run(event.Condition{Streams: map[event.Stream]uint64{user.Stream(event.NewID()): 0, user.Stream(ada): head(ada)}}, ada); err != nil {
		t.Errorf("as it is: %v", err)
	}
	unlock(ada)
	before := r.Log.Mark().Size
	if err := run(event.Condition{Streams: map[event.Stream]uint64{user.Stream(bob): 0}}, ada); !errors.Is(err, eventlog.ErrVersion) || r.Log.Mark().Size != before {
		t.Errorf("a stream that is to be new: %v, %d records", err, r.Log.Mark().Size-before)
	}
}
