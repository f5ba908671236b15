package view

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// table is a Table made ready: columns by number, and its statements.
type table struct {
	*Table
	ground   *ground
	view     *View
	index    map[string]int // column by name
	key      []int
	inKey    []bool
	indexed  []bool // stands in an index, the key left aside
	unique   [][]int
	prefix   []int
	of       []int   // for each column its subject column, or -1
	bit      []int64 // for each personal column its bit in the erased states, else 0
	subjects []int   // the subject columns
	folded   bool    // its rows hold the states of the view's fold
	sql      statements
}

// layout is the views of a database file, made ready.
type layout struct {
	ground   *ground
	views    []*View
	tables   map[string]*table
	types    map[string][]*View // who consumes an event type, by name
	wanting  []*View            // who may consume others
	stateful bool               // a view has a fold
}

// consumers are the views that consume an event type.
func (l *layout) consumers(typ string) []*View {
	named := l.types[typ]
	if len(l.wanting) == 0 {
		return named
	}
	all := named[:len(named):len(named)]
	for _, v := range l.wanting {
		if !slices.Contains(named, v) && v.Wants(typ) {
			all = append(all, v)
		}
	}
	return all
}

func newLayout(g *ground, views []*View) (*layout, error) {
	l := &layout{ground: g, views: views, tables: map[string]*table{}, types: map[string][]*View{}}
	names := map[string]bool{}
	for _, v := range views {
		if err := v.Check(); err != nil {
			return nil, err
		}
		if names[v.Name] {
			return nil, fault.Field("view", "there are two views named %s", v.Name)
		}
		names[v.Name] = true
		for i := range v.Tables {
			t := &v.Tables[i]
			if l.tables[t.Name] != nil {
				return nil, fault.Field("table", "there are two tables named %s", t.Name)
			}
			l.tables[t.Name] = newTable(g, v, t)
		}
		l.stateful = l.stateful || v.Fold != nil
		if v.Wants != nil {
			l.wanting = append(l.wanting, v)
		}
		for _, typ := range v.Types {
			if !slices.Contains(l.types[typ], v) {
				l.types[typ] = append(l.types[typ], v)
			}
		}
	}
	return l, nil
}

// creates are the statements that make the tables of views.
func (l *layout) creates(views ...*View) []string {
	var out []string
	for _, v := range views {
		for i := range v.Tables {
			out = append(out, l.tables[v.Tables[i].Name].sql.create...)
		}
	}
	return out
}

func newTable(g *ground, v *View, decl *Table) *table {
	n := len(decl.Columns)
	t := &table{Table: decl, ground: g, view: v, index: make(map[string]int, n), inKey: make([]bool, n), of: make([]int, n), bit: make([]int64, n)}
	for i, c := range decl.Columns {
		t.index[c.Name] = i
	}
	next := int64(1)
	for i, c := range decl.Columns {
		t.of[i] = -1
		if c.Personal == "" {
			continue
		}
		t.of[i], t.bit[i] = t.index[c.Personal], next
		next <<= 1
		if !slices.Contains(t.subjects, t.of[i]) {
			t.subjects = append(t.subjects, t.of[i])
		}
	}
	t.key, t.prefix = t.numbers(decl.Key), t.numbers(decl.Prefix)
	for _, k := range t.key {
		t.inKey[k] = true
	}
	for _, set := range decl.Unique {
		t.unique = append(t.unique, t.numbers(set))
	}
	t.indexed = t.inIndexes()
	t.folded = v.Fold != nil && v.Fold.Table == t.Name
	t.sql = newStatements(t)
	return t
}

func (t *table) inIndexes() []bool {
	out := make([]bool, len(t.Columns))
	for _, set := range slices.Concat(t.unique, [][]int{t.prefix, t.subjects}) {
		for _, c := range set {
			out[c] = !t.inKey[c]
		}
	}
	for _, names := range slices.Concat(t.Indexes, t.Sparse) {
		for _, c := range t.numbers(names) {
			out[c] = !t.inKey[c]
		}
	}
	return out
}

func (t *table) numbers(names []string) []int {
	out := make([]int, len(names))
	for i, name := range names {
		out[i] = t.index[name]
	}
	return out
}

// at is the number of a column; it panics for one that does not exist.
func (t *table) at(column string) int {
	i, ok := t.index[column]
	if !ok {
		panic(fmt.Sprintf("view: table %s has no column %s", t.Name, column))
	}
	return i
}

// personal lists the columns that belong to the subject in column s.
func (t *table) personal(s int) []int {
	var out []int
	for i, of := range t.of {
		if of == s {
			out = append(out, i)
		}
	}
	return out
}

