package view

import (
	"context"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Cond is a condition on a row. It is made by the functions below; a personal
// value that was erased meets none but Unset.
type Cond struct {
	op     condOp
	column string
	values []any
	any    []Cond
}

type condOp uint8

const (
	opNone condOp = iota
	opEq
	opIn
	opRange
	opPrefix
	opSame
	opUnset
	opAny
	opAll
)

// Eq holds if the column has this value.
func Eq(column string, v any) Cond { return Cond{op: opEq, column: column, values: []any{v}} }

// In holds if the column has one of these values; without values it never does.
func In[T any](column string, vs ...T) Cond {
	c := Cond{op: opIn, column: column}
	for _, v := range vs {
		c.values = append(c.values, v)
	}
	return c
}

// Range holds if from ≤ value < to; a bound that is nil is none.
func Range(column string, from, to any) Cond {
	return Cond{op: opRange, column: column, values: []any{from, to}}
}

// Prefix holds if the column's normal form begins with that of text; always, if
// text is empty. The table must declare the column as Prefix.
func Prefix(column, text string) Cond {
	return Cond{op: opPrefix, column: column, values: []any{text}}
}

// Same holds if the column's normal form is that of text. The table must
// declare the column as Prefix.
func Same(column, text string) Cond { return Cond{op: opSame, column: column, values: []any{text}} }

// Unset holds if the column holds nothing that can be read.
func Unset(column string) Cond { return Cond{op: opUnset, column: column} }

// Any holds if one of the conditions does.
func Any(conds ...Cond) Cond { return Cond{op: opAny, any: conds} }

// All holds if each of the conditions does: for one of several of Any.
func All(conds ...Cond) Cond { return Cond{op: opAll, any: conds} }

// Read says as of when, and how fresh, an answer must be. The zero Read asks
// for the present, at least as fresh as the log is when the call comes in.
//
// That freshness is also wanted when At is given: what was erased since is then
// erased at every position. With Stale or AtLeast less will do.
type Read struct {
	At      event.Position // as of this position; 0: the present
	AtLeast event.Position // any state of the view from this position on will do
	Stale   bool           // any state will do that knows At and AtLeast
}

// Query asks for the rows of a table that meet all conditions, in order.
type Query struct {
	Table   string
	Where   []Cond
	OrderBy []string // then by key; what holds nothing comes first
	Desc    bool     // everything the other way round
	After   string   // cursor: the next page of the same query
	Limit   int      // rows on a page; default 100, at most MaxLimit
	Read
}

// MaxLimit is the greatest Query.Limit.
const MaxLimit = 10000

// Select returns a page of rows; next, if not empty, is the cursor of the page
// behind it; at is the position that the page shows.
//
// Pages of the present show it as each is read: a row that moves in the order
// meanwhile may be met twice or not at all. For a list that stands still, pass
// the first page's position as At. Errors by kind: Invalid, the cursor is not
// one of this query; Conflict, the list changed so that the cursor leads
// nowhere; Unavailable, the view is behind or stopped.
func (s *Set) Select(ctx context.Context, q Query) (rows []Row, next string, at event.Position, err error) {
	c, err := parseCursor(q.After)
	if err != nil {
		return nil, "", 0, err
	}
	if c.at > s.log.Mark().Size {
		return nil, "", 0, errCursor
	}
	if q.Stale || q.AtLeast > 0 {
		q.Stale, q.AtLeast = q.Stale && c.at == 0, max(q.AtLeast, c.at)
	}
	err = s.read(ctx, q.Table, q.Read, func(ctx context.Context, r *snapshot) error {
		at = r.at
		p, err := newPage(r, &q)
		if err != nil {
			return err
		}
		if rows, err = p.read(ctx, c); err == nil && len(rows) > p.limit {
			rows = rows[:p.limit]
			next = p.cursor(rows[p.limit-1])
		}
		return err
	})
	if err != nil {
		return nil, "", 0, err
	}
	return rows, next, at, nil
}

// page is a Query made ready.
type page struct {
	*snapshot
	sel   selection
	order []int // without columns that a condition holds to one value
	desc  bool
	limit int
	query [8]byte // which order it is, for cursors
}

func newPage(r *snapshot, q *Query) (*page, error) {
	p := &page{snapshot: r, sel: selection{t: r.t, at: q.At}, desc: q.Desc, limit: q.Limit}
	if p.limit == 0 {
		p.limit = 100
	}
	if p.limit < 0 || p.limit > MaxLimit {
		return nil, fault.Field("limit", "a page has 1 to %d rows", MaxLimit)
	}
	for _, c := range q.Where {
		if err := p.sel.where(c); err != nil {
			return nil, err
		}
	}
	var full []int
	for _, name := range q.OrderBy {
		i, ok := r.t.index[name]
		if !ok {
			return nil, fault.New(fault.Internal, "table %s has no column %q to order by", r.t.Name, name)
		}
		full = append(full, i)
	}
	for _, c := range append(full, r.t.key...) {
		if !p.sel.fixed[c] && !slices.Contains(p.order, c) {
			p.order = append(p.order, c)
		}
	}
	p.query = orderName(q)
	return p, nil
}

// read reads the rows behind a cursor, and one more than the limit.
func (p *page) read(ctx context.Context, c cursor) ([]Row, error) {
	segs := []segment{{after: -1}}
	if c.at != 0 {
		anchor, err := p.anchor(ctx, c)
		if err != nil {
			return nil, err
		}
		vals := make([]any, len(p.order))
		for i, col := range p.order {
			vals[i] = anchor.vals[col]
		}
		segs = segments(p.t, p.order, p.desc, vals)
	}
	var rows []Row
	for _, seg := range segs {
		if len(rows) > p.limit {
			break
		}
		sql, args := p.sel.rows(p.order, p.desc, seg, p.limit+1-len(rows))
		if err := p.rows(ctx, sql, args, func(r Row) { rows = append(rows, r) }); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// anchor finds the row that a cursor stands behind, as it was on its page. It
// must meet the conditions of the query, or cursors could be used to compare
// with rows that the caller may not see.
func (p *page) anchor(ctx context.Context, c cursor) (Row, error) {
	key, ok := p.t.unpackKey([]byte(c.key))
	if !ok || c.query != p.query || p.sel.at != 0 && c.at != p.sel.at || c.at > p.at {
		return Row{}, errCursor
	}
	sel := p.sel
	sel.at = c.at
	var eq []Cond
	for i, col := range p.t.key {
		v, err := decode(p.t.Columns[col].Kind, key[i])
		if err != nil {
			return Row{}, errCursor
		}
		eq = append(eq, Eq(p.t.Columns[col].Name, v))
	}
	sel.conds, sel.args = slices.Clone(sel.conds), slices.Clone(sel.args)
	sel.fixed = nil
	for _, e := range eq {
		if err := sel.where(e); err != nil {
			return Row{}, err
		}
	}
	var found []Row
	sql, args := sel.rows(nil, false, segment{after: -1}, 1)
	if err := p.rows(ctx, sql, args, func(r Row) { found = append(found, r) }); err != nil {
		return Row{}, err
	}
	if len(found) == 0 {
		return Row{}, errGone
	}
	for _, col := range p.order {
		if found[0].state(col) == event.Erased {
			return Row{}, errGone
		}
	}
	return found[0], nil
}

// Get returns the row with that key; false if there is none.
func (s *Set) Get(ctx context.Context, table string, key Values, r Read) (row Row, ok bool, err error) {
	err = s.read(ctx, table, r, func(ctx context.Context, sn *snapshot) error {
		k, err := sn.t.keyValues(key)
		if err != nil {
			return err
		}
		sel := selection{t: sn.t, at: r.At}
		sel.conds, sel.args = []string{sn.t.keyCond()}, k
		sql, args := sel.rows(nil, false, segment{after: -1}, 1)
		// A row found by its key is there sooner than a query could be called
		// off, for which the driver would start a goroutine.
		return sn.rows(context.WithoutCancel(ctx), sql, args, func(r Row) { row, ok = r, true })
	})
	return row, ok, err
}

// Count returns how many rows meet the conditions; order, cursor and limit do
// not matter.
func (s *Set) Count(ctx context.Context, q Query) (n int, at event.Position, err error) {
	err = s.read(ctx, q.Table, q.Read, func(ctx context.Context, r *snapshot) error {
		sel := selection{t: r.t, at: q.At}
		for _, c := range q.Where {
			if err := sel.where(c); err != nil {
				return err
			}
		}
		at = r.at
		sql, args := sel.count()
		return query(ctx, r.c, sql, args, func(vals []any) error { n = int(vals[0].(int64)); return nil })
	})
	return n, at, err
}

// History returns all ranges of the row with that key, the oldest first; none
// if it never existed. Between two of them the row may have been absent.
func (s *Set) History(ctx context.Context, table string, key Values, r Read) (ranges []Row, err error) {
	err = s.read(ctx, table, r, func(ctx context.Context, sn *snapshot) error {
		k, err := sn.t.keyValues(key)
		if err != nil {
			return err
		}
		args := append(slices.Clone(k), k...)
		ranges = nil
		return sn.rows(ctx, sn.t.history(), args, func(r Row) { ranges = append(ranges, r) })
	})
	return ranges, err
}
