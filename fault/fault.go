// Package fault is the vocabulary of errors: one type, a closed list of kinds,
// and nothing else. Each edge of the product (HTTP, gRPC, OAuth, the command
// line) maps kinds to its own codes in one place.
//
// A fault's Msg is written for the person who reads it at three in the morning
// and may be shown to clients; the text of a wrapped foreign error never is.
// No message holds a secret or personal data.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of thing went wrong. The list only grows, at its end:
// kinds travel over the wire.
type Kind uint8

const (
	Internal        Kind = iota // a bug or a broken machine; details are for the log only
	Invalid                     // the input is malformed; Field says which part
	Unauthenticated             // nobody is signed in, or the credential is not good
	Denied                      // the actor may not do this
	NotFound                    // the thing does not exist, or the actor may not know that it does
	Exists                      // an identifier that must be unique is taken
	Conflict                    // somebody else changed the same facts meanwhile; decide again
	Refused                     // a rule of the domain forbids it in the present state
	Exhausted                   // too many, too large, or too often
	Unavailable                 // not now; nothing was changed; retry later
	Unknown                     // the outcome is not known: it may or may not have happened; retry with the same command id
	Erased                      // the person's data was erased
	Corrupt                     // stored bytes are not what they must be
)

var names = [...]string{
	"internal", "invalid", "unauthenticated", "denied", "not found", "exists", "conflict",
	"refused", "exhausted", "unavailable", "unknown outcome", "erased", "corrupt",
}

// String returns the kind's English name, in lower case.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is what went wrong. The zero Kind is Internal, so that forgetting the
// kind hides the message from strangers instead of telling too much.
type Error struct {
	Kind  Kind
	Op    string // what was being done: "append", "open the log"; may be empty
	Field string // for Invalid: the field at fault, in the caller's terms; may be empty
	Msg   string // one sentence without a final stop: what was wrong and what to do
	Err   error  // the cause; may be nil
}

// Error gives the whole trail, for operators.
func (e *Error) Error() string {
	s := e.Msg
	if s == "" {
		s = e.Kind.String()
	}
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes two faults without causes match when kind and message are the same,
// so that a sentinel stays recognisable after Op or Field was added to a copy.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Err == nil && t.Kind == e.Kind && t.Msg == e.Msg
}

// New makes a fault of kind k whose message is built as by fmt.Sprintf.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// Field makes an Invalid fault that names the field at fault.
func Field(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// Wrap adds what was being done to err, keeping its kind, field and message.
// It returns nil for nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Kind: KindOf(err), Op: op, Err: err}
	var f *Error
	if errors.As(err, &f) {
		e.Field, e.Msg = f.Field, f.Msg
		if f == err && f.Op == "" { // nothing to keep below
			e.Err = f.Err
		}
	}
	return e
}

// KindOf returns the kind of the outermost fault in err's chain; foreign
// errors, and nil, are Internal.
func KindOf(err error) Kind {
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Internal
}

// Is reports whether err is a fault of kind k. It is false for nil.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Public returns the message that may be shown to a client: the fault's own
// for all kinds but Internal and Corrupt, and a fixed one for those.
func Public(err error) string {
	var f *Error
	if !errors.As(err, &f) || f.Kind == Internal || f.Kind == Corrupt || f.Msg == "" {
		if f != nil && f.Kind != Internal && f.Kind != Corrupt {
			return f.Kind.String()
		}
		return "something went wrong on our side; it was logged"
	}
	return f.Msg
}

// Lasting marks an Exhausted fault that no waiting mends, such as that of
// something too large.
func Lasting(err error) error { return lasting{err} }

type lasting struct{ error }

// Unwrap gives the fault.
func (l lasting) Unwrap() error { return l.error }

// RetryAfter says that there is no time after which to try again.
func (lasting) RetryAfter() time.Duration { return 0 }

// RetryAfter is how long a client should wait before it tries again: what a
// cause in err's chain says with a method RetryAfter() time.Duration, else a
// second for what passes by itself; zero: trying again is no use.
func RetryAfter(err error) time.Duration {
	var r interface{ RetryAfter() time.Duration }
	switch {
	case errors.As(err, &r):
		return max(r.RetryAfter(), 0)
	case Is(err, Exhausted), Is(err, Unavailable):
		return time.Second
	}
	return 0
}

// Several is an error of which a client is told each part: all that is wrong
// with a set of documents, say.
type Several interface {
	error
	// Each is one line for each part.
	Each() []string
}

// Each lists the parts of what went wrong, if there are several that may be
// shown to a client.
func Each(err error) []string {
	var s Several
	if k := KindOf(err); k == Internal || k == Corrupt || !errors.As(err, &s) {
		return nil
	}
	return s.Each()
}
