package sim

import (
	"slices"

	"muniment.dev/event"
)

// timeline is how a value changed along the log. The zero timeline holds the
// zero value at all positions.
type timeline[T any] struct{ steps []step[T] }

type step[T any] struct {
	from event.Position
	v    T
}

func (t *timeline[T]) set(at event.Position, v T) { t.steps = append(t.steps, step[T]{at, v}) }

// now is the value behind the last record.
func (t *timeline[T]) now() (v T) {
	if t != nil && len(t.steps) > 0 {
		v = t.steps[len(t.steps)-1].v
	}
	return v
}

// at is the value behind the record at p.
func (t *timeline[T]) at(p event.Position) (v T) {
	if t == nil {
		return v
	}
	for _, s := range t.steps {
		if s.from > p {
			break
		}
		v = s.v
	}
	return v
}

// ever reports whether is held behind any record from a to b.
func (t *timeline[T]) ever(a, b event.Position, is func(T) bool) bool {
	if is(t.at(a)) {
		return true
	}
	return t != nil && slices.ContainsFunc(t.steps, func(s step[T]) bool { return s.from > a && s.from <= b && is(s.v) })
}

// line returns the timeline of a key, made if need be.
func line[K comparable, T any](m map[K]*timeline[T], k K) *timeline[T] {
	if m[k] == nil {
		m[k] = &timeline[T]{}
	}
	return m[k]
}
