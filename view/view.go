// Package view keeps tables that are derived from the log, for reading.
//
// A View is declared as data in its slice: tables, the event types it consumes,
// and a pure function from one event to the changes it makes. A Set keeps the
// views of one log in one SQLite file, or in a schema of PostgreSQL that nodes
// may share. What is promised:
//
//   - Every event is applied exactly once, in order; none is skipped. An event
//     that cannot be applied stops the set, which says why and answers
//     unavailable until it was mended.
//   - Rows have history: each stands for a half-open range of positions, and
//     every query can be asked as of a position.
//   - A read is at least as fresh as the log was when the read came in, or says
//     that it is not available. It is stale only if the caller allows it.
//   - Views can be stateful: a Fold sees what stood in a row before the event.
//   - The declaration of a view can be replaced while the set runs.
//   - Columns that are personal belong to a subject. When the log says that the
//     subject was erased they read as erased, at all positions; Forget removes
//     their bytes from the file.
//   - The file, or the schema, is disposable: deleted, it is made again from the log.
//
// What is not promised: that the file is a backup, or that it can be read by
// another revision of the views. Design: docs/concepts.md, "Views".
package view

import (
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Column is one column of a table.
type Column struct {
	Name string
	Kind event.Kind
	// Personal names the id column of the same row that holds the subject to
	// whom this column's value belongs. Empty: the value is not personal.
	Personal string
}

// Table is one table of a view. Its name is unique in the set.
type Table struct {
	Name    string
	Columns []Column
	Key     []string   // the columns that name a row; never personal
	Unique  [][]string // sets of columns that no two present rows share; rows that lack one of them, or whose value was erased, do not count
	Indexes [][]string // sets of columns that queries select or order by
	Sparse  [][]string // as Indexes, of rows whose first column holds something; queries give it a value or a range
	Prefix  []string   // text columns that can be searched by the beginning of their normal form
}

// View is a set of tables and how they follow from events.
type View struct {
	Name string
	// Revision changes whenever Apply or the tables do; the view is then built
	// anew when the set is opened.
	Revision int
	Tables   []Table
	// Epoch is of what the functions rest on besides the program, such as
	// definitions that the log holds. It grows when they change; the view is then
	// built anew, as for another Revision.
	Epoch uint64
	Types []string // the event types that Apply and Fold want to see
	// Wants, if not nil, says of any other event type whether they want to see it,
	// where the types are not known to the program. It always says the same.
	Wants func(typ string) bool
	// Apply says what an event changes. It is pure: the same fact gives the same
	// changes, at any time and in any order of calls. A panic stops the set; its
	// text reaches operators and must hold nothing personal.
	Apply func(event.Fact) []Change
	// Fold, if not nil, says what an event changes that depends on what was there
	// before. It comes after Apply, which may then be nil.
	Fold *Fold
}

// Values are columns with what they hold, as the column's kind wants it: string
// for Text, any integer for Int, bool, []byte, event.Instant or time.Time,
// event.ID and its relatives, []string, []event.ID. In Change.Set a personal
// column takes an event.Sealed of these and nothing else; nil makes any column
// hold nothing again.
type Values map[string]any

// Change is what an event does to one row, or to several of one table.
type Change struct {
	Table string
	Key   Values // all key columns: this row, which is made if it does not exist
	Where Values // instead of Key: all rows that held these values before the event
	// Set gives the columns their values; others keep theirs. A sealed value
	// that is absent leaves its column untouched, one that is erased erases it.
	// When a subject column changes, the personal columns of that subject that
	// are not set hold nothing afterwards: they were somebody else's.
	Set    Values
	Delete bool // instead of Set: remove the row
}

// Put is the change that sets columns of the row with that key.
func Put(table string, key, set Values) Change { return Change{Table: table, Key: key, Set: set} }

// Remove is the change that removes the row with that key.
func Remove(table string, key Values) Change {
	return Change{Table: table, Key: key, Delete: true}
}

// maxPersonal is the number of personal columns that a table may have: their
// erased states are the bits of one integer.
const maxPersonal = 62

// Check reports what is wrong with a declaration, or nil.
func (v *View) Check() error {
	switch {
	case !event.IsName(v.Name):
		return fault.Field("view", "%q is not a lower-case name", v.Name)
	case v.Revision < 1:
		return fault.Field("revision", "revisions of view %s start at 1", v.Name)
	case len(v.Types) == 0 && v.Wants == nil || len(v.Tables) == 0 || v.Apply == nil && v.Fold == nil:
		return fault.Field("view", "%s must have tables, consume events and say how they apply", v.Name)
	}
	for i := range v.Tables {
		if err := v.Tables[i].check(); err != nil {
			return err
		}
	}
	return v.Fold.check(v)
}

func (t *Table) check() error {
	if !event.IsName(t.Name) || len(t.Name) > 40 {
		return fault.Field("table", "%q is not a lower-case name of at most 40 bytes", t.Name)
	}
	seen := map[string]bool{}
	personal := 0
	for _, c := range t.Columns {
		if !event.IsName(c.Name) || len(c.Name) > 40 || seen[c.Name] {
			return fault.Field(t.Name, "%q is not a lower-case column name of at most 40 bytes, or stands there twice", c.Name)
		}
		if _, ok := sqlite.types[c.Kind]; !ok {
			return fault.Field(t.Name+"."+c.Name, "there are no values of kind %q", c.Kind)
		}
		seen[c.Name] = true
		if c.Personal == "" {
			continue
		}
		personal++
		of := t.column(c.Personal)
		if of == nil || of.Kind != event.IDRef || of.Personal != "" {
			return fault.Field(t.Name+"."+c.Name, "the subject of a personal column must be an id column of the same row that is not personal, not %q", c.Personal)
		}
	}
	if personal > maxPersonal {
		return fault.Field(t.Name, "a table has at most %d personal columns", maxPersonal)
	}
	return t.checkSets()
}

func (t *Table) checkSets() error {
	if len(t.Key) == 0 {
		return fault.Field(t.Name, "a table needs a key")
	}
	for _, name := range t.Key {
		c := t.column(name)
		if c == nil || c.Personal != "" || c.Kind == event.Texts || c.Kind == event.IDs {
			return fault.Field(t.Name, "the key column %q must be a single value that is not personal", name)
		}
	}
	for _, set := range slices.Concat([][]string{t.Prefix}, t.Unique, t.Indexes, t.Sparse) {
		for _, name := range set {
			if t.column(name) == nil {
				return fault.Field(t.Name, "there is no column %q", name)
			}
		}
	}
	for _, name := range t.Prefix {
		if t.column(name).Kind != event.Text {
			return fault.Field(t.Name, "only text can be searched by prefix, not %s", name)
		}
	}
	return nil
}

func (t *Table) column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}
