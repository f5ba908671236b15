package user

import (
	"muniment.dev/authz"
	"muniment.dev/credential"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
)

// MachineCreated says that a program has an account from now on: a machine
// user, which gets tokens of its own (RFC 6749 §4.4). Its name and description
// say what it does, not who somebody is, so they stand in the log in clear.
type MachineCreated struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Name         string   `event:"name,public"`
	Description  string   `event:"description,public"`
}

// MachineChanged says what a machine user is called and described as from now
// on.
type MachineChanged struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Name         string   `event:"name,public"`
	Description  string   `event:"description,public"`
}

// SecretAdded says that a machine user has one more secret.
type SecretAdded struct {
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Secret       event.ID             `event:"secret,public"`
	Name         string               `event:"name,public"`
	Expires      event.Instant        `event:"expires,public"`
	Digest       event.Sealed[[]byte] `event:"digest,secret"` // SHA-256 of it
}

// SecretRemoved says that a secret does not work any more, and neither do the
// tokens that were got with it.
type SecretRemoved struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Secret       event.ID `event:"secret,public"`
}

// KeyAdded says that a machine user may sign its assertions with one more key.
type KeyAdded struct {
	User         event.ID      `event:"user,public,tag=user"`
	Organization event.ID      `event:"organization,public,tag=org"`
	Key          event.ID      `event:"key,public"`
	Name         string        `event:"name,public"`
	Expires      event.Instant `event:"expires,public"`
	KeyID        string        `event:"kid,public"`
	Algorithm    string        `event:"alg,public"`
	JWK          string        `event:"jwk,public"`
}

// KeyRemoved says that assertions signed with a key prove nothing any more, and
// that the tokens that were got with it are good no more.
type KeyRemoved struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
	Key          event.ID `event:"key,public"`
}

func machineEvents() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[MachineCreated]("user.machine.created", 1, "{actor} created the machine user {name}"),
		event.Describe[MachineChanged]("user.machine.changed", 1, "{actor} changed the name or the description of {user}"),
		event.Describe[SecretAdded]("user.secret.added", 1, "{actor} added a secret to {user}"),
		event.Describe[SecretRemoved]("user.secret.removed", 1, "{actor} removed a secret of {user}"),
		event.Describe[KeyAdded]("user.key.added", 1, "{actor} added a key to {user}"),
		event.Describe[KeyRemoved]("user.key.removed", 1, "{actor} removed a key of {user}"),
	}
}

// Began are the types of the records by which a user comes to be.
var Began = []string{"user.registered", "user.machine.created"}

// evolveMachine folds what only machine users have.
func (s State) evolveMachine(f event.Fact) State {
	switch p := f.Payload.(type) {
	case MachineCreated:
		if p.User == s.User {
			s.Organization, s.Status, s.Machine, s.Description = p.Organization, Active, true, p.Description
			s.DisplayName = event.Seal(p.Name)
		}
	case MachineChanged:
		s.DisplayName, s.Description = event.Seal(p.Name), p.Description
	case SecretAdded:
		s.Credentials = s.Credentials.WithSecret(credential.Secret{ID: p.Secret, Name: p.Name, Expires: p.Expires, Digest: p.Digest})
	case SecretRemoved:
		s.Credentials = s.Credentials.Without(p.Secret)
	case KeyAdded:
		s.Credentials = s.Credentials.WithKey(credential.Key{ID: p.Key, Name: p.Name, Expires: p.Expires, KeyID: p.KeyID, Algorithm: p.Algorithm, JWK: p.JWK})
	case KeyRemoved:
		s.Credentials = s.Credentials.Without(p.Key)
	}
	return s
}

// Refusals.
var (
	ErrMachine    = fault.New(fault.Refused, "this is a machine user: it has secrets and keys, but no password, no e-mail address and no names of a person")
	ErrNoMachine  = fault.New(fault.Refused, "this is a person: people have a password, and no secrets or keys")
	errOwnProof   = authz.Denied("have somebody else change your own secrets and keys")
	errDescribing = fault.Field("description", "must have at most 1000 bytes of text, without control characters or space at its ends")
)

// Person returns nil if the user is there and a person.
func (s State) Person() error {
	if err := s.Exists(); err != nil || !s.Machine {
		return err
	}
	return ErrMachine
}

func checkMachine(name, description string) error {
	if err := org.CheckName(name); err != nil {
		return err
	}
	if checkText("description", description, 0, 1000) != nil {
		return errDescribing
	}
	return nil
}

// CreateMachine gives a program an account.
type CreateMachine struct {
	User              event.ID // fresh
	Organization      event.ID
	Name, Description string
}

