package view

import (
	"fmt"
	"strings"

	"muniment.dev/event"
)

// dialect is what differs between databases. All SQL text of this package is
// made in this file and in sqlquery.go, from declarations; none comes from
// anywhere else.
type dialect struct {
	types    map[event.Kind]string
	position string             // type of positions and bit sets
	param    func(n int) string // the n-th parameter of a statement, from 1
	tableEnd string             // what follows a table's columns
}

var sqlite = dialect{
	types: map[event.Kind]string{
		event.Text: "TEXT", event.Int: "INTEGER", event.Bool: "INTEGER", event.Bytes: "BLOB", event.Time: "INTEGER",
		event.IDRef: "BLOB", event.Texts: "TEXT", event.IDs: "BLOB",
	},
	position: "INTEGER",
	param:    func(int) string { return "?" },
	tableEnd: " WITHOUT ROWID",
}

// Of each table there are two in the database: now_x holds the present rows,
// past_x the ended ranges. Besides the declared columns they have these.
const (
	colGone   = `"_gone"`  // bits of the erased columns
	colSince  = `"_since"` // first position of the range
	colUntil  = `"_until"` // position that ended it; past_x only
	prefixCol = "_prefix_" // before a column's name: its normal form
)

// ourTables are those that tell what the file is. Names with an underscore in
// front cannot be declared.
var ourTables = []string{
	`CREATE TABLE "_state" ("id" INTEGER PRIMARY KEY CHECK ("id" = 1), "log" BLOB NOT NULL, "position" INTEGER NOT NULL, "leaf" BLOB NOT NULL)`,
	`CREATE TABLE "_views" ("name" TEXT PRIMARY KEY, "fingerprint" TEXT NOT NULL)`,
}

const (
	sqlBegin    = `BEGIN IMMEDIATE`
	sqlSnapshot = `BEGIN`
	sqlCommit   = `COMMIT`
	sqlRollback = `ROLLBACK`
	sqlInit     = `INSERT INTO "_state" VALUES (1, ?, 0, ?)`
	sqlState    = `SELECT "log", "position", "leaf" FROM "_state"`
	sqlPosition = `SELECT "position" FROM "_state"`
	sqlAdvance  = `UPDATE "_state" SET "position" = ?, "leaf" = ? WHERE "log" = ? AND "position" = ? AND "leaf" = ?`
	sqlAddView  = `INSERT INTO "_views" VALUES (?, ?)`
	sqlViews    = `SELECT "name", "fingerprint" FROM "_views"`
	sqlTruncate = `PRAGMA wal_checkpoint(TRUNCATE)`
	sqlCopy     = `VACUUM INTO ?`
	sqlOurs     = `SELECT count(*) FROM sqlite_schema WHERE name = '_state'`
	sqlTables   = `SELECT name FROM sqlite_schema WHERE type = 'table' AND (substr(name, 1, 4) = 'now_' OR substr(name, 1, 5) = 'past_')`
	sqlDropView = `DELETE FROM "_views" WHERE "name" = ?`
)

// statements are those of one table that do not depend on a query.
type statements struct {
	create []string
	load   func(rows int) string // by keys: columns, gone, since
	upsert func(rows int) string // columns, gone, since, prefixes
	end    func(rows int) string // columns, gone, since, prefixes, until
	remove string                // by key
	clear  [][2]string           // for each subject column: in now and in past
	holder []func(rows int) string
	all    [2]string // now and past, by key and range: columns, gone, since, until, prefixes
}

// maxRows is how many rows one statement handles; SQLite allows 32,766
// parameters.
func (t *table) maxRows() int { return min(100, 30000/(len(t.Columns)+len(t.prefix)+3)) }

func quote(name string) string { return `"` + name + `"` }

func dropTable(name string) string { return "DROP TABLE " + quote(name) }

func (t *table) now() string  { return quote("now_" + t.Name) }
func (t *table) past() string { return quote("past_" + t.Name) }

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

