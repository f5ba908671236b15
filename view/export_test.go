package view

import (
	"context"
	"fmt"
	"strings"
)

// OnCommit lets f run the commits of the set's writer.
func (s *Set) OnCommit(f func(commit func() error) error) {
	d := s.current()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending = f
}

// Dump writes down all that the tables hold.
func (s *Set) Dump() (lines []string, err error) {
	err = s.current().read(context.Background(), func(ctx context.Context, sn *snapshot) error {
		for _, v := range s.live.lay.views {
			for i := range v.Tables {
				for _, sql := range s.live.lay.tables[v.Tables[i].Name].sql.all {
					err := query(ctx, sn.c, sql, nil, func(vals []any) error {
						lines = append(lines, fmt.Sprintf("%s %q", v.Tables[i].Name, vals))
						return nil
					})
					if err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	return lines, err
}

// Tamper runs a statement on the file behind the set's back.
func (s *Set) Tamper(sql string, args ...any) error {
	d := s.current()
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := exec(context.Background(), d.w, sql, args...)
	return err
}

// Plan explains how a page of a query is found.
func (s *Set) Plan(q Query) (lines []string, err error) {
	c, err := parseCursor(q.After)
	if err != nil {
		return nil, err
	}
	err = s.read(context.Background(), q.Table, q.Read, func(ctx context.Context, r *snapshot) error {
		p, err := newPage(r, &q)
		if err != nil {
			return err
		}
		segs := []segment{{after: -1}}
		if c.at != 0 {
			anchor, err := p.anchor(ctx, c)
			if err != nil {
				return err
			}
			vals := make([]any, len(p.order))
			for i, col := range p.order {
				vals[i] = anchor.vals[col]
			}
			segs = segments(p.t, p.order, p.desc, vals)
		}
		for _, seg := range segs {
			sql, args := p.sel.rows(p.order, p.desc, seg, 10)
			if err := query(ctx, r.c, "EXPLAIN QUERY PLAN "+sql, args, func(vals []any) error {
				lines = append(lines, fmt.Sprint(vals[3]))
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return lines, err
}

// CanonicalCursor parses and prints a cursor.
func CanonicalCursor(text string) (string, bool) {
	c, err := parseCursor(text)
	if err != nil {
		return "", false
	}
	return c.print(), true
}

// KeyReader returns what reads a packed key of the view's first table and
// packs it again.
func KeyReader(v View) func(b []byte) (again []byte, ok bool) {
	lay, err := newLayout(fileGround, []*View{&v})
	if err != nil {
		panic(err)
	}
	return func(b []byte) ([]byte, bool) {
		key, ok := lay.tables[v.Tables[0].Name].unpackKey(b)
		if !ok {
			return nil, false
		}
		return pack(nil, key), true
	}
}

// PackKey packs a key of the view's first table.
func PackKey(v View, key Values) []byte {
	lay, err := newLayout(fileGround, []*View{&v})
	if err != nil {
		panic(err)
	}
	k, err := lay.tables[v.Tables[0].Name].keyValues(key)
	if err != nil {
		panic(err)
	}
	return pack(nil, k)
}

// TamperPlace makes the set believe that it applied another last record.
func (s *Set) TamperPlace() error {
	d := s.current()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at.leaf[0] ^= 1
	_, err := exec(context.Background(), d.w, `UPDATE "_state" SET "leaf" = ?`, d.at.leaf[:])
	return err
}

// TailPlans explains the statements that the tail runs.
func (s *Set) TailPlans() (map[string][]string, error) {
	plans := map[string][]string{}
	err := s.current().read(context.Background(), func(ctx context.Context, sn *snapshot) error {
		for _, t := range s.live.lay.tables {
			list := []string{t.text(&t.sql.load), t.text(&t.sql.remove), t.history()}
			for _, holder := range t.sql.holder {
				list = append(list, t.text(&holder))
			}
			for _, both := range t.sql.clear {
				list = append(list, both[0], both[1])
			}
			for _, index := range t.Indexes {
				sel := selection{t: t}
				if i := t.index[index[0]]; t.bit[i] == 0 {
					sel.conds = []string{quote(index[0]) + " = ?"}
					sql, _ := sel.keys()
					list = append(list, sql)
				}
			}
			for _, sql := range list {
				args := make([]any, strings.Count(sql, "?"))
				err := query(ctx, sn.c, "EXPLAIN QUERY PLAN "+sql, args, func(vals []any) error {
					plans[sql] = append(plans[sql], fmt.Sprint(vals[3]))
					return nil
				})
				if err != nil {
					return fmt.Errorf("%s: %w", sql, err)
				}
			}
		}
		return nil
	})
	return plans, err
}

// text is a bulk statement for 16 rows.
func (t *table) text(b *bulk) (sql string) {
	for s := range t.bulk(b, 16, func(args []any, _ int) []any { return append(args, make([]any, len(b.types))...) }, nil) {
		sql = s.sql
	}
	return sql
}
