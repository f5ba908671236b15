package view

import (
	"context"
	"maps"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// flush folds the ops that wait and writes what follows from them.
func (b *batch) flush() error {
	if len(b.ops) == 0 {
		return nil
	}
	if err := b.load(); err != nil {
		return err
	}
	for start := 0; start < len(b.ops); {
		end := start
		for end < len(b.ops) && b.ops[end].index == b.ops[start].index {
			end++
		}
		if err := b.fold(b.ops[start:end]); err != nil {
			return err
		}
		start = end
	}
	if err := b.checkUnique(); err != nil {
		return err
	}
	b.ops = b.ops[:0]
	return b.write()
}

func (b *batch) overlay(t *table) *overlay {
	o := b.tables[t]
	if o == nil {
		o = &overlay{rows: map[string]*entry{}, moves: make([][]move, len(t.unique))}
		b.tables[t] = o
	}
	return o
}

// load reads the rows that the ops touch and that are not known yet.
func (b *batch) load() error {
	missing := map[*table][][]any{}
	for i := range b.ops {
		o := &b.ops[i]
		rows := b.overlay(o.t).rows
		if _, ok := rows[o.name]; !ok {
			rows[o.name] = &entry{key: o.key}
			missing[o.t] = append(missing[o.t], o.key)
		}
	}
	for t, keys := range missing {
		rows := b.overlay(t).rows
		n := len(t.Columns)
		err := b.db.lookup(keys, t.maxRows(), t.sql.load, func(vals []any) error {
			tup := &tuple{vals: slices.Clone(vals[:n]), gone: vals[n].(int64), since: event.Position(vals[n+1].(int64))}
			e := rows[string(pack(nil, t.keyOf(tup.vals)))]
			if e == nil {
				return fault.New(fault.Corrupt, "table %s gives a row that was not asked for", t.Name)
			}
			e.old, e.cur = tup, tup
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookup runs a statement for all of the keys, as many at once as it takes.
func (d *database) lookup(keys [][]any, most int, sql func(rows int) string, each func([]any) error) error {
	for chunk := range chunks(keys, most) {
		var args []any
		for _, k := range chunk {
			args = append(args, k...)
		}
		if err := d.w.query(context.Background(), sql(len(chunk)), args, each); err != nil {
			return err
		}
	}
	return nil
}

// chunks cuts a list so that few different lengths occur: the statements for
// each are prepared once.
func chunks[T any](list []T, most int) func(func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			n := 1
			for n*4 <= min(len(list), most) {
				n *= 4
			}
			if len(list) >= most {
				n = most
			}
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// fold applies the ops of one fact.
func (b *batch) fold(ops []op) error {
	for i := range ops {
		o := &ops[i]
		p := o.fact.Position
		ov := b.overlay(o.t)
		e := ov.rows[o.name]
		if e.beforePos != p {
			e.before, e.beforePos = e.cur, p
		}
		var next *tuple
		if !o.remove {
			var err error
			if next, err = o.with(e.cur); err != nil {
				return failed(o.t.view.Name, o.fact, o.index, err)
			}
		}
		if e.cur != nil && e.cur.since < p {
			ov.past = append(ov.past, ended{e.cur, p})
		}
		e.cur = next
	}
	b.moved(ops)
	return nil
}

// write brings the database to what the overlays say, and keeps them as what
// is known of it. Rows go in the order of their keys, which are random: pages
// are then visited once.
func (b *batch) write() error {
	tables := slices.SortedFunc(maps.Keys(b.tables), func(x, y *table) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	for _, t := range tables {
		if err := b.db.write(t, b.tables[t]); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) write(t *table, ov *overlay) error {
	ctx := context.Background()
	var put []*tuple
	for _, name := range slices.Sorted(maps.Keys(ov.rows)) {
		e := ov.rows[name]
		if e.cur == e.old {
			continue
		}
		if e.cur != nil {
			put = append(put, e.cur)
		} else if _, err := d.w.exec(ctx, t.sql.remove, e.key...); err != nil {
			return err
		}
		e.old = e.cur
	}
	for chunk := range chunks(put, t.maxRows()) {
		var args []any
		for _, tup := range chunk {
			args = t.appendRow(args, tup)
		}
		if _, err := d.w.exec(ctx, t.sql.upsert(len(chunk)), args...); err != nil {
			return err
		}
	}
	for chunk := range chunks(ov.past, t.maxRows()) {
		var args []any
		for _, e := range chunk {
			args = append(t.appendRow(args, e.tuple), int64(e.until))
		}
		if _, err := d.w.exec(ctx, t.sql.end(len(chunk)), args...); err != nil {
			return err
		}
	}
	ov.past = ov.past[:0]
	return nil
}

// appendRow appends columns, gone, since and the normal forms.
func (t *table) appendRow(args []any, tup *tuple) []any {
	args = append(args, tup.vals...)
	args = append(args, tup.gone, int64(tup.since))
	for _, c := range t.prefix {
		var normal any
		if s, ok := tup.vals[c].(string); ok {
			normal = event.Normalize(s, true)
		}
		args = append(args, normal)
	}
	return args
}
