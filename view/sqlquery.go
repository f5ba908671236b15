package view

import (
	"slices"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// selection is a query over one table on its way to SQL.
type selection struct {
	t     *table
	at    event.Position // 0: the present
	conds []string
	args  []any
	fixed map[int]bool // columns that a condition holds to one value
}

// arm is one of the tables that a selection looks into.
type arm struct {
	from, until string
	conds       []string
	args        []any
}

// arms are the present rows, or at a position those that stand since then or
// longer and the ranges that contain it. Each has the conditions, so that each
// is searched and put in order by its own indexes.
func (q *selection) arms() []arm {
	if q.at == 0 {
		return []arm{{q.t.now(), q.t.ground.zero, nil, nil}}
	}
	p := int64(q.at)
	return []arm{
		{q.t.now(), q.t.ground.zero + " AS " + colUntil, []string{colSince + " <= ?"}, []any{p}},
		{q.t.past(), colUntil, []string{colSince + " <= ?", colUntil + " > ?"}, []any{p, p}},
	}
}

// whereIn is the arm's conditions with those of the selection and one more.
func (q *selection) whereIn(a arm, more string, moreArgs []any) (string, []any) {
	conds, args := slices.Concat(a.conds, q.conds), slices.Concat(a.args, q.args, moreArgs)
	if more != "" {
		conds = append(conds, more)
	}
	if len(conds) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(conds, " AND "), args
}

// rows selects the rows of one segment of an order, at most limit.
func (q *selection) rows(order []int, desc bool, seg segment, limit int) (string, []any) {
	more, moreArgs := seg.sql(q.t, desc)
	var selects []string
	var args []any
	for _, a := range q.arms() {
		where, whereArgs := q.whereIn(a, more, moreArgs)
		selects = append(selects, "SELECT "+q.t.names(q.t.allColumns())+", "+colGone+", "+colSince+", "+a.until+" FROM "+a.from+where)
		args = append(args, whereArgs...)
		if n := len(selects) - 1; len(order) > 0 && q.at != 0 && !q.t.ground.merges {
			selects[n] = "(" + selects[n] + " ORDER BY " + q.t.inOrder(order, desc) + " LIMIT ?)"
			args = append(args, int64(limit))
		}
	}
	sql := strings.Join(selects, " UNION ALL ")
	if len(order) > 0 {
		sql += " ORDER BY " + q.t.inOrder(order, desc)
	}
	return sql + " LIMIT ?", append(args, int64(limit))
}

// count counts the rows.
func (q *selection) count() (string, []any) {
	var counts []string
	var args []any
	for _, a := range q.arms() {
		where, whereArgs := q.whereIn(a, "", nil)
		counts, args = append(counts, "(SELECT count(*) FROM "+a.from+where+")"), append(args, whereArgs...)
	}
	return "SELECT " + strings.Join(counts, " + "), args
}

// keys selects the keys of present rows, in their order.
func (q *selection) keys() (string, []any) {
	where, args := q.whereIn(q.arms()[0], "", nil)
	return "SELECT " + q.t.names(q.t.key) + " FROM " + q.t.now() + where + " ORDER BY " + q.t.names(q.t.key), args
}

// keyCond holds for one row.
func (t *table) keyCond() string {
	return "(" + t.names(t.key) + ") = " + holes(1, len(t.key))
}

// history selects all ranges of one row, the oldest first.
func (t *table) history() string {
	cols, where := t.names(t.allColumns())+", "+colGone+", "+colSince, " WHERE "+t.keyCond()
	return "SELECT " + cols + ", " + colUntil + " FROM " + t.past() + where + " UNION ALL SELECT " + cols + ", " + t.ground.zero + " FROM " + t.now() + where +
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
		conds = append(conds, name+" = ?")
		args = append(args, s.vals[i])
	}
	name, last := quote(t.Columns[s.after].Name), s.vals[len(s.equal)]
	switch {
	case s.null:
		conds = append(conds, name+" IS NULL")
	case last == nil:
		conds = append(conds, name+" IS NOT NULL")
	case desc:
		conds, args = append(conds, name+" < ?"), append(args, last)
	default:
		conds, args = append(conds, name+" > ?"), append(args, last)
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
	switch c.op {
	case opAny:
		return c.severalSQL(t, " OR ", "1 = 0")
	case opAll:
		return c.severalSQL(t, " AND ", "1 = 1")
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
	name := quote(c.column)
	switch c.op {
	case opUnset:
		return name + " IS NULL", nil, nil
	case opEq:
		if args[0] == nil {
			return "", nil, fault.New(fault.Internal, "condition on %s of %s: use Unset for what holds nothing", c.column, t.Name)
		}
		return name + " = ?", args, nil
	case opIn:
		if len(args) == 0 {
			return "1 = 0", nil, nil
		}
		return name + " IN (" + strings.Repeat("?, ", len(args)-1) + "?)", args, nil
	case opRange:
		return rangeSQL(name, args[0], args[1])
	}
	return c.textSQL(t, i)
}

func rangeSQL(name string, from, to any) (string, []any, error) {
	conds, args := []string{name + " IS NOT NULL"}, []any(nil)
	if from != nil {
		conds, args = append(conds, name+" >= ?"), append(args, from)
	}
	if to != nil {
		conds, args = append(conds, name+" < ?"), append(args, to)
	}
	return strings.Join(conds, " AND "), args, nil
}

// textSQL looks at the normal form of a text.
func (c *Cond) textSQL(t *table, i int) (string, []any, error) {
	text, ok := c.values[0].(string)
	if !ok || !slices.Contains(t.prefix, i) {
		return "", nil, fault.New(fault.Internal, "column %s of %s cannot be searched by normal form", c.column, t.Name)
	}
	name := quote(prefixCol + c.column)
	text = event.Normalize(text, true)
	if c.op == opSame {
		return name + " = ?", []any{text}, nil
	}
	if text == "" {
		return "1 = 1", nil, nil
	}
	if next, ok := successor(text); ok {
		return name + " >= ? AND " + name + " < ?", []any{text, next}, nil
	}
	return name + " >= ?", []any{text}, nil
}

func (c *Cond) severalSQL(t *table, join, none string) (string, []any, error) {
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
		return none, nil, nil
	}
	return "(" + strings.Join(alternatives, join) + ")", args, nil
}