// CreatingMachine decides CreateMachine.
var CreatingMachine = decide.Decider[State, CreateMachine]{
	Name:  "create a machine user",
	Start: func(c CreateMachine) State { return Start(c.User) },
	Query: func(c CreateMachine) []decide.Facts {
		return append(own(c.User), decide.Facts{Types: org.Types, Stream: org.Stream(c.Organization)})
	},
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, c CreateMachine) error {
		return a.Need(authz.ManageUsers, authz.Of(c.Organization))
	},
	Decide: func(s State, c CreateMachine) ([]event.New, error) {
		if s.Status != "" {
			return nil, fault.New(fault.Exists, "a user with this id exists already")
		}
		if err := checkMachine(c.Name, c.Description); err != nil {
			return nil, err
		}
		if err := s.org.Usable(); err != nil {
			return nil, err
		}
		return one(c.User, MachineCreated(c)), nil
	},
}

// ChangeMachine changes what is not nil.
type ChangeMachine struct {
	User              event.ID
	Name, Description *string
}

// ChangingMachine decides ChangeMachine.
var ChangingMachine = machine("change a machine user", func(c ChangeMachine) event.ID { return c.User }, func(s State, c ChangeMachine) (any, error) {
	name, description := or(c.Name, s.DisplayName.Value), or(c.Description, s.Description)
	if err := checkMachine(name, description); err != nil || name == s.DisplayName.Value && description == s.Description {
		return nil, err
	}
	return MachineChanged{s.User, s.Organization, name, description}, nil
})

// AddSecret gives a machine user one more secret.
type AddSecret struct {
	User   event.ID
	Secret credential.NewSecret
	Now    event.Instant
}

// AddingSecret decides AddSecret.
var AddingSecret = machine("create a secret of a machine user", func(c AddSecret) event.ID { return c.User }, func(s State, c AddSecret) (any, error) {
	if err := c.Secret.Check(s.Credentials, c.Now); err != nil {
		return nil, err
	}
	return SecretAdded{s.User, s.Organization, c.Secret.ID, c.Secret.Name, c.Secret.Expires, event.Seal(c.Secret.Digest[:])}, nil
})

// RemoveSecret ends a secret. The last one, too: unlike an application, a
// machine user is nothing that people wait for.
type RemoveSecret struct{ User, Secret event.ID }

// RemovingSecret decides RemoveSecret.
var RemovingSecret = machine("remove a secret of a machine user", func(c RemoveSecret) event.ID { return c.User }, func(s State, c RemoveSecret) (any, error) {
	if _, ok := s.Credentials.Secret(c.Secret); !ok {
		return nil, credential.ErrNoSecret
	}
	return SecretRemoved{s.User, s.Organization, c.Secret}, nil
})

// AddKey lets a machine user sign with one more key.
type AddKey struct {
	User event.ID
	Key  credential.NewKey
	Now  event.Instant
}

// AddingKey decides AddKey.
var AddingKey = machine("add a key to a machine user", func(c AddKey) event.ID { return c.User }, func(s State, c AddKey) (any, error) {
	k, err := c.Key.Check(s.Credentials, c.Now)
	if err != nil {
		return nil, err
	}
	return KeyAdded{s.User, s.Organization, k.ID, k.Name, k.Expires, k.KeyID, k.Algorithm, k.JWK}, nil
})

// RemoveKey ends a key.
type RemoveKey struct{ User, Key event.ID }

// RemovingKey decides RemoveKey.
var RemovingKey = machine("remove a key of a machine user", func(c RemoveKey) event.ID { return c.User }, func(s State, c RemoveKey) (any, error) {
	if _, ok := s.Credentials.Key(c.Key); !ok {
		return nil, credential.ErrNoKey
	}
	return KeyRemoved{s.User, s.Organization, c.Key}, nil
})

// machine makes the decider of a command that changes a machine user. It needs
// what taking over an account needs: whoever knows its secret is it. It does not
// change itself: a token that was stolen must not become a secret.
func machine[C any](name string, id func(C) event.ID, next func(State, C) (any, error)) decide.Decider[State, C] {
	return decide.Decider[State, C]{
		Name:   name,
		Start:  func(c C) State { return Start(id(c)) },
		Query:  func(c C) []decide.Facts { return managed(id(c)) },
		Evolve: Evolve,
		Allow: func(a authz.Authority, s State, c C) error {
			if a.Is(id(c)) {
				return errOwnProof
			}
			return s.Manageable(a)
		},
		Decide: func(s State, c C) ([]event.New, error) {
			if err := s.Exists(); err != nil {
				return nil, err
			}
			if !s.Machine {
				return nil, ErrNoMachine
			}
			e, err := next(s, c)
			if e == nil || err != nil {
				return nil, err
			}
			return one(s.User, e), nil
		},
	}
}
