package event

import "fmt"

// State says what became of a sealed field.
type State uint8

const (
	Absent  State = iota // the event does not have it
	Present              // Value holds it
	Erased               // its subject was erased; nobody can read it any more
	Locked               // it is there, but the reader has no key to it
)

// String returns the state's name.
func (s State) String() string { return [...]string{"absent", "present", "erased", "locked"}[s&3] }

// Sealed is a field that is stored encrypted under its subject's key. Every
// field of an event that is not marked public has this type, so that an erased
// value can never be mistaken for an empty one.
type Sealed[T any] struct {
	Value T
	State State
}

// Seal returns a present value.
func Seal[T any](v T) Sealed[T] { return Sealed[T]{Value: v, State: Present} }

// Get returns the value and whether it is present.
func (s Sealed[T]) Get() (T, bool) { return s.Value, s.State == Present }

// Or returns s if it says anything, else the earlier value; for folding
// changes that leave fields out.
func (s Sealed[T]) Or(earlier Sealed[T]) Sealed[T] {
	if s.State == Absent {
		return earlier
	}
	return s
}

// Format never prints the value: sealed fields must not reach logs by accident.
func (s Sealed[T]) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "(sealed, %s)", s.State) }

// sealedReader is how the codec looks into a Sealed[T] of any T.
type sealedReader interface {
	sealedState() State
	sealedValue() any
}

// sealedField is how it reaches into one, through a pointer.
type sealedField interface {
	sealedReader
	open(State) any // sets the state, returns a pointer to the value
}

func (s Sealed[T]) sealedState() State    { return s.State }
func (s Sealed[T]) sealedValue() any      { return s.Value }
func (s *Sealed[T]) open(state State) any { s.State = state; return &s.Value }
