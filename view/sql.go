package view

import (
	"fmt"
	"slices"
	"strings"

	"muniment.dev/event"
)

// Of each table there are two in the database: now_x holds the present rows,
// past_x the ended ranges. Besides the declared columns they have these.
const (
	colGone   = `"_gone"`  // bits of the erased columns
	colSince  = `"_since"` // first position of the range
	colUntil  = `"_until"` // position that ended it; past_x only
	prefixCol = "_prefix_" // before a column's name: its normal form
)

// statements are those of one table that do not depend on a query.
type statements struct {
	create []string
	load   bulk        // by keys: columns, gone, since
	insert bulk        // columns, gone, since, prefixes
	end    bulk        // columns, gone, since, prefixes, until
	remove bulk        // by key
	clear  [][2]string // for each subject column: in now and in past
	holder []bulk
	all    [2]string // now and past, by key and range: columns, gone, since, until, prefixes
}

// maxRows is how many rows one statement handles; SQLite allows 32,766
// parameters.
func (t *table) maxRows() int { return min(100, 30000/(len(t.Columns)+len(t.prefix)+3)) }

func quote(name string) string { return `"` + name + `"` }

func (t *table) now() string  { return t.ground.name("now_" + t.Name) }
func (t *table) past() string { return t.ground.name("past_" + t.Name) }

func (t *table) names(cols []int) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = quote(t.Columns[c].Name)
	}
	return strings.Join(out, ", ")
}

func (t *table) allColumns() []int {
	out := make([]int, len(t.Columns))
	for i := range out {
		out[i] = i
	}
	return out
}

func (t *table) prefixNames() string {
	var b strings.Builder
	for _, c := range t.prefix {
		b.WriteString(", " + quote(prefixCol+t.Columns[c].Name))
	}
	return b.String()
}

// typesOf are the types of columns, and of positions behind them.
func (t *table) typesOf(cols []int, positions int) []string {
	var out []string
	for _, c := range cols {
		out = append(out, t.ground.types[t.Columns[c].Kind])
	}
	for range positions {
		out = append(out, t.ground.position)
	}
	return out
}

func newStatements(t *table) statements {
	all, key := t.names(t.allColumns()), t.names(t.key)
	row := t.typesOf(t.allColumns(), 2)
	for range t.prefix {
		row = append(row, t.ground.types[event.Text])
	}
	in := func(what string, cols []int) bulk {
		return bulk{what + " WHERE (" + t.names(cols) + ") IN (", ")", t.typesOf(cols, 0), t.maxRows()}
	}
	s := statements{create: t.creates()}
	s.load = in("SELECT "+all+", "+colGone+", "+colSince+" FROM "+t.now(), t.key)
	s.insert = bulk{t.ground.insert + t.now() + " (" + all + ", " + colGone + ", " + colSince + t.prefixNames() + ") ",
		"", row, t.maxRows()}
	s.end = bulk{t.ground.insert + t.past() + " (" + all + ", " + colGone + ", " + colSince + t.prefixNames() + ", " + colUntil + ") ",
		"", append(row[:len(row):len(row)], t.ground.position), t.maxRows()}
	s.remove = in("DELETE FROM "+t.now(), t.key)
	for _, subject := range t.subjects {
		s.clear = append(s.clear, [2]string{t.clears(subject, true), t.clears(subject, false)})
	}
	for _, set := range t.unique {
		s.holder = append(s.holder, in("SELECT "+all+" FROM "+t.now(), set))
	}
	s.all[0] = "SELECT " + all + ", " + colGone + ", " + colSince + ", " + t.ground.zero + t.prefixNames() + " FROM " + t.now() + " ORDER BY " + key
	s.all[1] = "SELECT " + all + ", " + colGone + ", " + colSince + ", " + colUntil + t.prefixNames() + " FROM " + t.past() + " ORDER BY " + t.pastOrder()
	return s
}

// pastOrder is the primary key of ended ranges.
func (t *table) pastOrder() string {
	if t.ground.clustered {
		return colUntil + ", " + t.names(t.key)
	}
	return t.names(t.key) + ", " + colUntil
}

// amend writes rows that are there already. Of the columns that stand in an index
// it assigns those that are given: SQLite writes every index anew that has one of
// the columns that a statement assigns, whether or not their values differ.
func (t *table) amend(indexed []int) bulk {
	set := []string{colGone + " = excluded." + colGone, colSince + " = excluded." + colSince}
	for i, c := range t.Columns {
		if !t.inKey[i] && (!t.indexed[i] || slices.Contains(indexed, i)) {
			set = append(set, quote(c.Name)+" = excluded."+quote(c.Name))
		}
	}
	for _, c := range t.prefix {
		if name := quote(prefixCol + t.Columns[c].Name); slices.Contains(indexed, c) {
			set = append(set, name+" = excluded."+name)
		}
	}
	b := t.sql.insert
	b.after = " ON CONFLICT (" + t.names(t.key) + ") DO UPDATE SET " + strings.Join(set, ", ")
	return b
}