// holes is `(?, ?), (?, ?)`: rows times width parameters.
func (d *dialect) holes(rows, width int) string {
	var b strings.Builder
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for i := range width {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(d.param(r*width + i + 1))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// among is `(a, b) IN (VALUES (?, ?), …)`.
func (d *dialect) among(names string, rows, width int) string {
	return "(" + names + ") IN (VALUES " + d.holes(rows, width) + ")"
}

func newStatements(t *table) statements {
	d := &sqlite
	all, key := t.names(t.allColumns()), t.names(t.key)
	width := len(t.Columns) + 2 + len(t.prefix)
	s := statements{create: d.creates(t)}
	s.load = func(rows int) string {
		return "SELECT " + all + ", " + colGone + ", " + colSince + " FROM " + t.now() + " WHERE " + d.among(key, rows, len(t.key))
	}
	s.upsert = func(rows int) string {
		return "INSERT INTO " + t.now() + " (" + all + ", " + colGone + ", " + colSince + t.prefixNames() + ") VALUES " +
			d.holes(rows, width) + " ON CONFLICT (" + key + ") DO UPDATE SET " + t.excluded()
	}
	s.end = func(rows int) string {
		return "INSERT INTO " + t.past() + " (" + all + ", " + colGone + ", " + colSince + t.prefixNames() + ", " + colUntil + ") VALUES " + d.holes(rows, width+1)
	}
	s.remove = "DELETE FROM " + t.now() + " WHERE " + t.keyCond()
	for _, subject := range t.subjects {
		s.clear = append(s.clear, [2]string{t.clears(d, subject, true), t.clears(d, subject, false)})
	}
	for _, set := range t.unique {
		s.holder = append(s.holder, func(rows int) string {
			return "SELECT " + all + " FROM " + t.now() + " WHERE " + d.among(t.names(set), rows, len(set))
		})
	}
	s.all[0] = "SELECT " + all + ", " + colGone + ", " + colSince + ", 0" + t.prefixNames() + " FROM " + t.now() + " ORDER BY " + key
	s.all[1] = "SELECT " + all + ", " + colGone + ", " + colSince + ", " + colUntil + t.prefixNames() + " FROM " + t.past() + " ORDER BY " + key + ", " + colUntil
	return s
}

// excluded assigns all that an upsert brings, but for the key.
func (t *table) excluded() string {
	set := []string{colGone + " = excluded." + colGone, colSince + " = excluded." + colSince}
	for i, c := range t.Columns {
		if !t.inKey[i] {
			set = append(set, quote(c.Name)+" = excluded."+quote(c.Name))
		}
	}
	for _, c := range t.prefix {
		name := quote(prefixCol + t.Columns[c].Name)
		set = append(set, name+" = excluded."+name)
	}
	return strings.Join(set, ", ")
}

// clears empties what belongs to the subject in a column, and marks as erased
// what was there.
func (t *table) clears(d *dialect, subject int, now bool) string {
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
		" WHERE " + quote(t.Columns[subject].Name) + " = " + d.param(1) + " AND (" + strings.Join(held, " OR ") + ")"
}

// creates makes the two tables and their indexes.
func (d *dialect) creates(t *table) []string {
	var cols strings.Builder
	for i, c := range t.Columns {
		cols.WriteString(quote(c.Name) + " " + d.types[c.Kind])
		if t.inKey[i] {
			cols.WriteString(" NOT NULL")
		}
		cols.WriteString(", ")
	}
	cols.WriteString(colGone + " " + d.position + " NOT NULL, " + colSince + " " + d.position + " NOT NULL")
	for _, c := range t.prefix {
		cols.WriteString(", " + quote(prefixCol+t.Columns[c].Name) + " " + d.types[event.Text])
	}
	out := []string{
		"CREATE TABLE " + t.now() + " (" + cols.String() + ", PRIMARY KEY (" + t.names(t.key) + "))" + d.tableEnd,
		"CREATE TABLE " + t.past() + " (" + cols.String() + ", " + colUntil + " " + d.position + " NOT NULL, PRIMARY KEY (" + t.names(t.key) + ", " + colUntil + "))" + d.tableEnd,
	}
	index := func(on, columns string) {
		out = append(out, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", quote(fmt.Sprintf("%s_%d", t.Name, len(out))), on, columns))
	}
	for _, set := range t.unique { // the fold enforces them: a batch may pass a value on in any order
		index(t.now(), t.names(set))
	}
	for _, names := range t.Indexes {
		set := t.numbers(names)
		index(t.now(), t.names(set))
		index(t.past(), t.names(set))
	}
	for _, c := range t.prefix {
		index(t.now(), quote(prefixCol+t.Columns[c].Name))
	}
	for _, s := range t.subjects {
		if s != t.key[0] {
			index(t.now(), t.names([]int{s}))
			index(t.past(), t.names([]int{s}))
		}
	}
	return out
}
