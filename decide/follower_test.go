package decide_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
	"muniment.dev/seal"
	"muniment.dev/user"
)

// deaf is a store that counts how often it is asked about commands, and shows no
// records while it is blind.
type deaf struct {
	*memlog.Store
	asked int
	blind bool
}

func (s *deaf) Outcome(ctx context.Context, log event.LogID, a event.Actor, c event.ID) (eventlog.Outcome, bool, error) {
	s.asked++
	return s.Store.Outcome(ctx, log, a, c)
}

func (s *deaf) Records(ctx context.Context, log event.LogID, from, to event.Position) iter.Seq2[*event.Record, error] {
	if s.blind {
		return func(yield func(*event.Record, error) bool) { yield(nil, fault.New(fault.Unavailable, "away")) }
	}
	return s.Store.Records(ctx, log, from, to)
}

// On a node that follows, a new command costs no question about it, and one that
// is repeated does its work once all the same and is answered as what it was.
func TestRepeatedOnAFollower(t *testing.T) {
	store := memlog.New()
	r, organization := openRunnerOn(t, store, eventlog.Options{Lease: time.Hour, Address: "holder"})
	holder, own := r.Log, &deaf{Store: store}
	follower, err := eventlog.Open(t.Context(), own, holder.ID(), eventlog.Options{Lease: time.Hour,
		Forward: func(ctx context.Context, _ eventlog.Held, q eventlog.Request) (eventlog.Appended, error) {
			return holder.AppendHere(ctx, q)
		},
		Hear: func(ctx context.Context, _ eventlog.Held, after event.Position) (eventlog.Handed, error) {
			return holder.Hand(ctx, after)
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	over := &decide.Runner{Log: follower, Sealer: &seal.Sealer{Log: r.Sealer.Log, Assigned: follower, Keys: r.Sealer.Keys, Instance: r.Sealer.Instance, Registry: r.Sealer.Registry}}
	id := event.NewID()
	mustRun(t, over, user.Registering, user.Register{User: id, Organization: organization, Email: "ada@example.org", Names: user.Names{Given: "Ada"}})
	env := decide.Envelope{Actor: event.System, Command: event.NewID(), Request: []byte("lock ada")}
	lock := user.Lock{User: id}
	first, err := decide.Run(t.Context(), over, user.Locking, env, lock)
	if err != nil || first.Events != 1 || own.asked != 0 {
		t.Fatalf("%+v, %v; the store was asked %d times", first, err, own.asked)
	}
	again, err := decide.Run(t.Context(), over, user.Locking, env, lock)
	if err != nil || !again.Replayed || again.First != first.First || again.Stream != first.Stream || follower.Mark().Size != first.Last {
		t.Fatalf("again: %+v, %v", again, err)
	}
	other := env
	other.Request = []byte("unlock ada")
	if _, err := decide.Run(t.Context(), over, user.Unlocking, other, user.Unlock{User: id}); !errors.Is(err, eventlog.ErrCommandReused) {
		t.Fatalf("another request under its id: %v", err)
	}
	if _, err := decide.Run(t.Context(), over, user.Locking, decide.Envelope{Actor: event.System}, lock); !errors.Is(err, user.ErrLocked) {
		t.Fatalf("another lock: %v", err)
	}
	own.blind = true // it was done, and cannot be read: nobody may be told that it was not
	if _, err := decide.Run(t.Context(), over, user.Locking, env, lock); !fault.Is(err, fault.Unknown) {
		t.Fatalf("again, while nothing can be read: %v", err)
	}
}
