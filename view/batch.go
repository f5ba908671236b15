package view

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// batch applies facts within one transaction. It folds their changes in memory
// in the order of the log and writes what remains: each row once, each ended
// range once. What it writes does not depend on where batches begin and end.
type batch struct {
	db     *database
	facts  []event.Fact
	checks bool // Options.Verify
	ops    []op // not folded yet
	tables map[*table]*overlay

	wants   [][]want         // of each fact that was looked at: the states that it needs
	window  int              // how many facts are looked at next
	touched map[rowName]bool // rows of states that ops which wait change behind the fold's back
}

// op is one change to one row, checked and encoded.
type op struct {
	fact   event.Fact
	index  int // of the fact in its batch
	t      *table
	key    []any
	name   string // the packed key
	set    []setting
	remove bool
}

// setting is a column's new value.
type setting struct {
	column int
	value  any // nil if erased
	erased bool
}

// overlay is what a batch knows of one table: rows as they are after the
// changes folded so far, and ranges that ended.
type overlay struct {
	rows  map[string]*entry
	past  []ended
	moves [][]move // for each unique set
}

// entry is one row, nil if it does not exist.
type entry struct {
	key       []any
	old, cur  *tuple // in the database, and after the changes
	before    *tuple // before the fact that touched it last
	beforePos event.Position
}

// tuple is a row's content. It is not changed once it is in an entry.
type tuple struct {
	vals  []any
	gone  int64
	since event.Position
}

type ended struct {
	*tuple
	until event.Position
}

// Failure is an event that a view could not apply.
type Failure struct {
	View     string
	Position event.Position
	Type     string
	Err      error

	index int // in the batch
}

// Error says which event and why. It holds nothing personal.
func (f *Failure) Error() string {
	return fmt.Sprintf("view %s cannot apply %s at position %d: %v", f.View, f.Type, f.Position, f.Err)
}

// Unwrap returns why.
func (f *Failure) Unwrap() error { return f.Err }

func failed(view string, f event.Fact, index int, err error) *Failure {
	return &Failure{View: view, Position: f.Position, Type: f.Type, Err: err, index: index}
}

// add takes in the i-th fact. Errors other than *Failure are the database's.
func (b *batch) add(i int, f event.Fact) error {
	if f.Type == erasedType {
		if err := b.erase(i, f); err != nil {
			return err
		}
	}
	if b.db.lay.stateful && len(b.wants) <= i {
		if err := b.lookAhead(i); err != nil {
			return err
		}
	}
	for _, v := range b.db.lay.consumers(f.Type) {
		if v.Apply == nil {
			continue
		}
		var changes []Change
		if err := unpanicked(func() error { changes = v.Apply(f); return nil }); err != nil {
			return failed(v.Name, f, i, err)
		}
		if err := b.addChanges(v, i, f, changes, rowName{}); err != nil {
			return err
		}
	}
	if !b.db.lay.stateful {
		return nil
	}
	for _, w := range b.wants[i] {
		if err := b.applyFold(w, i, f); err != nil {
			return err
		}
	}
	return nil
}

// unpanicked calls a view's function and makes an error of a panic.
func unpanicked(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, "it panicked: %v", r)
		}
	}()
	return f()
}

// addChanges takes in what a fact changes. own is the row whose next state its
// fold has given.
func (b *batch) addChanges(v *View, i int, f event.Fact, changes []Change, own rowName) error {
	var all []op
	for n := range changes {
		// Where looks at the rows before the event, so at the database; what
		// waits for one of its tables must be in it.
		if changes[n].Where != nil && slices.ContainsFunc(b.ops, func(o op) bool { return o.t.Name == changes[n].Table }) {
			if err := b.flush(); err != nil {
				return err
			}
		}
		ops, err := b.resolve(v, &changes[n])
		if err != nil {
			if ofDatabase(err) {
				return err
			}
			return failed(v.Name, f, i, err)
		}
		for _, o := range ops {
			o.fact, o.index = f, i
			if name := (rowName{o.t, o.name}); o.t.folded && name != own {
				b.db.memory.drop(name)
				b.touched[name] = true
			}
			all = append(all, o)
		}
	}
	b.ops = append(b.ops, all...)
	return nil
}

