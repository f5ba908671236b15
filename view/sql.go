package view

import (
	"fmt"
	"slices"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// dialect is what differs between databases. All SQL text of this package is
// made in this file, from declarations; none comes from anywhere else.
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

// selection is a query over one table on its way to SQL.
type selection struct {
	t     *table
	at    event.Position // 0: the present
	conds []string
	args  []any
	fixed map[int]bool // columns that a condition holds to one value
}

// source is what to select from: the present rows, or those of a position.
func (q *selection) source() (string, []any) {
	t := q.t
	if q.at == 0 {
		return t.now(), nil
	}
	p, cols := int64(q.at), t.names(t.allColumns())+", "+colGone+", "+colSince+t.prefixNames()
	return "(SELECT " + cols + ", 0 AS " + colUntil + " FROM " + t.now() + " WHERE " + colSince + " <= " + sqlite.param(1) +
		" UNION ALL SELECT " + cols + ", " + colUntil + " FROM " + t.past() + " WHERE " + colSince + " <= " + sqlite.param(2) +
		" AND " + colUntil + " > " + sqlite.param(3) + ")", []any{p, p, p}
}

func (q *selection) filter(more string) string {
	conds := q.conds
	if more != "" {
		conds = append(conds[:len(conds):len(conds)], more)
	}
	if len(conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conds, " AND ")
}

// rows selects the rows of one segment of an order, at most limit.
func (q *selection) rows(order []int, desc bool, seg segment, limit int) (string, []any) {
	from, args := q.source()
	until := "0"
	if q.at != 0 {
		until = colUntil
	}
	more, moreArgs := seg.sql(q.t, desc)
	var by []string
	for _, c := range order {
		name := quote(q.t.Columns[c].Name)
		if desc {
			name += " DESC"
		}
		by = append(by, name)
	}
	sql := "SELECT " + q.t.names(q.t.allColumns()) + ", " + colGone + ", " + colSince + ", " + until + " FROM " + from + q.filter(more)
	if len(by) > 0 {
		sql += " ORDER BY " + strings.Join(by, ", ")
	}
	args = append(append(args, q.args...), moreArgs...)
	return sql + " LIMIT " + sqlite.param(len(args)+1), append(args, int64(limit))
}

// count counts the rows.
func (q *selection) count() (string, []any) {
	from, args := q.source()
	return "SELECT count(*) FROM " + from + q.filter(""), append(args, q.args...)
}

// keys selects the keys, in their order.
func (q *selection) keys() (string, []any) {
	from, args := q.source()
	return "SELECT " + q.t.names(q.t.key) + " FROM " + from + q.filter("") + " ORDER BY " + q.t.names(q.t.key), append(args, q.args...)
}

// keyCond holds for one row.
func (t *table) keyCond() string {
	return "(" + t.names(t.key) + ") = " + sqlite.holes(1, len(t.key))
}

// history selects all ranges of one row, the oldest first.
func (t *table) history() string {
	cols, where := t.names(t.allColumns())+", "+colGone+", "+colSince, " WHERE "+t.keyCond()
	return "SELECT " + cols + ", " + colUntil + " FROM " + t.past() + where + " UNION ALL SELECT " + cols + ", 0 FROM " + t.now() + where +
		" ORDER BY " + colSince
}

// segment is one stretch of an order behind a row: the columns that equal the
// row's, and how the next one lies. Together the segments of a row, in turn,
// are all that comes after it, and each can be found by an index.
type segment struct {
	equal []int
	vals  []any // parallel to equal, and one more unless null
	after int   // the column that lies behind; -1: no bound
	null  bool  // it lies behind by being null
}

// segments lists the stretches behind a row with these values. Null comes
// before all values, so after all of them if descending.
func segments(t *table, order []int, desc bool, vals []any) []segment {
	var out []segment
	for n := len(order) - 1; n >= 0; n-- {
		s := segment{equal: order[:n], vals: vals[:n+1], after: order[n]}
		if !desc || vals[n] != nil {
			out = append(out, s)
		}
		if desc && vals[n] != nil && !t.inKey[order[n]] {
			s.null = true
			out = append(out, s)
		}
	}
	return out
}

func (s *segment) sql(t *table, desc bool) (string, []any) {
	if s.after < 0 {
		return "", nil
	}
	var conds []string
	var args []any
	for i, c := range s.equal {
		name := quote(t.Columns[c].Name)
		if s.vals[i] == nil {
			conds = append(conds, name+" IS NULL")
			continue
		}
		conds = append(conds, name+" = "+sqlite.param(0))
		args = append(args, s.vals[i])
	}
	name, last := quote(t.Columns[s.after].Name), s.vals[len(s.equal)]
	switch {
	case s.null:
		conds = append(conds, name+" IS NULL")
	case last == nil:
		conds = append(conds, name+" IS NOT NULL")
	case desc:
		conds, args = append(conds, name+" < "+sqlite.param(0)), append(args, last)
	default:
		conds, args = append(conds, name+" > "+sqlite.param(0)), append(args, last)
	}
	return strings.Join(conds, " AND "), args
}

// where adds a condition.
func (q *selection) where(c Cond) error {
	sql, args, err := c.sql(q.t)
	if err != nil {
		return err
	}
	if c.op == opEq {
		if q.fixed == nil {
			q.fixed = map[int]bool{}
		}
		q.fixed[q.t.index[c.column]] = true
	}
	q.conds, q.args = append(q.conds, sql), append(q.args, args...)
	return nil
}

func (c *Cond) sql(t *table) (string, []any, error) {
	if c.op == opAny {
		return c.anySQL(t)
	}
	i, ok := t.index[c.column]
	if !ok || c.op == opNone {
		return "", nil, fault.New(fault.Internal, "table %s has no column %q, or the condition is empty", t.Name, c.column)
	}
	var args []any
	for _, v := range c.values {
		stored, err := encode(t.Columns[i].Kind, v)
		if err != nil {
			return "", nil, fault.Wrap("condition on "+c.column+" of "+t.Name, err)
		}
		args = append(args, stored)
	}
	name, hole := quote(c.column), sqlite.param(0)
	switch c.op {
	case opUnset:
		return name + " IS NULL", nil, nil
	case opEq:
		if args[0] == nil {
			return "", nil, fault.New(fault.Internal, "condition on %s of %s: use Unset for what holds nothing", c.column, t.Name)
		}
		return name + " = " + hole, args, nil
	case opIn:
		if len(args) == 0 {
			return "1 = 0", nil, nil
		}
		return name + " IN (" + strings.Repeat(hole+", ", len(args)-1) + hole + ")", args, nil
	case opRange:
		return rangeSQL(name, hole, args[0], args[1])
	}
	return c.textSQL(t, i)
}

func rangeSQL(name, hole string, from, to any) (string, []any, error) {
	conds, args := []string{name + " IS NOT NULL"}, []any(nil)
	if from != nil {
		conds, args = append(conds, name+" >= "+hole), append(args, from)
	}
	if to != nil {
		conds, args = append(conds, name+" < "+hole), append(args, to)
	}
	return strings.Join(conds, " AND "), args, nil
}

// textSQL looks at the normal form of a text.
func (c *Cond) textSQL(t *table, i int) (string, []any, error) {
	text, ok := c.values[0].(string)
	if !ok || !slices.Contains(t.prefix, i) {
		return "", nil, fault.New(fault.Internal, "column %s of %s cannot be searched by normal form", c.column, t.Name)
	}
	name, hole := quote(prefixCol+c.column), sqlite.param(0)
	text = Normalize(text)
	if c.op == opSame {
		return name + " = " + hole, []any{text}, nil
	}
	if text == "" {
		return "1 = 1", nil, nil
	}
	if next, ok := successor(text); ok {
		return name + " >= " + hole + " AND " + name + " < " + hole, []any{text, next}, nil
	}
	return name + " >= " + hole, []any{text}, nil
}

func (c *Cond) anySQL(t *table) (string, []any, error) {
	var alternatives []string
	var args []any
	for i := range c.any {
		sql, more, err := c.any[i].sql(t)
		if err != nil {
			return "", nil, err
		}
		alternatives, args = append(alternatives, "("+sql+")"), append(args, more...)
	}
	if len(alternatives) == 0 {
		return "1 = 0", nil, nil
	}
	return "(" + strings.Join(alternatives, " OR ") + ")", args, nil
}
