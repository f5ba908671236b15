package app

import (
	"muniment.dev/credential"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// SecretAdded says that the application has one more secret. Those before it
// work as they did.
type SecretAdded struct {
	Application  event.ID             `event:"application,public,subject,tag=app"`
	Project      event.ID             `event:"project,public,tag=project"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Secret       event.ID             `event:"secret,public"`
	Name         string               `event:"name,public"`
	Expires      event.Instant        `event:"expires,public"`
	Digest       event.Sealed[[]byte] `event:"digest,secret"` // SHA-256 of it
}

// SecretRemoved says that a secret does not work any more.
type SecretRemoved struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Secret       event.ID `event:"secret,public"`
}

// KeyAdded says that the application's assertions may be signed with one more
// key.
type KeyAdded struct {
	Application  event.ID      `event:"application,public,tag=app"`
	Project      event.ID      `event:"project,public,tag=project"`
	Organization event.ID      `event:"organization,public,tag=org"`
	Key          event.ID      `event:"key,public"`
	Name         string        `event:"name,public"`
	Expires      event.Instant `event:"expires,public"`
	KeyID        string        `event:"kid,public"`
	Algorithm    string        `event:"alg,public"`
	JWK          string        `event:"jwk,public"`
}

// KeyRemoved says that assertions signed with a key prove nothing any more.
type KeyRemoved struct {
	Application  event.ID `event:"application,public,tag=app"`
	Project      event.ID `event:"project,public,tag=project"`
	Organization event.ID `event:"organization,public,tag=org"`
	Key          event.ID `event:"key,public"`
}

func evolveCredentials(s credential.Set, f event.Fact) credential.Set {
	switch p := f.Payload.(type) {
	case SecretAdded:
		return s.WithSecret(credential.Secret{ID: p.Secret, Name: p.Name, Expires: p.Expires, Digest: p.Digest})
	case SecretRemoved:
		return s.Without(p.Secret)
	case KeyAdded:
		return s.WithKey(credential.Key{ID: p.Key, Name: p.Name, Expires: p.Expires, KeyID: p.KeyID, Algorithm: p.Algorithm, JWK: p.JWK})
	case KeyRemoved:
		return s.Without(p.Key)
	}
	return s
}

// Refusals.
var (
	ErrNoSecret   = fault.New(fault.Refused, "an application in a browser or on people's own machines has no secret: it could not keep it")
	ErrNoKey      = fault.New(fault.Refused, "an application in a browser or on people's own machines has no private key: it could not keep it")
	ErrLastSecret = fault.New(fault.Refused, "this is the last secret that works; create another first, or deactivate the application")
	ErrLastKey    = fault.New(fault.Refused, "this is the last key that works; add another first, or deactivate the application")
)

// secretAdded is the record of one more secret, or why it cannot be.
func (s State) secretAdded(n credential.NewSecret, now event.Instant) (any, error) {
	if err := n.Check(s.Credentials, now); err != nil {
		return nil, err
	}
	return SecretAdded{s.Application, s.Project, s.Organization, n.ID, n.Name, n.Expires, event.Seal(n.Digest[:])}, nil
}

func (s State) keyAdded(n credential.NewKey, now event.Instant) (any, error) {
	k, err := n.Check(s.Credentials, now)
	if err != nil {
		return nil, err
	}
	return KeyAdded{s.Application, s.Project, s.Organization, k.ID, k.Name, k.Expires, k.KeyID, k.Algorithm, k.JWK}, nil
}

type decider[C any] = decide.Decider[State, C]

// AddSecret gives an application one more secret.
type AddSecret struct {
	Application event.ID
	Secret      credential.NewSecret
	Now         event.Instant
}

// AddingSecret decides AddSecret.
var AddingSecret = change("create a client secret", func(c AddSecret) event.ID { return c.Application },
	func(s State, c AddSecret) (any, error) {
		if !s.Type.Confidential() {
			return nil, ErrNoSecret
		}
		return s.secretAdded(c.Secret, c.Now)
	})

// RemoveSecret ends a secret.
type RemoveSecret struct {
	Application event.ID
	Secret      event.ID
	Now         event.Instant
}

// RemovingSecret decides RemoveSecret. The last that works stays: without any
// a running application stops, and who means that deactivates it.
var RemovingSecret = change("remove a client secret", func(c RemoveSecret) event.ID { return c.Application },
	func(s State, c RemoveSecret) (any, error) {
		if _, ok := s.Credentials.Secret(c.Secret); !ok {
			return nil, credential.ErrNoSecret
		}
		if s.stops(ClientSecret, c.Secret, c.Now) {
			return nil, ErrLastSecret
		}
		return SecretRemoved{s.Application, s.Project, s.Organization, c.Secret}, nil
	})

// stops reports whether the application could not prove itself any more
// without a secret or key by which it can.
func (s State) stops(method string, without event.ID, now event.Instant) bool {
	return s.AuthMethod == method && !s.Inactive && s.proved(method, s.Credentials, now) && !s.proved(method, s.Credentials.Without(without), now)
}

// AddKey gives an application one more key.
type AddKey struct {
	Application event.ID
	Key         credential.NewKey
	Now         event.Instant
}

// AddingKey decides AddKey.
var AddingKey = change("add a key to an application", func(c AddKey) event.ID { return c.Application },
	func(s State, c AddKey) (any, error) {
		if !s.Type.Confidential() {
			return nil, ErrNoKey
		}
		return s.keyAdded(c.Key, c.Now)
	})

// RemoveKey ends a key.
type RemoveKey struct {
	Application event.ID
	Key         event.ID
	Now         event.Instant
}

// RemovingKey decides RemoveKey, of which the same holds as of RemovingSecret.
var RemovingKey = change("remove a key of an application", func(c RemoveKey) event.ID { return c.Application },
	func(s State, c RemoveKey) (any, error) {
		if _, ok := s.Credentials.Key(c.Key); !ok {
			return nil, credential.ErrNoKey
		}
		if s.stops(PrivateKeyJWT, c.Key, c.Now) {
			return nil, ErrLastKey
		}
		return KeyRemoved{s.Application, s.Project, s.Organization, c.Key}, nil
	})