// amended are the columns of indexes by which any of the rows differs from what
// is in the database.
func (t *table) amended(rows []*entry) (out []int) {
	for i := range t.Columns {
		if t.indexed[i] && slices.ContainsFunc(rows, func(e *entry) bool { return !equal(e.old.vals[i], e.cur.vals[i]) }) {
			out = append(out, i)
		}
	}
	return out
}

// clears empties what belongs to the subject in a column, and marks as erased
// what was there.
func (t *table) clears(subject int, now bool) string {
	var set, held, gone []string
	for _, c := range t.personal(subject) {
		name := quote(t.Columns[c].Name)
		set = append(set, name+" = NULL")
		held = append(held, name+" IS NOT NULL")
		gone = append(gone, fmt.Sprintf("CASE WHEN %s IS NULL THEN 0 ELSE %d END", name, t.bit[c]))
	}
	for _, c := range t.prefix {
		if t.of[c] == subject {
			set = append(set, quote(prefixCol+t.Columns[c].Name)+" = NULL")
		}
	}
	name := t.past()
	if now {
		name = t.now()
	}
	return "UPDATE " + name + " SET " + strings.Join(set, ", ") + ", " + colGone + " = " + colGone + " | " + strings.Join(gone, " | ") +
		" WHERE " + quote(t.Columns[subject].Name) + " = ? AND (" + strings.Join(held, " OR ") + ")"
}

// creates makes the two tables and their indexes.
func (t *table) creates() []string {
	d := t.ground
	var cols strings.Builder
	for i, c := range t.Columns {
		cols.WriteString(quote(c.Name) + " " + t.columnType(c.Kind))
		if t.inKey[i] {
			cols.WriteString(" NOT NULL")
		}
		cols.WriteString(", ")
	}
	cols.WriteString(colGone + " " + d.position + ", " + colSince + " " + d.position) // always there; a check would make SQLite keep a journal of the statement
	for _, c := range t.prefix {
		cols.WriteString(", " + quote(prefixCol+t.Columns[c].Name) + " " + t.columnType(event.Text))
	}
	out := []string{
		"CREATE TABLE " + t.now() + " (" + cols.String() + ", PRIMARY KEY (" + t.names(t.key) + "))" + d.tableEnd,
		"CREATE TABLE " + t.past() + " (" + cols.String() + ", " + colUntil + " " + d.position + " NOT NULL, PRIMARY KEY (" + t.pastOrder() + "))" + d.tableEnd,
	}
	if d.unseen != "" {
		for _, table := range []string{t.now(), t.past()} {
			for _, column := range t.personalNames() {
				out = append(out, fmt.Sprintf(d.unseen, table, column))
			}
		}
	}
	index := func(on, columns string) {
		out = append(out, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", quote(fmt.Sprintf("%s%s_%d", d.stem, t.Name, len(out))), on, columns))
	}
	sparse := func(on string, first int, columns string) {
		index(on, columns)
		out[len(out)-1] += " WHERE " + quote(t.Columns[first].Name) + " IS NOT NULL"
	}
	if d.clustered {
		index(t.past(), t.names(t.key)+", "+colUntil)
	}
	for _, set := range t.unique { // the fold enforces them: a batch may pass a value on in any order
		index(t.now(), t.inOrder(set, false))
	}
	for _, names := range t.Indexes {
		set := t.numbers(names)
		full := slices.Clone(set) // pages are put in order by the key, too
		for _, k := range t.key {
			if !slices.Contains(set, k) {
				full = append(full, k)
			}
		}
		if !d.clustered {
			set = full
		}
		index(t.now(), t.inOrder(set, false))
		index(t.past(), t.inOrder(full, false))
	}
	for _, names := range t.Sparse {
		set := t.numbers(names)
		sparse(t.now(), set[0], t.inOrder(set, false))
		sparse(t.past(), set[0], t.inOrder(set, false))
	}
	for _, c := range t.prefix {
		index(t.now(), quote(prefixCol+t.Columns[c].Name))
	}
	for _, s := range t.subjects {
		if s != t.key[0] {
			sparse(t.now(), s, t.names([]int{s}))
			sparse(t.past(), s, t.names([]int{s}))
		}
	}
	return out
}

// personalNames are the names of personal columns and of their normal forms.
func (t *table) personalNames() (out []string) {
	for i, c := range t.Columns {
		if t.bit[i] != 0 {
			out = append(out, quote(c.Name))
		}
	}
	for _, c := range t.prefix {
		if t.bit[c] != 0 {
			out = append(out, quote(prefixCol+t.Columns[c].Name))
		}
	}
	return out
}

func (t *table) columnType(k event.Kind) string {
	if typ := t.ground.types[k]; k == event.Text || k == event.Texts {
		return typ + t.ground.collate
	} else {
		return typ
	}
}

// inOrder lists columns by which rows are put in order.
func (t *table) inOrder(cols []int, desc bool) string {
	var out []string
	for _, c := range cols {
		name, nulls := quote(t.Columns[c].Name), t.ground.nulls[0]
		if desc {
			name, nulls = name+" DESC", t.ground.nulls[1]
		}
		if !t.inKey[c] { // a key holds something
			name += nulls
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}
