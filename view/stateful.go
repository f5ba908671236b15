package view

import (
	"reflect"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Fold makes a view stateful: what an event changes depends on what stood in one
// row before it. Its functions are pure, and panics stop the set, as those of
// View.Apply do.
//
// After an erasure the view must come out of the log as it is: which rows and
// ranges there are, and what stands in columns that are not personal, must not
// depend on whether what belongs to a subject can still be read. Where a personal
// column was set to a value, it is set to an erased one if what goes into it
// was erased.
type Fold struct {
	Table string // whose rows hold the states
	// Key is the row on which what the fact changes depends; false: none, and
	// Apply does not see the fact.
	Key func(event.Fact) (Values, bool)
	// Read is what a row says. States are values: they are kept for later events,
	// and are never changed in place.
	Read func(Row) any
	// Apply says what the fact changes. The state is nil if there is no such row;
	// next is what Read gives of the row after the changes, nil if there is none.
	// The changes may concern other rows and tables of the view too. An error stops
	// the set; one of kind fault.Unavailable is tried again.
	Apply func(state any, f event.Fact) (next any, changes []Change, err error)
}

func (d *Fold) check(v *View) error {
	if d == nil {
		return nil
	}
	if d.Key == nil || d.Read == nil || d.Apply == nil {
		return fault.Field("fold", "the fold of %s must say which row it rests on, how that is read and how events apply", v.Name)
	}
	for i := range v.Tables {
		if v.Tables[i].Name == d.Table {
			return nil
		}
	}
	return fault.Field("fold", "%s has no table %q for the states of its fold", v.Name, d.Table)
}

// rowName names a row of a database.
type rowName struct {
	t   *table
	key string // packed
}

// want is a state that a fact needs.
type want struct {
	v    *View
	name rowName
	key  []any
	err  error // the key could not be made
}

// How many facts are looked at together for the states that they need. After an
// erasure, which makes a batch forget what it knows, few at first: there may be
// many erasures.
const (
	atFirst      = 10000
	afterErasure = 64
)

func newBatch(d *database, facts []event.Fact, checks bool) *batch {
	return &batch{db: d, facts: facts, checks: checks, tables: map[*table]*overlay{}, window: atFirst, touched: map[rowName]bool{}}
}

// lookAhead finds the states that facts from the i-th on need, and reads at once
// the rows of those that are not remembered.
func (b *batch) lookAhead(i int) error {
	upto := min(i+b.window, len(b.facts))
	b.window *= 2
	missing := missing{}
	for _, f := range b.facts[i:upto] {
		wants := b.wanted(f)
		for _, w := range wants {
			if w.err != nil {
				continue
			}
			if h := b.db.memory.get(w.name); h != nil {
				b.known(w, h)
			} else {
				b.miss(missing, w.name.t, w.name.key, w.key)
			}
		}
		b.wants = append(b.wants, wants)
	}
	return b.read(missing)
}

func (b *batch) wanted(f event.Fact) (out []want) {
	for _, v := range b.db.lay.consumers(f.Type) {
		if v.Fold == nil {
			continue
		}
		var key Values
		found := false
		err := unpanicked(func() error { key, found = v.Fold.Key(f); return nil })
		if err == nil && !found {
			continue
		}
		w := want{v: v, name: rowName{t: b.db.lay.tables[v.Fold.Table]}, err: err}
		if err == nil {
			w.key, w.err = w.name.t.keyValues(key)
			w.name.key = string(pack(nil, w.key))
		}
		out = append(out, w)
	}
	return out
}

// known puts a row that is remembered among those that the batch knows.
func (b *batch) known(w want, h *held) {
	if rows := b.overlay(w.name.t).rows; rows[w.name.key] == nil {
		rows[w.name.key] = &entry{key: w.key, old: h.row, cur: h.row}
	}
}

// applyFold applies the i-th fact to the state that it needs.
func (b *batch) applyFold(w want, i int, f event.Fact) error {
	if w.err != nil {
		return failed(w.v.Name, f, i, w.err)
	}
	if b.touched[w.name] { // what waits for the row must be in it
		if err := b.flush(); err != nil {
			return err
		}
	}
	h := b.db.memory.get(w.name)
	var next any
	var changes []Change
	err := unpanicked(func() (err error) {
		if h == nil {
			h = &held{}
			if h.state, err = w.read(b.row(w)); err != nil {
				return err
			}
		}
		next, changes, err = w.v.Fold.Apply(h.state, f)
		return err
	})
	if err != nil {
		return failed(w.v.Name, f, i, err)
	}
	if err := b.addChanges(w.v, i, f, changes, w.name); err != nil {
		return err
	}
	h.state = next
	b.db.memory.put(w.name, h)
	if b.checks {
		return b.verify(w, i, f, next)
	}
	return nil
}

// row is the row as the changes left it that have been folded in.
func (b *batch) row(w want) *tuple { return b.overlay(w.name.t).rows[w.name.key].cur }

// read is what the fold reads in a row.
func (w *want) read(row *tuple) (any, error) {
	if row == nil {
		return nil, nil
	}
	t := w.name.t
	for i, v := range row.vals {
		if !fits(t.Columns[i].Kind, v) {
			return nil, fault.New(fault.Corrupt, "a row of table %s is malformed; rebuild the views", t.Name)
		}
	}
	return w.v.Fold.Read(Row{t: t, vals: row.vals, gone: row.gone, Since: row.since}), nil
}

// verify compares the state that a fold gave with what it reads in the row.
func (b *batch) verify(w want, i int, f event.Fact, next any) error {
	if err := b.flush(); err != nil {
		return err
	}
	var state any
	err := unpanicked(func() (err error) { state, err = w.read(b.row(w)); return err })
	if err == nil && !reflect.DeepEqual(state, next) {
		err = fault.New(fault.Internal, "the state that its fold gives is not what it reads in the row (%s) of table %s afterwards", w.name.t.showKey(w.key), w.name.t.Name)
	}
	if err != nil {
		return failed(w.v.Name, f, i, err)
	}
	return nil
}

// remember keeps what the batch knows of rows with states, once it is committed.
func (b *batch) remember() {
	m := &b.db.memory
	m.at = b.db.at
	for t, ov := range b.tables {
		if !t.folded {
			continue
		}
		for name, e := range ov.rows {
			m.settle(rowName{t, name}, e.cur)
		}
	}
	m.age()
}

// memory is what a database remembers of states from one batch to the next:
// those that were used last, in two generations. It holds for one place in the
// log; whatever may have changed a row otherwise makes it forget.
type memory struct {
	at           place
	fresh, stale map[rowName]*held
	size         int // of the fresh ones, about
}

// held is a row with a state. In a batch the state is ahead of the row.
type held struct {
	state any
	row   *tuple
	size  int
}

// memorySize is how much one generation holds, in bytes of stored values;
// heldSize is added for each row.
const (
	memorySize = 8 << 20
	heldSize   = 500
)

func (m *memory) clear() { *m = memory{} }

func (m *memory) get(name rowName) *held {
	if h := m.fresh[name]; h != nil {
		return h
	}
	h := m.stale[name]
	if h != nil {
		m.put(name, h)
	}
	return h
}

func (m *memory) put(name rowName, h *held) {
	if m.fresh[name] != nil {
		return
	}
	if m.fresh == nil {
		m.fresh = map[rowName]*held{}
	}
	delete(m.stale, name)
	m.fresh[name], m.size = h, m.size+h.size
}

func (m *memory) drop(name rowName) {
	if h := m.fresh[name]; h != nil {
		m.size -= h.size
	}
	delete(m.fresh, name)
	delete(m.stale, name)
}

// settle notes the row that was committed with a state.
func (m *memory) settle(name rowName, row *tuple) {
	h := m.fresh[name]
	if h == nil {
		return
	}
	m.size -= h.size
	h.row, h.size = row, heldSize+len(name.key)
	if row != nil {
		for _, v := range row.vals {
			switch v := v.(type) {
			case string:
				h.size += len(v)
			case []byte:
				h.size += len(v)
			}
		}
	}
	m.size += h.size
}

// age makes room for others.
func (m *memory) age() {
	if m.size > memorySize {
		*m = memory{at: m.at, stale: m.fresh}
	}
}