// fingerprint changes whenever what the file holds for the view may.
func (v *View) fingerprint() string {
	const format = 2 // of our own tables and of what encode makes
	b, err := json.Marshal(struct {
		Format, Revision int
		Name             string
		Tables           []Table
		Types            []string
		Epoch            uint64 `json:",omitempty"`
	}{format, v.Revision, v.Name, v.Tables, v.Types, v.Epoch})
	if err != nil {
		panic("view: " + err.Error()) // strings and numbers only
	}
	sum := sha256.Sum256(b)
	if v.Epoch == 0 {
		return hex.EncodeToString(sum[:])
	}
	return hex.EncodeToString(sum[:]) + epochMark + strconv.FormatUint(v.Epoch, 10)
}

// epochMark stands between the hash and the epoch of a fingerprint.
const epochMark = "@"

// epochOf reads the epoch of a fingerprint.
func epochOf(fingerprint string) uint64 {
	_, text, _ := strings.Cut(fingerprint, epochMark)
	n, _ := strconv.ParseUint(text, 10, 64) // none: 0
	return n
}

// keyValues reads all key columns from vs.
func (t *table) keyValues(vs Values) ([]any, error) {
	if len(vs) != len(t.key) {
		return nil, fault.New(fault.Internal, "a key of table %s is made of %s", t.Name, strings.Join(t.Key, ", "))
	}
	key := make([]any, len(t.key))
	for i, c := range t.key {
		col := t.Columns[c]
		v, err := encode(col.Kind, vs[col.Name])
		if err != nil {
			return nil, fault.Wrap("key column "+col.Name+" of "+t.Name, err)
		}
		if v == nil {
			return nil, fault.New(fault.Internal, "the key of table %s lacks %s", t.Name, col.Name)
		}
		key[i] = v
	}
	return key, nil
}

// keyOf picks the key out of all columns.
func (t *table) keyOf(vals []any) []any {
	key := make([]any, len(t.key))
	for i, c := range t.key {
		key[i] = vals[c]
	}
	return key
}

// showKey writes a key for people. Keys are never personal.
func (t *table) showKey(key []any) string {
	var parts []string
	for i, c := range t.key {
		v, err := decode(t.Columns[c].Kind, key[i])
		if err != nil {
			v = "?"
		}
		parts = append(parts, fmt.Sprintf("%s %v", t.Columns[c].Name, v))
	}
	return strings.Join(parts, ", ")
}

// The first bytes of packed values.
const (
	packNull byte = iota
	packInt
	packText
	packBytes
)

// pack appends stored values to dst in a form that is the same only for the
// same values: a type byte and 8 bytes, or a type byte, length and bytes.
func pack(dst []byte, vals []any) []byte {
	for _, v := range vals {
		switch v := v.(type) {
		case nil:
			dst = append(dst, packNull)
		case int64:
			dst = binary.BigEndian.AppendUint64(append(dst, packInt), uint64(v))
		case string:
			dst = append(binary.AppendUvarint(append(dst, packText), uint64(len(v))), v...)
		case []byte:
			dst = append(binary.AppendUvarint(append(dst, packBytes), uint64(len(v))), v...)
		}
	}
	return dst
}

// unpackKey reads what pack made of a key of the table. Only that one form is
// accepted.
func (t *table) unpackKey(b []byte) ([]any, bool) {
	key := make([]any, len(t.key))
	rest := b
	for i, c := range t.key {
		if len(rest) == 0 {
			return nil, false
		}
		typ := rest[0]
		rest = rest[1:]
		if typ == packInt {
			if len(rest) < 8 {
				return nil, false
			}
			key[i], rest = int64(binary.BigEndian.Uint64(rest)), rest[8:]
		} else {
			n, size := binary.Uvarint(rest)
			if size <= 0 || n > uint64(len(rest)-size) {
				return nil, false
			}
			if typ == packText {
				key[i] = string(rest[size : size+int(n)])
			} else {
				key[i] = bytes.Clone(rest[size : size+int(n)])
			}
			rest = rest[size+int(n):]
		}
		v, err := decode(t.Columns[c].Kind, key[i])
		if err != nil {
			return nil, false
		}
		if again, err := encode(t.Columns[c].Kind, v); err != nil || !equal(again, key[i]) {
			return nil, false
		}
	}
	return key, len(rest) == 0 && bytes.Equal(pack(nil, key), b)
}

// equal compares stored values.
func equal(a, b any) bool {
	x, ok := a.([]byte)
	y, ok2 := b.([]byte)
	if ok || ok2 {
		return ok && ok2 && bytes.Equal(x, y)
	}
	return a == b
}

// subjectOf is a stored id as a subject.
func subjectOf(stored any) (event.SubjectID, bool) {
	b, ok := stored.([]byte)
	if !ok || len(b) != 16 {
		return event.SubjectID{}, false
	}
	return event.SubjectID{ID: event.ID(b)}, true
}
