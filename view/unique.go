package view

import (
	"context"
	"iter"
	"slices"

	"muniment.dev/fault"
)

// move is a row that takes or gives up the values of a unique set.
type move struct {
	*op
	vals  []any
	takes bool
}

// moved notes what the rows that one fact touched give up, and then what they
// take: within a fact, rows may exchange values.
func (b *batch) moved(ops []op) {
	for _, takes := range []bool{false, true} {
		for i := range ops {
			o := &ops[i]
			if len(o.t.unique) == 0 || slices.ContainsFunc(ops[:i], func(p op) bool { return p.t == o.t && p.name == o.name }) {
				continue
			}
			ov := b.overlay(o.t)
			e := ov.rows[o.name]
			for n, set := range o.t.unique {
				before, after := claim(set, e.before), claim(set, e.cur)
				if before != nil && after != nil && string(pack(nil, before)) == string(pack(nil, after)) {
					continue
				}
				vals := before
				if takes {
					vals = after
				}
				if vals != nil {
					ov.moves[n] = append(ov.moves[n], move{o, vals, takes})
				}
			}
		}
	}
}

// claim is what a row holds of a unique set; nil if it does not count.
func claim(set []int, tup *tuple) []any {
	if tup == nil {
		return nil
	}
	vals := make([]any, len(set))
	for i, c := range set {
		if vals[i] = tup.vals[c]; vals[i] == nil {
			return nil
		}
	}
	return vals
}

// checkUnique plays the moves in order against the holders that the database
// knows, and refuses the first that takes what another row has.
func (b *batch) checkUnique() error {
	holders, err := b.holders()
	if err != nil {
		return err
	}
	var first *Failure
	for t, ov := range b.tables {
		for n, moves := range ov.moves {
			holders := holders[t][n]
			for _, m := range moves {
				values := string(pack(nil, m.vals))
				holder, held := holders[values]
				switch {
				case !m.takes && held && holder == m.name:
					delete(holders, values)
				case m.takes && held && holder != m.name:
					if first == nil || m.index < first.index {
						first = failed(t.view.Name, m.fact, m.index, t.taken(n, m.key, holder))
					}
				case m.takes:
					holders[values] = m.name
				}
			}
			ov.moves[n] = moves[:0]
		}
	}
	if first != nil {
		return first
	}
	return nil
}

// holders are the rows, by table, unique set and values, that the database
// knows to hold what rows want to take.
func (b *batch) holders() (map[*table][]map[string]string, error) {
	all := map[*table][]map[string]string{}
	var lookups []iter.Seq[statement]
	for t, ov := range b.tables {
		for n, moves := range ov.moves {
			holders := map[string]string{}
			all[t] = append(all[t], holders)
			var wanted [][]any
			for _, m := range moves {
				if m.takes {
					wanted = append(wanted, m.vals)
				}
			}
			lookups = append(lookups, t.bulk(&t.sql.holder[n], len(wanted), keysOf(wanted), func(vals []any) error {
				held := make([]any, len(t.unique[n]))
				for i, c := range t.unique[n] {
					held[i] = vals[c]
				}
				holders[string(pack(nil, held))] = string(pack(nil, t.keyOf(vals)))
				return nil
			}))
		}
	}
	return all, b.db.w.run(context.Background(), concat(lookups))
}

// taken names the rows, never the values.
func (t *table) taken(set int, key []any, holder string) error {
	other := "?"
	if k, ok := t.unpackKey([]byte(holder)); ok {
		other = t.showKey(k)
	}
	return fault.New(fault.Exists, "the row (%s) of table %s would have the same %v as the row (%s)", t.showKey(key), t.Name, t.Unique[set], other)
}
