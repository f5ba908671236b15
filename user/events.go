// Package user holds people: their accounts, names, e-mail addresses and
// passwords, whether they may sign in, and their erasure; and machine users, the
// accounts of programs, with their secrets and keys. Everything personal
// is sealed under the person's own key, whose subject id is the user's id.
package user

import (
	"muniment.dev/event"
)

// Registered says that a person has an account from now on. It does not say
// that they can sign in: that needs a password.
type Registered struct {
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Email        event.Sealed[string] `event:"email,blind=email,fold"`
	GivenName    event.Sealed[string] `event:"given_name"`
	FamilyName   event.Sealed[string] `event:"family_name"`
	DisplayName  event.Sealed[string] `event:"display_name"`
}

// ProfileChanged says which names changed. Names that are absent stayed.
type ProfileChanged struct {
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	GivenName    event.Sealed[string] `event:"given_name"`
	FamilyName   event.Sealed[string] `event:"family_name"`
	DisplayName  event.Sealed[string] `event:"display_name"`
}

// EmailChanged says that a person signs in with another address from now on;
// the former one is free for others.
type EmailChanged struct {
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Email        event.Sealed[string] `event:"email,blind=email,fold"`
	Former       event.Sealed[string] `event:"former,blind=email,fold,only"`
}

// PasswordSet says that a person's password is another from now on. It does
// not say who chose it: the actor does.
type PasswordSet struct {
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Hash         event.Sealed[string] `event:"hash,secret"` // argon2id in PHC string format
}

// SetupLinkCreated says that whoever holds the link may set the password, once
// and until it expires. Earlier links stopped working.
type SetupLinkCreated struct {
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Digest       event.Sealed[[]byte] `event:"digest,secret"` // SHA-256 of the link's secret
	Expires      event.Instant        `event:"expires,public"`
}

// SetupLinkUsed says that a link was used and is spent.
type SetupLinkUsed struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Locked says that a person cannot sign in until unlocked; their sessions end.
type Locked struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Unlocked ends a lock. Sessions that the lock ended stay ended.
type Unlocked struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Deactivated says that an account is out of use; nothing is deleted.
type Deactivated struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Reactivated takes a deactivated account into use again.
type Reactivated struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Erased says that an account ended and that its e-mail address is free. The
// record after it, subject.erased, destroys the key.
type Erased struct {
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Email        event.Sealed[string] `event:"email,blind=email,fold,only"`
}

// ErasureCompleted says that the person's wrapped key, ciphertexts and blind
// tags stand in none of this server's files any more.
type ErasureCompleted struct {
	User         event.ID `event:"user,public,tag=user"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return append([]event.Descriptor{
		event.Describe[Registered]("user.registered", 1, "{actor} registered {user}"),
		event.Describe[ProfileChanged]("user.profile.changed", 1, "{actor} changed the names of {user}"),
		event.Describe[EmailChanged]("user.email.changed", 1, "{actor} changed the e-mail address of {user} to {email}"),
		event.Describe[PasswordSet]("user.password.set", 1, "{actor} set the password of {user}"),
		event.Describe[SetupLinkCreated]("user.setup-link.created", 1, "{actor} made a set-up link for {user}"),
		event.Describe[SetupLinkUsed]("user.setup-link.used", 1, "{user} used their set-up link"),
		event.Describe[Locked]("user.locked", 1, "{actor} locked {user}"),
		event.Describe[Unlocked]("user.unlocked", 1, "{actor} unlocked {user}"),
		event.Describe[Deactivated]("user.deactivated", 1, "{actor} deactivated {user}"),
		event.Describe[Reactivated]("user.reactivated", 1, "{actor} reactivated {user}"),
		event.Describe[LockoutBegun]("user.lockout.begun", 1, "{user} is locked out until {until}, after too many wrong passwords"),
		event.Describe[LockoutEnded]("user.lockout.ended", 1, "{actor} ended the lockout of {user}"),
		event.Describe[Erased]("user.erased", 1, "{actor} erased {user}"),
		event.Describe[ErasureCompleted]("user.erasure.completed", 1, "the erasure of {user} is complete"),
	}, machineEvents()...)
}

// Stream is a user's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "user", ID: id} }

// SubjectStream is the stream of a user's erasure.
func SubjectStream(id event.ID) event.Stream { return event.Stream{Kind: "subject", ID: id} }