// resolve makes ops of a change.
func (b *batch) resolve(v *View, c *Change) ([]op, error) {
	t := b.db.lay.tables[c.Table]
	if t == nil || t.view != v {
		return nil, fault.New(fault.Internal, "it has no table %q", c.Table)
	}
	if c.Delete && len(c.Set) > 0 || (c.Key == nil) == (c.Where == nil) {
		return nil, fault.New(fault.Internal, "a change of %s names a row by Key or rows by Where, and sets columns or deletes", t.Name)
	}
	set, err := t.settings(c.Set)
	if err != nil {
		return nil, err
	}
	if c.Where != nil {
		return b.selected(t, c, set)
	}
	key, err := t.keyValues(c.Key)
	if err != nil {
		return nil, err
	}
	return []op{{t: t, key: key, name: string(pack(nil, key)), set: set, remove: c.Delete}}, nil
}

// selected finds the rows that a change is for, in the order of their keys.
func (b *batch) selected(t *table, c *Change, set []setting) ([]op, error) {
	q := selection{t: t}
	for _, name := range slices.Sorted(maps.Keys(c.Where)) {
		if i, ok := t.index[name]; ok && t.bit[i] != 0 {
			return nil, fault.New(fault.Internal, "rows of %s cannot be changed where %s is a value: it is personal, and after an erasure other rows would be", t.Name, name)
		}
		if err := q.where(Eq(name, c.Where[name])); err != nil {
			return nil, err
		}
	}
	var ops []op
	sql, args := q.keys()
	err := query(context.Background(), b.db.w, sql, args, func(vals []any) error {
		key := slices.Clone(vals)
		ops = append(ops, op{t: t, key: key, name: string(pack(nil, key)), set: set, remove: c.Delete})
		return nil
	})
	return ops, err
}

// settings checks and encodes what a change sets, in the order of columns.
func (t *table) settings(vs Values) ([]setting, error) {
	if len(vs) == 0 {
		return nil, nil
	}
	out := make([]setting, 0, len(vs))
	for name, v := range vs {
		i, ok := t.index[name]
		if !ok || t.inKey[i] {
			return nil, fault.New(fault.Internal, "table %s has no column %q that can be set", t.Name, name)
		}
		s := setting{column: i}
		value, state, sealed := unseal(v)
		switch {
		case v == nil:
			out = append(out, s)
			continue
		case sealed != (t.bit[i] != 0):
			return nil, fault.New(fault.Internal, "column %s of %s: a personal column takes sealed values, and no other does", name, t.Name)
		case sealed && state == event.Absent:
			continue
		case sealed && state == event.Locked:
			return nil, fault.New(fault.Internal, "column %s of %s: the value is locked; the views need the key to it", name, t.Name)
		case sealed:
			s.erased = state == event.Erased
			v = value
		}
		if !s.erased {
			var err error
			if s.value, err = encode(t.Columns[i].Kind, v); err != nil {
				return nil, fault.Wrap("column "+name+" of "+t.Name, err)
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b setting) int { return a.column - b.column })
	return out, nil
}

// with is the tuple that follows from cur (nil if there is no row) by an op.
func (o *op) with(cur *tuple) (*tuple, error) {
	t := o.t
	next := &tuple{vals: make([]any, len(t.Columns)), since: o.fact.Position}
	if cur != nil {
		copy(next.vals, cur.vals)
		next.gone = cur.gone
	} else {
		for i, c := range t.key {
			next.vals[c] = o.key[i]
		}
	}
	var touched int64
	for _, s := range o.set {
		next.vals[s.column] = s.value
		touched |= t.bit[s.column]
		next.gone &^= t.bit[s.column]
		if s.erased {
			next.gone |= t.bit[s.column]
		}
	}
	for i, subject := range t.of {
		if subject < 0 {
			continue
		}
		if cur != nil && touched&t.bit[i] == 0 && !equal(cur.vals[subject], next.vals[subject]) {
			next.vals[i] = nil
			next.gone &^= t.bit[i]
		}
		if _, ok := subjectOf(next.vals[subject]); !ok && next.vals[i] != nil {
			return nil, fault.New(fault.Internal, "column %s of %s has a value but no subject in %s: nobody could erase it",
				t.Columns[i].Name, t.Name, t.Columns[subject].Name)
		}
	}
	return next, nil
}
