package view

import (
	"encoding/binary"
	"iter"
	"strings"

	"muniment.dev/event"
)

// dialect is what differs between databases in the SQL of this package, all of
// which is made from declarations in sql.go and sqlquery.go. A parameter is a
// question mark there.
type dialect struct {
	types    map[event.Kind]string
	position string // type of positions and bit sets
	zero     string // nothing, as that type
	collate  string // what follows the type of text
	tableEnd string // what follows a table's columns
	// clustered: rows lie in the order of their primary key, which every index ends
	// with. Ended ranges then lie in the order in which they end, so that those of
	// a batch come to stand together, and an index finds them by key.
	clustered bool
	insert    string // inserts; it never meets a row of the same key, unless it says what then
	merges    bool   // rows of two tables are merged in order, by an index of each
	begin     string // begins a transaction that writes
	snapshot  string // begins one that sees one state
	unseen    string // what is done to a personal column of a table, so that nothing but the table holds its values
	// What follows a column that may hold nothing where rows are put in order,
	// ascending and descending: nothing comes before everything.
	nulls [2]string
	rows  func(b *bulk, n int, fill fill, each func([]any) error) iter.Seq[statement]
}

// bulk is a statement that is run for many rows at once; they stand between its
// two halves.
type bulk struct {
	before, after string
	types         []string // of the columns of such a row
	most          int      // rows in one statement of SQLite
}

// fill appends the i-th row of a bulk statement to its parameters.
type fill func(args []any, i int) []any

// keysOf fills in keys.
func keysOf(keys [][]any) fill {
	return func(args []any, i int) []any { return append(args, keys[i]...) }
}

// ground is where the tables of a layout stand.
type ground struct {
	*dialect
	schema string // with a point behind it
	stem   string // with which the names of tables begin
}

func (g *ground) name(name string) string { return g.schema + quote(g.stem+name) }

var sqlite = dialect{
	types: map[event.Kind]string{
		event.Text: "TEXT", event.Int: "INTEGER", event.Bool: "INTEGER", event.Bytes: "BLOB", event.Time: "INTEGER",
		event.IDRef: "BLOB", event.Texts: "TEXT", event.IDs: "BLOB",
	},
	position:  "INTEGER",
	zero:      "0",
	tableEnd:  " WITHOUT ROWID",
	clustered: true,
	insert:    "INSERT OR ROLLBACK INTO ", // which needs no journal to undo a statement of many rows
	merges:    true,
	begin:     "BEGIN IMMEDIATE",
	snapshot:  "BEGIN",
	rows:      valuesRows,
}

// valuesRows writes rows as VALUES, a hundred or fewer in a statement.
func valuesRows(b *bulk, n int, fill fill, each func([]any) error) iter.Seq[statement] {
	return func(yield func(statement) bool) {
		args := make([]any, 0, min(n, b.most)*len(b.types))
		for from, to := range chunks(n, b.most) {
			args = args[:0]
			for i := from; i < to; i++ {
				args = fill(args, i)
			}
			sql := b.before + "VALUES " + holes(to-from, len(b.types)) + b.after
			if !yield(statement{sql: sql, args: args, each: each}) {
				return
			}
		}
	}
}

// chunks cuts n rows so that few different lengths occur: the statements for
// each are prepared once.
func chunks(n, most int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for from := 0; from < n; {
			size, left := 1, n-from
			for size*4 <= min(left, most) {
				size *= 4
			}
			if left >= most {
				size = most
			}
			if !yield(from, from+size) {
				return
			}
			from += size
		}
	}
}

// holes is `(?, ?), (?, ?)`: rows times width parameters.
func holes(rows, width int) string {
	row := "(" + strings.Repeat("?, ", width-1) + "?)"
	return strings.Repeat(row+", ", rows-1) + row
}

var postgres = dialect{
	types: map[event.Kind]string{
		event.Text: "text", event.Int: "bigint", event.Bool: "bigint", event.Bytes: "bytea", event.Time: "bigint",
		event.IDRef: "bytea", event.Texts: "text", event.IDs: "bytea",
	},
	position: "bigint",
	zero:     "0::bigint",
	collate:  ` COLLATE "C"`, // the order of bytes, as in SQLite and in Go
	insert:   "INSERT INTO ",
	begin:    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
	snapshot: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
	unseen:   "ALTER TABLE %s ALTER COLUMN %s SET STATISTICS 0", // ANALYZE keeps samples
	nulls:    [2]string{" NULLS FIRST", " NULLS LAST"},
	rows:     unnestRows,
}

// unnestRows passes a column of all rows as one array, so that any number of
// rows is one statement, prepared once.
func unnestRows(b *bulk, n int, fill fill, each func([]any) error) iter.Seq[statement] {
	return func(yield func(statement) bool) {
		if n == 0 {
			return
		}
		width := len(b.types)
		all := make([]any, 0, n*width)
		for i := range n {
			all = fill(all, i)
		}
		args, casts := make([]any, width), make([]string, width)
		for i, typ := range b.types {
			args[i], casts[i] = column{all[i:], width, typ}, "?::"+typ+"[]"
		}
		yield(statement{sql: b.before + "SELECT * FROM unnest(" + strings.Join(casts, ", ") + ")" + b.after, args: args, each: each})
	}
}

// column is one column of rows that lie one behind the other, as an array.
type column struct {
	vals  []any // of all columns, from the first of this one on
	width int
	typ   string
}

// The types of PostgreSQL that occur (pg_type.dat).
const (
	oidBool  = 16
	oidBytea = 17
	oidName  = 19
	oidInt8  = 20
	oidInt4  = 23
	oidText  = 25
)

var oids = map[string]uint32{"bytea": oidBytea, "bigint": oidInt8, "text": oidText}

// encode is the array in PostgreSQL's binary form (array_recv): dimensions,
// whether one is null, the type, the length, the first index, then each with
// its length.
func (c column) encode() []byte {
	n := (len(c.vals) + c.width - 1) / c.width
	b := make([]byte, 0, 20+n*24)
	for _, head := range []uint32{1, 1, oids[c.typ], uint32(n), 1} {
		b = binary.BigEndian.AppendUint32(b, head)
	}
	for i := 0; i < len(c.vals); i += c.width {
		at := len(b)
		b = append(b, 0xff, 0xff, 0xff, 0xff) // -1: null
		if c.vals[i] != nil {
			b = appendStored(b, c.vals[i])
			binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
		}
	}
	return b
}

// appendStored appends a stored value in PostgreSQL's binary form.
func appendStored(b []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(b, uint64(v))
	case string:
		return append(b, escape(v)...)
	case []byte:
		return append(b, v...)
	}
	return b
}

// PostgreSQL's text has no byte 0. Ours may: 0 is written as 1 1, and 1 as 1 2.
// That keeps the order of bytes, and what begins with what.
var (
	escaper   = strings.NewReplacer("\x00", "\x01\x01", "\x01", "\x01\x02")
	unescaper = strings.NewReplacer("\x01\x01", "\x00", "\x01\x02", "\x01")
)

func escape(s string) string {
	if strings.ContainsAny(s, "\x00\x01") {
		return escaper.Replace(s)
	}
	return s
}

func unescape(s string) string {
	if strings.Contains(s, "\x01") {
		return unescaper.Replace(s)
	}
	return s
}
