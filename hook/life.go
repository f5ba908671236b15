package hook

import (
	"reflect"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// of makes a decider of one subscription, which there must be.
func of[C any](name string, id func(C) event.ID, allow func(authz.Authority, State, C) error, what func(State, C) (any, error)) decide.Decider[State, C] {
	return decide.Decider[State, C]{
		Name:   name,
		Query:  func(c C) []decide.Facts { return Facts(id(c)) },
		Evolve: Evolve,
		Allow:  allow,
		Decide: func(s State, c C) ([]event.New, error) {
			if err := s.Exists(); err != nil {
				return nil, err
			}
			payload, err := what(s, c)
			if err != nil || payload == nil {
				return nil, err
			}
			return one(s.ID, payload), nil
		},
	}
}

// managing allows those who may say whether events are delivered.
func managing[C any](a authz.Authority, s State, _ C) error { return manage(a, s.Organization) }

// directing allows those who may also read what is delivered.
func directing[C any](a authz.Authority, s State, _ C) error {
	return direct(a, s.Organization, s.Settings)
}

// same reports whether two settings say the same.
func (s Settings) same(o Settings) bool {
	clear := func(f Filter) Filter {
		for _, list := range []*[]string{&f.Types, &f.Streams, &f.Actors, &f.Tags} {
			*list = append([]string{}, *list...)
		}
		f.Within, f.Users = append([]event.ID{}, f.Within...), append([]event.ID{}, f.Users...)
		return f
	}
	s.Filter, o.Filter = clear(s.Filter), clear(o.Filter)
	return reflect.DeepEqual(s, o)
}

// AddSecret has deliveries signed with one more secret.
type AddSecret struct {
	Subscription event.ID
	Secret       NewSecret
}

// AddingSecret decides AddSecret.
var AddingSecret = of("create a signing secret", func(c AddSecret) event.ID { return c.Subscription }, directing[AddSecret],
	func(s State, c AddSecret) (any, error) {
		switch {
		case s.Delivery != Webhook:
			return nil, ErrNoSecrets
		case slices.ContainsFunc(s.Secrets, func(x Secret) bool { return x.ID == c.Secret.ID }):
			return nil, nil
		case len(s.Secrets) >= MostSecrets:
			return nil, ErrSecrets
		}
		return SecretAdded{s.ID, s.Organization, c.Secret.ID, event.Seal(c.Secret.Key[:])}, nil
	})

// RemoveSecret ends that deliveries are signed with a secret.
type RemoveSecret struct {
	Subscription event.ID
	Secret       event.ID
}

// RemovingSecret decides RemoveSecret.
var RemovingSecret = of("remove a signing secret", func(c RemoveSecret) event.ID { return c.Subscription }, managing[RemoveSecret],
	func(s State, c RemoveSecret) (any, error) {
		switch {
		case !slices.ContainsFunc(s.Secrets, func(x Secret) bool { return x.ID == c.Secret }):
			return nil, ErrNoSecret
		case len(s.Secrets) == 1:
			return nil, ErrLastSecret
		}
		return SecretRemoved{s.ID, s.Organization, c.Secret}, nil
	})

// Pause ends delivery for a while.
type Pause struct{ Subscription event.ID }

// Pausing decides Pause.
var Pausing = of("pause a subscription", func(c Pause) event.ID { return c.Subscription }, managing[Pause],
	func(s State, _ Pause) (any, error) {
		switch s.Status {
		case IsPaused:
			return nil, ErrPaused
		case IsStopped:
			return nil, ErrStopped
		}
		return Paused{s.ID, s.Organization}, nil
	})

// Stop ends delivery because it cannot go on.
type Stop struct {
	Subscription event.ID
	Reason       string
}

// Stopping decides Stop; only Muniment itself gives it.
var Stopping = of("stop a subscription", func(c Stop) event.ID { return c.Subscription },
	func(a authz.Authority, _ State, _ Stop) error {
		if !a.IsSystem() {
			return authz.Denied("be Muniment itself")
		}
		return nil
	},
	func(s State, c Stop) (any, error) {
		if s.Status != Active {
			return nil, nil
		}
		return Stopped{s.ID, s.Organization, c.Reason}, nil
	})

// Resume goes on with delivery.
type Resume struct {
	Subscription event.ID
	Owner        event.ID // who gives the command
}

// Resuming decides Resume. Whoever resumes a subscription has events read with
// their own rights: it may have stopped because its owner lost theirs.
var Resuming = of("resume a subscription", func(c Resume) event.ID { return c.Subscription }, directing[Resume],
	func(s State, c Resume) (any, error) {
		if s.Status == Active {
			return nil, ErrActive
		}
		return Resumed{s.ID, s.Organization, c.Owner}, nil
	})

// Rewind goes on behind another position, back or ahead.
type Rewind struct {
	Subscription event.ID
	After        event.Position
}

// Rewinding decides Rewind. Repeating it is meant: what was delivered meanwhile
// comes again.
var Rewinding = of("rewind a subscription", func(c Rewind) event.ID { return c.Subscription }, directing[Rewind],
	func(s State, c Rewind) (any, error) { return Rewound{s.ID, s.Organization, int64(c.After)}, nil })

// Remove ends a subscription for good.
type Remove struct{ Subscription event.ID }

// Removing decides Remove.
var Removing = of("remove a subscription", func(c Remove) event.ID { return c.Subscription }, managing[Remove],
	func(s State, _ Remove) (any, error) { return Removed{s.ID, s.Organization}, nil })

// Settle says what becomes of events that could not be delivered.
type Settle struct {
	Subscription event.ID
	Positions    []event.Position
}

// MostAtOnce is how many events one Settle may name.
const MostAtOnce = 1000

func settling(name string, record func(State, event.Position) any) decide.Decider[State, Settle] {
	return decide.Decider[State, Settle]{
		Name:   name,
		Query:  func(c Settle) []decide.Facts { return Facts(c.Subscription) },
		Evolve: Evolve,
		Allow:  directing[Settle],
		Decide: func(s State, c Settle) ([]event.New, error) {
			if err := s.Exists(); err != nil {
				return nil, err
			}
			if len(c.Positions) == 0 || len(c.Positions) > MostAtOnce {
				return nil, fault.Field("positions", "name 1 to %d dead letters", MostAtOnce)
			}
			var events []event.New
			for _, p := range c.Positions {
				events = append(events, one(s.ID, record(s, p))...)
			}
			return events, nil
		},
	}
}

// Redriving decides that events are tried anew. Repeating it is meant: they may
// fail again.
var Redriving = settling("redrive dead letters", func(s State, p event.Position) any { return Redriven{s.ID, s.Organization, int64(p)} })

// Discarding decides that events are given up.
var Discarding = settling("discard dead letters", func(s State, p event.Position) any { return Discarded{s.ID, s.Organization, int64(p)} })
