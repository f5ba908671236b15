package credential

import (
	"crypto/sha256"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// AssertionUsed says that a client proved itself with a signed assertion, which
// proves nothing a second time (RFC 7523 §3, OpenID Connect Core §9). It does
// not say that the client got what it asked for.
type AssertionUsed struct {
	Application  event.ID      `event:"application,public,tag=app"` // zero if it is a machine user
	User         event.ID      `event:"user,public,tag=user"`       // zero if it is an application
	Organization event.ID      `event:"organization,public,tag=org"`
	Key          event.ID      `event:"key,public"` // that it was signed with
	Expires      event.Instant `event:"expires,public"`
}

// Events are the types that this package owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[AssertionUsed]("client.assertion.used", 1, "{actor} proved itself with a signed assertion"),
	}
}

// Assertion names an assertion after its client and its jti: two with the same
// name are the same, and their stream holds one record.
func Assertion(client, jti string) event.ID {
	sum := sha256.Sum256([]byte("muniment client assertion\x00" + client + "\x00" + jti))
	return event.ID(sum[:16])
}

// AssertionStream is the stream of an assertion.
func AssertionStream(id event.ID) event.Stream { return event.Stream{Kind: "assertion", ID: id} }

// ErrUsed refuses an assertion that was used before.
var ErrUsed = fault.New(fault.Refused, "the assertion was used before; sign a new one, with another jti, for each request")

// UseAssertion spends an assertion.
type UseAssertion struct {
	Assertion event.ID
	AssertionUsed
}

// UsingAssertion decides UseAssertion: of any number at once, exactly one. The
// client gives it, whose signature was checked before.
var UsingAssertion = decide.Decider[bool, UseAssertion]{
	Name: "prove itself with an assertion",
	Query: func(c UseAssertion) []decide.Facts {
		return []decide.Facts{{Stream: AssertionStream(c.Assertion)}}
	},
	Evolve: func(bool, event.Fact) bool { return true },
	Allow:  func(authz.Authority, bool, UseAssertion) error { return nil },
	Decide: func(used bool, c UseAssertion) ([]event.New, error) {
		if used {
			return nil, ErrUsed
		}
		return []event.New{{Stream: AssertionStream(c.Assertion), Payload: c.AssertionUsed}}, nil
	},
}
