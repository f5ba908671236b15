package view

import (
	"context"
	"slices"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Between asks for the ranges of rows that began or ended after one position and
// up to another: with them, how each row stood at both, and every event that
// changed it on the way.
type Between struct {
	Table       string
	Where       []Cond // that a range must meet
	After, Upto event.Position
	Behind      string // key of the last row that was read, as Row.Key gives it
	Rows        int    // at most so many rows; default 100
}

// maxRanges bounds how many ranges are read for one answer.
const maxRanges = 20_000

// Passage is what became of a row between two positions. One that came and went
// has neither a before nor an after.
type Passage struct {
	Before, After *Row             // how it stood at both; nil: it did not exist, or did not meet the conditions
	Positions     []event.Position // of the events that changed it, ascending
	Ranges        []Row            // all of them, the oldest first
	First         Row              // the oldest of them, by which its key can be read

	key string
}

// Key names the row; it may be given as Between.Behind.
func (p *Passage) Key() string { return p.key }

// Passages returns what became of rows between two positions, by key; next, if
// not empty, is the Behind of the rows that follow. Exhausted if one row changed
// more often than can be answered.
func (s *Set) Passages(ctx context.Context, b Between) (out []Passage, next string, err error) {
	if b.Rows == 0 {
		b.Rows = 100
	}
	err = s.read(ctx, b.Table, Read{}, func(ctx context.Context, sn *snapshot) error {
		sel := selection{t: sn.t}
		for _, c := range b.Where {
			if err := sel.where(c); err != nil {
				return err
			}
		}
		sql, args, err := sel.between(b)
		if err != nil {
			return err
		}
		var ranges []Row
		if err := sn.rows(ctx, sql, args, func(r Row) { ranges = append(ranges, r) }); err != nil {
			return err
		}
		out, next, err = passages(sn.t, ranges, b)
		return err
	})
	return out, next, err
}

// between selects the ranges, by key and position.
func (q *selection) between(b Between) (string, []any, error) {
	after, upto := int64(b.After), int64(b.Upto)
	more, moreArgs := "", []any(nil)
	if b.Behind != "" {
		key, ok := q.t.unpackKey([]byte(b.Behind))
		if !ok {
			return "", nil, errCursor
		}
		more, moreArgs = "("+q.t.names(q.t.key)+") > "+holes(1, len(q.t.key)), key
	}
	began := colSince + " > ? AND " + colSince + " <= ?"
	arms := []arm{
		{q.t.now(), q.t.ground.zero + " AS " + colUntil, []string{began}, []any{after, upto}},
		{q.t.past(), colUntil, []string{"(" + began + " OR " + strings.ReplaceAll(began, colSince, colUntil) + ")"}, []any{after, upto, after, upto}},
	}
	var selects []string
	var args []any
	for _, a := range arms {
		where, whereArgs := q.whereIn(a, more, moreArgs)
		selects = append(selects, "SELECT "+q.t.names(q.t.allColumns())+", "+colGone+", "+colSince+", "+a.until+" FROM "+a.from+where)
		args = append(args, whereArgs...)
	}
	sql := strings.Join(selects, " UNION ALL ") + " ORDER BY " + q.t.names(q.t.key) + ", " + colSince + " LIMIT ?"
	return sql, append(args, int64(maxRanges+1)), nil
}

// passages joins the ranges of each row.
func passages(t *table, ranges []Row, b Between) (out []Passage, next string, err error) {
	cut := len(ranges) > maxRanges
	for len(ranges) > 0 {
		key := string(pack(nil, t.keyOf(ranges[0].vals)))
		n := 1
		for n < len(ranges) && string(pack(nil, t.keyOf(ranges[n].vals))) == key {
			n++
		}
		if len(out) == b.Rows || cut && n == len(ranges) { // the last row may not be whole
			if len(out) == 0 {
				return nil, "", fault.New(fault.Exhausted, "a single row changed more than %d times; ask for a shorter time", maxRanges)
			}
			return out, out[len(out)-1].key, nil
		}
		out = append(out, passage(ranges[:n], key, b))
		ranges = ranges[n:]
	}
	return out, "", nil
}

func passage(ranges []Row, key string, b Between) Passage {
	p := Passage{key: key, Ranges: ranges, First: ranges[0]}
	for i := range ranges {
		r := ranges[i]
		if r.Since <= b.After {
			p.Before = &r
		}
		if r.Until == 0 || r.Until > b.Upto {
			p.After = &r
		}
		for _, at := range []event.Position{r.Since, r.Until} {
			if at > b.After && at <= b.Upto {
				p.Positions = append(p.Positions, at)
			}
		}
	}
	slices.Sort(p.Positions)
	p.Positions = slices.Compact(p.Positions)
	return p
}

// Each tells of each column what it holds: nothing, a value of the column's
// kind, or what was erased.
func (r Row) Each(f func(c Column, s event.State, v any)) {
	for i, c := range r.t.Columns {
		v, err := decode(c.Kind, r.vals[i])
		if err != nil { // checked when it was read
			continue
		}
		f(c, r.state(i), v)
	}
}

// KeyColumns names the columns that name the row.
func (r Row) KeyColumns() []string { return r.t.Key }
