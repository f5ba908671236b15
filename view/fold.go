package view

import (
	"context"
	"iter"
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
	clear(b.touched)
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
	missing := missing{}
	for i := range b.ops {
		o := &b.ops[i]
		b.miss(missing, o.t, o.name, o.key)
	}
	return b.read(missing)
}

// missing are keys of rows that are not known.
type missing map[*table][][]any

func (b *batch) miss(m missing, t *table, name string, key []any) {
	rows := b.overlay(t).rows
	if _, ok := rows[name]; !ok {
		rows[name] = &entry{key: key}
		m[t] = append(m[t], key)
	}
}

func (b *batch) read(missing missing) error {
	if len(missing) == 0 {
		return nil
	}
	var lookups []iter.Seq[statement]
	for t, keys := range missing {
		rows := b.overlay(t).rows
		n := len(t.Columns)
		lookups = append(lookups, t.bulk(&t.sql.load, len(keys), keysOf(keys), func(vals []any) error {
			tup := &tuple{vals: slices.Clone(vals[:n]), gone: vals[n].(int64), since: event.Position(vals[n+1].(int64))}
			e := rows[string(pack(nil, t.keyOf(tup.vals)))]
			if e == nil {
				return fault.New(fault.Corrupt, "table %s gives a row that was not asked for", t.Name)
			}
			e.old, e.cur = tup, tup
			return nil
		}))
	}
	return b.db.w.run(context.Background(), concat(lookups))
}

// bulk is a statement of the table for n rows.
func (t *table) bulk(b *bulk, n int, fill fill, each func([]any) error) iter.Seq[statement] {
	return t.ground.rows(b, n, fill, each)
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
	writes := make([]iter.Seq[statement], 0, 3*len(tables))
	for _, t := range tables {
		writes = append(writes, t.writes(b.tables[t])...)
	}
	return b.db.w.run(context.Background(), concat(writes))
}

// writes takes from an overlay what is not in the database.
func (t *table) writes(ov *overlay) []iter.Seq[statement] {
	var gone [][]any
	var fresh []*tuple
	var put []*entry
	for _, name := range slices.Sorted(maps.Keys(ov.rows)) {
		e := ov.rows[name]
		if e.cur == e.old {
			continue
		}
		switch {
		case e.cur == nil:
			gone = append(gone, e.key)
		case e.old == nil:
			fresh = append(fresh, e.cur)
		default:
			put = append(put, e)
		}
	}
	amend := t.amend(t.amended(put))
	for _, e := range ov.rows {
		e.old = e.cur
	}
	past := ov.past
	ov.past = nil
	return []iter.Seq[statement]{
		t.bulk(&t.sql.remove, len(gone), keysOf(gone), nil),
		t.bulk(&t.sql.insert, len(fresh), func(args []any, i int) []any { return t.appendRow(args, fresh[i]) }, nil),
		t.bulk(&amend, len(put), func(args []any, i int) []any { return t.appendRow(args, put[i].cur) }, nil),
		t.bulk(&t.sql.end, len(past), func(args []any, i int) []any {
			return append(t.appendRow(args, past[i].tuple), int64(past[i].until))
		}, nil),
	}
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
