package view

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// OnCommit lets f run the commits of the set's writer.
func (s *Set) OnCommit(f func(commit func() error) error) {
	d := s.current()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending = f
}

// Dump writes down all that the tables hold, in the same order wherever they are.
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
	slices.Sort(lines)
	return lines, err
}

// Tamper runs a statement on the file behind the set's back.
func (s *Set) Tamper(sql string, args ...any) error {
	d := s.current()
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := exec(context.Background(), d.w, d.translate(sql), args...)
	return err
}

// translate writes SQL for files as PostgreSQL wants it.
func (d *database) translate(sql string) string {
	g, ok := d.kept.(*generation)
	if !ok {
		return sql
	}
	sql = regexp.MustCompile(`\b(now|past)_\w+`).ReplaceAllStringFunc(sql, d.lay.ground.name)
	sql = strings.ReplaceAll(sql, `"_state"`, g.h.at+`"_state"`)
	return regexp.MustCompile(`zeroblob\((\d+)\)`).ReplaceAllString(sql, `decode(repeat('00', $1), 'hex')`)
}

// explain explains a statement; what tells of a scan or of sorting is as SQLite
// says it.
func explain(ctx context.Context, c conn, d *dialect, sql string, args []any, each func(string)) error {
	if d == &sqlite {
		return query(ctx, c, "EXPLAIN QUERY PLAN "+sql, args, func(vals []any) error { each(fmt.Sprint(vals[3])); return nil })
	}
	if _, err := exec(ctx, c, "SET LOCAL enable_sort = off"); err != nil {
		return err
	}
	var lines []string
	err := query(ctx, c, "EXPLAIN "+sql, args, func(vals []any) error { lines = append(lines, fmt.Sprint(vals[0])); return nil })
	if err != nil {
		return err
	}
	// What two tables give, both in order and no more than a page, may be sorted.
	joined := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "Append") })
	for i, line := range lines {
		line = strings.ReplaceAll(line, "Seq Scan", "SCAN")
		if i > joined {
			line = strings.ReplaceAll(line, "Sort  (", "TEMP B-TREE (")
		}
		each(line)
	}
	return nil
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
			if err := explain(ctx, r.c, r.t.ground.dialect, sql, args, func(line string) { lines = append(lines, line) }); err != nil {
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
	_, err := exec(context.Background(), d.w, d.translate(`UPDATE "_state" SET "leaf" = ?`), d.at.leaf[:])
	return err
}

// TailPlans explains the statements that the tail runs.
func (s *Set) TailPlans() (map[string][]string, error) {
	plans := map[string][]string{}
	d := s.current()
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.w.in(d.lay.ground.begin, nil, func() error {
		for _, t := range d.lay.tables {
			list := append([]statement{t.text(&t.sql.load), t.text(&t.sql.remove)}, ids(t.history()))
			for _, holder := range t.sql.holder {
				list = append(list, t.text(&holder))
			}
			for _, both := range t.sql.clear {
				list = append(list, ids(both[0]), ids(both[1]))
			}
			for _, index := range t.Indexes {
				sel := selection{t: t}
				if i := t.index[index[0]]; t.bit[i] == 0 {
					sel.conds = []string{quote(index[0]) + " = ?"}
					sql, _ := sel.keys()
					list = append(list, ids(sql))
				}
			}
			for _, st := range list {
				err := explain(context.Background(), d.w, t.ground.dialect, st.sql, st.args, func(line string) { plans[st.sql] = append(plans[st.sql], line) })
				if err != nil {
					return fmt.Errorf("%s: %w", st.sql, err)
				}
			}
		}
		return nil
	})
	return plans, err
}

// ids is a statement whose parameters are ids.
func ids(sql string) statement {
	args := make([]any, strings.Count(sql, "?"))
	for i := range args {
		args[i] = make([]byte, 16)
	}
	return statement{sql: sql, args: args}
}

// text is a bulk statement for 16 rows.
func (t *table) text(b *bulk) (st statement) {
	for st = range t.bulk(b, 16, func(args []any, _ int) []any { return append(args, make([]any, len(b.types))...) }, nil) {
	}
	return st
}

// Coming tells whether a declaration of that epoch is to replace another.
func (s *Set) Coming(epoch uint64) bool {
	return slices.ContainsFunc(s.changes.coming(), func(v *View) bool { return v.Epoch == epoch })
}
