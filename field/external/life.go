package external

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// of makes a decider of one adapter, which there must be.
func of[C any](name string, id func(C) event.ID, allow func(authz.Authority, State, C) error, what func(State, C) ([]any, error)) decide.Decider[State, C] {
	return decide.Decider[State, C]{
		Name:   name,
		Query:  func(c C) []decide.Facts { return Facts(id(c)) },
		Evolve: Evolve,
		Allow:  allow,
		Decide: func(s State, c C) (events []event.New, err error) {
			if err := s.Exists(); err != nil {
				return nil, err
			}
			payloads, err := what(s, c)
			for _, p := range payloads {
				events = append(events, one(s.ID, p)...)
			}
			return events, err
		},
	}
}

// managing allows those who may say whether events are delivered.
func managing[C any](a authz.Authority, s State, _ C) error { return manage(a, s.Organization) }

// system allows Muniment itself.
func system[C any](a authz.Authority, _ State, _ C) error {
	if !a.IsSystem() {
		return authz.Denied("be Muniment itself")
	}
	return nil
}

// On names an adapter, for whatever needs no more.
type On struct{ Adapter event.ID }

func adapterOf(c On) event.ID { return c.Adapter }

// Directed is On for what has events read anew: whoever says so reads them, too.
type Directed struct {
	Adapter event.ID
	Owner   event.ID // who gives the command
	Types   []string // of events of the adapter's entities, by the definitions in force
}

func directedOf(c Directed) event.ID { return c.Adapter }

func directing(a authz.Authority, s State, c Directed) error {
	return direct(a, s.Organization, s.Direction, c.Types, s.Settings.Unsealed)
}

// Change changes an adapter.
type Change struct {
	Directed
	Settings Settings
}

// Changing decides Change. What is pushed is read with the rights of whoever
// changed the adapter, from then on.
var Changing = of("change an adapter", func(c Change) event.ID { return c.Adapter },
	func(a authz.Authority, s State, c Change) error {
		return direct(a, s.Organization, s.Direction, c.Types, c.Settings.Unsealed || s.Settings.Unsealed)
	},
	func(s State, c Change) ([]any, error) {
		if err := c.Settings.Check(); err != nil || s.Settings == c.Settings {
			return nil, err
		}
		// Whoever may change the address is not to learn what others entrusted.
		if s.Credential.Kind != Signature && origin(s.Settings.URL) != origin(c.Settings.URL) {
			return nil, ErrOtherHost
		}
		x := c.Settings
		return []any{Changed{s.ID, s.Organization, c.Owner, x.Name, event.Seal(x.URL), x.Interval, x.Batch, x.Attempts, x.Unsealed}}, nil
	})

// SetCredential replaces what an adapter proves itself by.
type SetCredential struct {
	Adapter    event.ID
	Credential Credential
}

// SettingCredential decides SetCredential. Repeating it is meant: whether a
// secret is the same is nobody's to learn.
var SettingCredential = of("set an adapter's credential", func(c SetCredential) event.ID { return c.Adapter }, managing[SetCredential],
	func(s State, c SetCredential) ([]any, error) {
		if err := c.Credential.check(); err != nil {
			return nil, err
		}
		return []any{CredentialSet{s.ID, s.Organization, c.Credential.Kind, c.Credential.Secret}}, nil
	})

// Pausing decides that an adapter does nothing for a while.
var Pausing = of("pause an adapter", adapterOf, managing[On],
	func(s State, _ On) ([]any, error) {
		switch s.Status {
		case IsPaused:
			return nil, ErrPaused
		case IsStopped:
			return nil, ErrStopped
		}
		return []any{Paused{s.ID, s.Organization}}, nil
	})

// Stop ends what an adapter does because it cannot go on.
type Stop struct {
	Adapter event.ID
	Reason  string
}

// Stopping decides Stop; only Muniment itself gives it.
var Stopping = of("stop an adapter", func(c Stop) event.ID { return c.Adapter }, system[Stop],
	func(s State, c Stop) ([]any, error) {
		if s.Status != Active {
			return nil, nil
		}
		return []any{Stopped{s.ID, s.Organization, c.Reason}}, nil
	})

// Resuming decides that an adapter goes on, with the rights of whoever says so.
var Resuming = of("resume an adapter", directedOf, directing,
	func(s State, c Directed) ([]any, error) {
		if s.Status == Active {
			return nil, ErrActive
		}
		return []any{Resumed{s.ID, s.Organization, c.Owner}}, nil
	})

// Requesting decides that an adapter runs at once.
var Requesting = of("run an adapter", adapterOf, managing[On],
	func(s State, _ On) ([]any, error) {
		if s.Status != Active {
			return nil, ErrIdle
		}
		return []any{RunRequested{s.ID, s.Organization}}, nil
	})

// Removing decides that an adapter is no more.
var Removing = of("remove an adapter", adapterOf, managing[On],
	func(s State, _ On) ([]any, error) { return []any{Removed{s.ID, s.Organization}}, nil })

// Rewind has an adapter do again what it did.
type Rewind struct {
	Directed
	Push  bool
	After event.Position // push again what stands behind it
	Pull  bool           // pull everything again
}

// Rewinding decides Rewind. Repeating it is meant.
var Rewinding = of("rewind an adapter", func(c Rewind) event.ID { return c.Adapter },
	func(a authz.Authority, s State, c Rewind) error { return directing(a, s, c.Directed) },
	func(s State, c Rewind) (out []any, err error) {
		switch {
		case !c.Push && !c.Pull:
			return nil, fault.Field("after_position", "say from where to push again, or to pull again")
		case c.Push && !s.Direction.Pushes():
			return nil, ErrNoPush
		case c.Pull && !s.Direction.Pulls():
			return nil, ErrNoPull
		}
		if c.Push {
			out = append(out, PushRewound{s.ID, s.Organization, int64(c.After)})
		}
		if c.Pull {
			out = append(out, PullRewound{s.ID, s.Organization})
		}
		return out, nil
	})
