package view

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"muniment.dev/event"
)

// Row is one row as it stood for a range of positions. Its accessors panic when
// asked for a column that the table does not have, that is of another kind, or
// that is personal where it is not expected: these are the programmer's mistakes.
type Row struct {
	Since event.Position // the event that made it so
	Until event.Position // the event that ended it; 0 if it stands

	t    *table
	vals []any // stored values, one for each column
	gone int64 // the bits of the erased columns
}

// Has reports whether the column holds anything that can be read.
func (r Row) Has(column string) bool { return r.vals[r.t.at(column)] != nil }

// State says what a column holds: nothing, a value, or what was erased.
func (r Row) State(column string) event.State { return r.state(r.t.at(column)) }

func (r Row) state(i int) event.State {
	switch {
	case r.gone&r.t.bit[i] != 0:
		return event.Erased
	case r.vals[i] == nil:
		return event.Absent
	}
	return event.Present
}

// value returns a column in the clear, which must not be personal, as T; the
// zero T if it holds nothing.
func value[T any](r Row, column string, kinds ...event.Kind) T {
	i := r.t.at(column)
	c := r.t.Columns[i]
	if c.Personal != "" {
		panic(fmt.Sprintf("view: column %s of %s is personal: read it with Personal", column, r.t.Name))
	}
	return as[T](r.t, i, r.vals[i], kinds)
}

func as[T any](t *table, i int, stored any, kinds []event.Kind) (out T) {
	c := t.Columns[i]
	if len(kinds) > 0 && kinds[0] != c.Kind {
		panic(fmt.Sprintf("view: column %s of %s is of kind %s, not %s", c.Name, t.Name, c.Kind, kinds[0]))
	}
	v, err := decode(c.Kind, stored)
	if err != nil {
		panic(fmt.Sprintf("view: column %s of %s: %v", c.Name, t.Name, err)) // checked when it was read
	}
	switch v := v.(type) {
	case nil:
		return out
	case T:
		return v
	}
	from, to := reflect.ValueOf(v), reflect.TypeFor[T]()
	if from.Kind() != to.Kind() || !from.CanConvert(to) {
		panic(fmt.Sprintf("view: column %s of %s holds a %T, not a %s", c.Name, t.Name, v, to))
	}
	return from.Convert(to).Interface().(T)
}

// Text returns a column of kind Text.
func (r Row) Text(column string) string { return value[string](r, column, event.Text) }

// Int returns a column of kind Int.
func (r Row) Int(column string) int64 { return value[int64](r, column, event.Int) }

// Bool returns a column of kind Bool.
func (r Row) Bool(column string) bool { return value[bool](r, column, event.Bool) }

// Bytes returns a column of kind Bytes.
func (r Row) Bytes(column string) []byte { return value[[]byte](r, column, event.Bytes) }

// Instant returns a column of kind Time.
func (r Row) Instant(column string) event.Instant {
	return value[event.Instant](r, column, event.Time)
}

// Time returns a column of kind Time, in UTC; the zero time if it holds nothing.
func (r Row) Time(column string) time.Time {
	if !r.Has(column) {
		return time.Time{}
	}
	return time.UnixMicro(int64(r.Instant(column))).UTC()
}

// ID returns a column of kind IDRef.
func (r Row) ID(column string) event.ID { return value[event.ID](r, column, event.IDRef) }

// Texts returns a column of kind Texts.
func (r Row) Texts(column string) []string { return value[[]string](r, column, event.Texts) }

// IDs returns a column of kind IDs.
func (r Row) IDs(column string) []event.ID { return value[[]event.ID](r, column, event.IDs) }

// Personal returns a personal column: present with its value, absent, or
// erased. T is what the column's kind gives, or a type made of it.
func Personal[T any](r Row, column string) event.Sealed[T] {
	i := r.t.at(column)
	if r.t.Columns[i].Personal == "" {
		panic(fmt.Sprintf("view: column %s of %s is not personal", column, r.t.Name))
	}
	s := event.Sealed[T]{State: r.state(i)}
	if s.State == event.Present {
		s.Value = as[T](r.t, i, r.vals[i], nil)
	}
	return s
}

// Format writes String for every verb: values must not reach logs by accident.
func (r Row) Format(f fmt.State, _ rune) { io.WriteString(f, r.String()) }

// String names the row by table, key and range; it shows nothing personal.
func (r Row) String() string {
	if r.t == nil {
		return "(no row)"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s(%s)[%d,", r.t.Name, r.t.showKey(r.t.keyOf(r.vals)), r.Since)
	if r.Until != 0 {
		fmt.Fprint(&b, r.Until)
	}
	b.WriteByte(')')
	return b.String()
}
