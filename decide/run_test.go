package decide_test

import (
	"context"
	"errors"
	"testing"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/user"
)

// shaky is a log whose first answers are others than its own.
type shaky struct {
	*eventlog.Log
	instead []error // of the first appends; nil: lost, though it happened
}

func (s *shaky) Append(ctx context.Context, r eventlog.Request) (eventlog.Appended, error) {
	if len(s.instead) == 0 {
		return s.Log.Append(ctx, r)
	}
	err := s.instead[0]
	s.instead = s.instead[1:]
	if err != nil {
		return eventlog.Appended{}, err
	}
	if _, err := s.Log.Append(ctx, r); err != nil {
		return eventlog.Appended{}, err
	}
	return eventlog.Appended{}, fault.New(fault.Unknown, "no answer")
}

// An outcome that is not known is reported neither as success nor as failure,
// and a command that was recorded is not refused for what it did itself.
func TestUnknownOutcomes(t *testing.T) {
	unknown, away := fault.New(fault.Unknown, "no answer"), fault.New(fault.Unavailable, "away")
	for name, c := range map[string]struct {
		instead []error
		kind    fault.Kind // Internal: it succeeds
	}{
		"kept":                {[]error{nil}, fault.Internal},
		"lost":                {[]error{unknown}, fault.Internal},
		"lost, then away":     {[]error{unknown, away}, fault.Unknown},
		"kept, then not away": {[]error{nil, away}, fault.Internal},
		"away":                {[]error{away}, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r, organization := openRunner(t)
			id := event.NewID()
			mustRun(t, r, user.Registering, user.Register{User: id, Organization: organization, Email: "ada@example.org", Names: user.Names{Given: "Ada"}})
			r.To = &shaky{r.Log, c.instead}
			env := decide.Envelope{Actor: event.System, Command: event.NewID(), Request: []byte("lock ada")}
			res, err := decide.Run(t.Context(), r, user.Locking, env, user.Lock{User: id})
			if c.kind != fault.Internal {
				if !fault.Is(err, c.kind) {
					t.Fatalf("got %v, want %v", err, c.kind)
				}
				return
			}
			if err != nil || res.Events != 1 || res.First != r.Log.Mark().Size {
				t.Fatalf("got %+v, %v", res, err)
			}
			if _, err := decide.Run(t.Context(), r, user.Locking, decide.Envelope{Actor: event.System}, user.Lock{User: id}); !errors.Is(err, user.ErrLocked) {
				t.Fatalf("another lock: %v", err)
			}
		})
	}
}

// The same command given by eight at once is done once, and all are told so.
func TestGivenTwiceAtOnce(t *testing.T) {
	r, organization := openRunner(t)
	id := event.NewID()
	mustRun(t, r, user.Registering, user.Register{User: id, Organization: organization, Email: "ada@example.org", Names: user.Names{Given: "Ada"}})
	for range 20 {
		mustRun(t, r, user.Locking, user.Lock{User: id})
		env := decide.Envelope{Actor: event.System, Command: event.NewID(), Request: []byte("unlock ada")}
		firsts := make(chan event.Position, 8)
		for range 8 {
			go func() {
				res, err := decide.Run(t.Context(), r, user.Unlocking, env, user.Unlock{User: id})
				if err != nil {
					t.Error(err)
				}
				firsts <- res.First
			}()
		}
		for range 8 {
			if p := <-firsts; p != r.Log.Mark().Size {
				t.Errorf("done at %d, the log ends at %d", p, r.Log.Mark().Size)
			}
		}
	}
}

// Nobody has the authority of another who is no user either.
func TestAuthorityIsOnesOwn(t *testing.T) {
	r, _ := openRunner(t)
	for _, a := range []event.Actor{event.System, {Kind: "visitor", ID: event.NewID()}, event.System} {
		who, err := r.Authority(t.Context(), a, r.Log.Mark().Size)
		if err != nil || who.Actor != a || who.IsSystem() != (a == event.System) {
			t.Fatalf("%v has the authority of %v (%v)", a, who.Actor, err)
		}
	}
}
