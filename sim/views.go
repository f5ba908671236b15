package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/server"
	"muniment.dev/view"
)

// tables hold the slices' views in memory: the same declarations and the same
// pure functions, folded plainly.
type tables struct {
	views []view.View

	mu   sync.Mutex
	at   event.Position
	last event.Hash // leaf hash of the record at at
	rows map[string]map[string]view.Values
}

func newTables() *tables {
	return &tables{views: server.Views(), rows: map[string]map[string]view.Values{}}
}

// copy is the file of views as it is.
func (t *tables) copy() *tables {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &tables{views: t.views, at: t.at, last: t.last, rows: map[string]map[string]view.Values{}}
	for name, rows := range t.rows {
		c.rows[name] = maps.Clone(rows)
	}
	return c
}

type records = iter.Seq2[*event.Record, error]

// tail follows the log until the context ends.
func (n *node) tail(ctx context.Context) {
	for {
		upto := n.log.Mark().Size
		if n.world.bugs.PastMark {
			if h, err := n.log.Store().Head(ctx, n.world.id); err == nil {
				upto = h.Size
			}
		}
		if err := n.catchUp(ctx, upto); err != nil {
			if ctx.Err() != nil || n.dead.Load() {
				return
			}
			if k := fault.KindOf(err); k != fault.Unavailable {
				n.world.fail(fmt.Errorf("%s: the views stop: %w", n.name, err))
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		wait, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		err := n.log.Wait(wait, n.views.position())
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return
		}
	}
}

// catchUp applies what came since in one step.
func (n *node) catchUp(ctx context.Context, upto event.Position) error {
	var facts []event.Fact
	read := n.log.ReadTo
	if n.world.bugs.PastMark {
		read = func(ctx context.Context, _ event.Query, after, upto event.Position) records {
			return n.log.Store().Records(ctx, n.world.id, after+1, upto)
		}
	}
	for r, err := range read(ctx, event.Everything(), n.views.position(), upto) {
		if err != nil {
			return err
		}
		f, err := n.sealer.Decode(ctx, r)
		if err != nil {
			return err
		}
		facts = append(facts, f)
	}
	return n.views.apply(facts)
}

func (t *tables) position() event.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

// apply applies facts, each of which must follow the one before.
func (t *tables) apply(facts []event.Fact) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range facts {
		if f.Position != t.at+1 || f.Prev != t.last {
			return fmt.Errorf("record %d does not follow record %d, which the views have seen", f.Position, t.at)
		}
		t.at, t.last = f.Position, f.Record.Hash()
		if p, ok := f.Payload.(event.SubjectErased); ok {
			t.clear(p.Subject)
		}
		for i := range t.views {
			// What folds say is not repeated here: package view checks it against a rebuild.
			if t.views[i].Apply != nil && slices.Contains(t.views[i].Types, f.Type) {
				for _, c := range t.views[i].Apply(f) {
					t.change(c)
				}
			}
		}
	}
	return nil
}

func (t *tables) change(c view.Change) {
	rows := t.rows[c.Table]
	if rows == nil {
		rows = map[string]view.Values{}
		t.rows[c.Table] = rows
	}
	var names []string
	if c.Key != nil {
		names = []string{keyOf(c.Key)}
		if rows[names[0]] == nil && !c.Delete {
			rows[names[0]] = maps.Clone(c.Key)
		}
	} else {
		for name, row := range rows {
			if matches(row, c.Where) {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if c.Delete {
			delete(rows, name)
			continue
		}
		row := maps.Clone(rows[name])
		for col, v := range c.Set {
			if s, ok := v.(event.Sealed[string]); ok && s.State == event.Absent {
				continue
			}
			row[col] = v
		}
		rows[name] = row
	}
}

func keyOf(key view.Values) string {
	var b strings.Builder
	for _, col := range slices.Sorted(maps.Keys(key)) {
		fmt.Fprintf(&b, "%s=%v;", col, key[col])
	}
	return b.String()
}

func matches(row, where view.Values) bool {
	for col, v := range where {
		if !reflect.DeepEqual(row[col], v) {
			return false
		}
	}
	return true
}

// forget clears what is personal of a subject.
func (t *tables) forget(s event.SubjectID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear(s)
}

func (t *tables) clear(s event.SubjectID) {
	for i := range t.views {
		for _, tab := range t.views[i].Tables {
			for _, c := range tab.Columns {
				if c.Personal != "" {
					t.clearColumn(tab.Name, c, s)
				}
			}
		}
	}
}

func (t *tables) clearColumn(table string, c view.Column, s event.SubjectID) {
	for name, row := range t.rows[table] {
		v, ok := row[c.Name].(event.Sealed[string])
		if ok && v.State == event.Present && reflect.DeepEqual(row[c.Personal], s.ID) {
			row = maps.Clone(row)
			row[c.Name] = event.Sealed[string]{State: event.Erased}
			t.rows[table][name] = row
		}
	}
}

// holds reports whether something personal of a subject stands in a row.
func (t *tables) holds(s event.SubjectID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.views {
		for _, tab := range t.views[i].Tables {
			for _, c := range tab.Columns {
				for _, row := range t.rows[tab.Name] {
					if v, ok := row[c.Name].(event.Sealed[string]); ok && c.Personal != "" && v.State == event.Present && reflect.DeepEqual(row[c.Personal], s.ID) {
						return true
					}
				}
			}
		}
	}
	return false
}

// difference is the first row in which two sets of tables differ; "" if none.
func (t *tables) difference(o *tables) string {
	for _, name := range slices.Sorted(maps.Keys(t.rows)) {
		for key, row := range t.rows[name] {
			if !reflect.DeepEqual(row, o.rows[name][key]) {
				return fmt.Sprintf("%s %s is %v here and %v there", name, key, row, o.rows[name][key])
			}
		}
		if len(t.rows[name]) != len(o.rows[name]) {
			return fmt.Sprintf("%s has %d rows here and %d there", name, len(t.rows[name]), len(o.rows[name]))
		}
	}
	return ""
}

// rebuilt are the tables made anew of what is stored.
func rebuilt(ctx context.Context, st eventlog.Store, j *journal) (*tables, error) {
	t := newTables()
	var facts []event.Fact
	for r, err := range st.Records(ctx, j.sealer.Log, 1, j.size()) {
		if err != nil {
			return nil, err
		}
		f, err := j.sealer.Decode(ctx, r)
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	return t, t.apply(facts)
}
