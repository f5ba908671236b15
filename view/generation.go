package view

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// A schema holds generations of tables, one of which serves. Names of tables
// begin with the number of theirs: nothing is renamed when another is put in
// place, so that a transaction that began before sees either all rows of the
// old tables, or that they are gone, and never new ones that seem empty to it.

// generation is what keeps a database in a schema.
type generation struct {
	h       *schema
	number  int64
	hash    []byte // of its views
	serving bool
	views   []noted // that it holds
	known   bool    // whether this program has declared them all: only then may it write
}

// noted is what the schema notes of a view.
type noted struct {
	name        string
	revision    int64
	fingerprint string
}

// standing is where a generation stands.
type standing struct {
	number int64
	hash   []byte
	at     place
	views  []noted
}

// hashOf names a list of views.
func hashOf(views []noted) []byte {
	s := sha256.New()
	slices.SortFunc(views, func(a, b noted) int { return strings.Compare(a.name, b.name) })
	for _, v := range views {
		fmt.Fprintf(s, "%s\x00%s\x00", v.name, v.fingerprint)
	}
	return s.Sum(nil)
}

// note is what the schema notes of declared views.
func note(views []*View) []noted {
	var out []noted
	for _, v := range views {
		out = append(out, noted{v.Name, int64(v.Revision), v.fingerprint()})
	}
	return out
}

// standing reads where the views stand that serve; nil if none does.
func (h *schema) standing(ctx context.Context, w conn) (st *standing, err error) {
	const sql = `SELECT log, position, leaf, generation, views, n.name, n.revision, n.fingerprint FROM _state LEFT JOIN _views n USING (generation) WHERE serving`
	err = query(ctx, w, h.sql(sql), nil, func(vals []any) error {
		at, ok := readPlace(vals)
		n, ok2 := vals[3].(int64)
		hash, ok3 := vals[4].([]byte)
		if !ok || !ok2 || !ok3 {
			return fault.New(fault.Corrupt, "the place of the views in the log is malformed; drop their schema")
		}
		if st == nil {
			st = &standing{number: n, hash: hash, at: at}
		}
		if name, ok := vals[5].(string); ok {
			v := noted{name: name}
			v.revision, _ = vals[6].(int64)
			v.fingerprint, _ = vals[7].(string)
			st.views = append(st.views, v)
		}
		return nil
	})
	return st, err
}

// knows tells whether this program has declared all that the generation holds:
// only then may it write to it.
func (st *standing) known(views []*View) bool { return len(st.same(views)) == len(st.views) }

// newer tells whether a generation holds a view of a later revision or epoch
// than this program knows: another node runs a newer one, or is ahead in the log.
func (st *standing) newer(views []*View) bool {
	return slices.ContainsFunc(st.views, func(n noted) bool {
		behind := func(v *View) bool {
			return cmp.Or(cmp.Compare(int64(v.Revision), n.revision), cmp.Compare(v.Epoch, epochOf(n.fingerprint))) < 0
		}
		mine := slices.DeleteFunc(slices.Clone(views), func(v *View) bool { return v.Name != n.name })
		return len(mine) > 0 && !slices.ContainsFunc(mine, func(v *View) bool { return !behind(v) })
	})
}

// same are the declared views that a generation holds as they are declared.
func (st *standing) same(views []*View) []*View {
	var out []*View
	for _, v := range views {
		if slices.ContainsFunc(st.views, func(n noted) bool { return n.name == v.Name && n.fingerprint == v.fingerprint() }) {
			out = append(out, v)
		}
	}
	return out
}

func (h *schema) ground(number int64) *ground {
	return &ground{dialect: &postgres, schema: h.at, stem: fmt.Sprintf("%d_", number)}
}

// database is that of a generation that serves, as far as this program knows
// its views.
func (h *schema) database(w conn, st *standing) (*database, error) {
	known := h.s.known()
	lay, err := newLayout(h.ground(st.number), st.same(known))
	if err != nil {
		return nil, err
	}
	return &database{lay: lay, w: w, at: st.at, newer: st.newer(known), kept: &generation{h: h, number: st.number, hash: st.hash, serving: true, views: st.views, known: st.known(known)}}, nil
}

// create makes the tables of a new generation, in a transaction.
func (h *schema) create(ctx context.Context, w conn, views []*View, serving bool) (*standing, error) {
	st := &standing{views: note(views), at: place{log: h.s.log.ID()}}
	st.hash = hashOf(st.views)
	err := query(ctx, w, h.sql(`SELECT coalesce(max(generation), 0) + 1 FROM _state`), nil, func(vals []any) error { st.number = vals[0].(int64); return nil })
	if err != nil {
		return nil, err
	}
	lay, err := newLayout(h.ground(st.number), views)
	if err != nil {
		return nil, err
	}
	if err := w.run(ctx, plain(lay.creates(lay.views...))); err != nil {
		return nil, err
	}
	return st, w.run(ctx, func(yield func(statement) bool) {
		sql := h.sql(`INSERT INTO _views VALUES (?, ?, ?, ?)`)
		for _, n := range st.views {
			if !yield(statement{sql: sql, args: []any{st.number, n.name, n.revision, n.fingerprint}}) {
				return
			}
		}
		sql = h.sql(fmt.Sprintf(`INSERT INTO _state VALUES (?, %t, ?, ?, 0, ?)`, serving))
		yield(statement{sql: sql, args: []any{st.number, st.hash, st.at.log.ID[:], st.at.leaf[:]}})
	})
}

func (g *generation) inspect(w conn) (at place, err error) {
	err = errElsewhere
	sql := fmt.Sprintf(`SELECT log, position, leaf FROM _state WHERE generation = ? AND views = ? AND serving = %t`, g.serving)
	e := query(context.Background(), w, g.h.sql(sql), []any{g.number, g.hash}, func(vals []any) error {
		var ok bool
		if at, ok = readPlace(vals); !ok {
			return fault.New(fault.Corrupt, "the place of the views in the log is malformed; drop their schema")
		}
		err = nil
		return nil
	})
	if e != nil {
		err = e
	}
	return at, err
}

// advance also rings the bell of the others, who hear it if this is committed.
func (g *generation) advance(w conn, from, to place) error {
	n := int64(0)
	sql := fmt.Sprintf(`UPDATE _state SET position = ?, leaf = ? WHERE generation = ? AND views = ? AND serving = %t AND log = ? AND position = ? AND leaf = ?`, g.serving)
	err := w.run(context.Background(), func(yield func(statement) bool) {
		args := []any{int64(to.position), to.leaf[:], g.number, g.hash, from.log.ID[:], int64(from.position), from.leaf[:]}
		if yield(statement{sql: g.h.sql(sql), args: args, changed: &n}) && g.serving {
			yield(g.h.ring(g.number, to.position))
		}
	})
	if err == nil && n != 1 {
		err = errElsewhere
	}
	return err
}

// ring tells other nodes where the views are.
func (h *schema) ring(number int64, at event.Position) statement {
	return statement{sql: `SELECT 1 FROM pg_notify(?, ?)`, args: []any{h.o.Schema, fmt.Sprintf("%d %d", number, at)}}
}

// read takes one of the connections that read. It ends their transactions
// behind the caller's back, who need not wait for that.
func (g *generation) read(ctx context.Context, _ *database, f func(context.Context, *snapshot) error) error {
	var c *postgresConn
	select {
	case c = <-g.h.readers:
	case <-ctx.Done():
		return ctx.Err()
	case <-g.h.s.ctx.Done():
		return errClosing
	}
	defer func() {
		go func() {
			c.end(sqlRollback) // nothing was written
			g.h.readers <- c
		}()
	}()
	sn := &snapshot{c: c}
	err := g.begin(ctx, c, sn)
	if err != nil && c.lasting && passes(err) && ctx.Err() == nil { // it may have been lost long ago
		c.close()
		err = g.begin(ctx, c, sn)
	}
	if err != nil {
		return err
	}
	return f(ctx, sn)
}

// begin begins a transaction in which this generation serves.
func (g *generation) begin(ctx context.Context, c *postgresConn, sn *snapshot) error {
	c.start(postgres.snapshot)
	serves := false
	err := query(ctx, c, g.h.sql(`SELECT position, generation, views FROM _state WHERE serving`), nil, func(vals []any) error {
		position, _ := vals[0].(int64)
		number, _ := vals[1].(int64)
		hash, _ := vals[2].([]byte)
		serves = number == g.number && bytes.Equal(hash, g.hash)
		sn.at = event.Position(position)
		return nil
	})
	if err == nil && !serves {
		err = errElsewhere
	}
	return err
}

// scrub has nothing to do: what updates left behind goes with the tables, when
// their copy takes their place.
func (g *generation) scrub(context.Context, conn) error { return nil }

func (g *generation) close() error { return nil }

// shadow makes a new generation, which does not serve. The caller has claimed
// the schema.
func (h *schema) shadow(ctx context.Context, _ string, views []*View) (*database, error) {
	return h.beside(ctx, views, func(conn, *ground, *layout) error { return nil })
}

// copy makes a new generation of what stands in the one that serves. Tables
// that were dropped leave no byte in PostgreSQL's files; rows that were updated
// would, in the free space of pages, even after a vacuum.
func (h *schema) copy(ctx context.Context, live *database, views []*View) (*database, error) {
	from := live.kept.(*generation)
	return h.beside(ctx, views, func(w conn, g *ground, lay *layout) error {
		var fill []string
		for name, t := range lay.tables {
			if !live.holds(t.view) {
				continue
			}
			for _, half := range []string{"now_", "past_"} {
				fill = append(fill, "INSERT INTO "+g.name(half+name)+" SELECT * FROM "+live.lay.ground.name(half+name))
			}
		}
		if err := w.run(ctx, plain(fill)); err != nil {
			return err
		}
		number := strings.TrimSuffix(g.stem, "_")
		n, err := exec(ctx, w, h.sql(`UPDATE _state n SET position = o.position, leaf = o.leaf FROM _state o WHERE n.generation = `+number+` AND o.generation = ? AND o.serving AND o.views = ?`), from.number, from.hash)
		if err == nil && n != 1 {
			err = errElsewhere
		}
		return err
	})
}

// beside makes a generation and fills it, in one transaction that sees one
// state.
func (h *schema) beside(ctx context.Context, views []*View, fill func(conn, *ground, *layout) error) (*database, error) {
	w := h.writer(time.Hour)
	var d *database
	err := h.sweep(ctx, w)
	if err == nil {
		err = w.in("BEGIN ISOLATION LEVEL REPEATABLE READ", nil, func() error {
			st, err := h.create(ctx, w, views, false)
			if err != nil {
				return err
			}
			lay, err := newLayout(h.ground(st.number), views)
			if err != nil {
				return err
			}
			d = &database{lay: lay, w: w, kept: &generation{h: h, number: st.number, hash: st.hash, views: st.views, known: true}}
			return fill(w, lay.ground, lay)
		})
	}
	if err == nil {
		err = d.find()
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return d, nil
}

// install lets d serve instead of live, in one transaction in which nobody can
// apply anything to live.
func (h *schema) install(live, d *database, catchUp func(event.Position) error) (*database, error) {
	old, g := live.kept.(*generation), d.kept.(*generation)
	if err := h.analyze(d); err != nil {
		return nil, err
	}
	next := &database{lay: d.lay, w: live.w, kept: &generation{h: h, number: g.number, hash: g.hash, serving: true, views: g.views, known: true}}
	err := live.w.in(postgres.begin, nil, func() error {
		ctx := context.Background()
		at, err := place{}, errElsewhere
		e := query(ctx, live.w, h.sql(`SELECT log, position, leaf FROM _state WHERE generation = ? AND serving FOR UPDATE`), []any{old.number}, func(vals []any) error {
			var ok bool
			if at, ok = readPlace(vals); ok {
				err = nil
			}
			return nil
		})
		if e != nil {
			err = e
		}
		if err != nil {
			return err
		}
		if err := catchUp(at.position); err != nil {
			return err
		}
		next.at = d.at
		n := int64(0)
		err = live.w.run(ctx, func(yield func(statement) bool) {
			_ = yield(statement{sql: h.sql(`UPDATE _state SET serving = false WHERE generation = ?`), args: []any{old.number}}) &&
				yield(statement{sql: h.sql(`UPDATE _state SET serving = true WHERE generation = ? AND position = ?`), args: []any{g.number, int64(d.at.position)}, changed: &n}) &&
				yield(h.ring(g.number, d.at.position))
		})
		if err == nil && n != 1 {
			err = errElsewhere
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	live.closed = true // its connection lives on
	return next, nil
}

// analyze lets the planner know the tables before anybody asks.
func (h *schema) analyze(d *database) error {
	var names []string
	for name := range d.lay.tables {
		names = append(names, d.lay.ground.name("now_"+name), d.lay.ground.name("past_"+name))
	}
	return d.w.run(context.Background(), plain([]string{"ANALYZE " + strings.Join(names, ", ")}))
}

// discard drops what does not serve: d, or the generation whose place it took,
// such that it stands in no file any more.
func (h *schema) discard(d *database) error {
	w := h.writer(time.Hour)
	defer w.close()
	err := h.sweep(context.Background(), w)
	if err != nil {
		h.s.opts.Logger.Warn("tables of views that do not serve any more are still there; the next rebuild drops them", slog.Any("err", err))
		return err
	}
	return h.letGo(w)
}

// letGo has PostgreSQL drop the files of those tables, and the segments of the
// write-ahead log that it needs no more: what views say stands there in clear. A
// role may be without the right to that; then both go by themselves, later.
func (h *schema) letGo(w conn) error {
	ctx, may := context.Background(), false
	const ask = `SELECT 1 WHERE has_function_privilege('pg_switch_wal()', 'EXECUTE') AND pg_has_role('pg_checkpoint', 'USAGE')`
	if err := query(ctx, w, ask, nil, func([]any) error { may = true; return nil }); err != nil || !may {
		return err
	}
	for _, sql := range []string{`SELECT pg_switch_wal()`, `CHECKPOINT`, `SELECT pg_switch_wal()`, `CHECKPOINT`} {
		if err := w.run(ctx, one(statement{sql: sql, once: true})); err != nil {
			return err
		}
	}
	return nil
}

// sweep drops all generations that do not serve. The caller has claimed the
// schema. Reads of them that are not done hold it up; while it waits for them
// it lets others pass again and again.
func (h *schema) sweep(ctx context.Context, w conn) (err error) {
	for range 50 {
		err = w.in(postgres.begin, nil, func() error { return h.drop(ctx, w) })
		if err == nil || !passes(err) || ctx.Err() != nil {
			return err
		}
		h.s.pause(firstRetry)
	}
	return err
}

func (h *schema) drop(ctx context.Context, w conn) error {
	var drop []string
	const sql = `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN _state ON c.relname LIKE generation || '\_%' WHERE n.nspname = ? AND c.relkind = 'r' AND NOT serving`
	err := query(ctx, w, h.sql(sql), []any{h.o.Schema}, func(vals []any) error {
		name, _ := vals[0].(string)
		drop = append(drop, h.at+quote(name))
		return nil
	})
	if err != nil {
		return err
	}
	texts := []string{`SET LOCAL lock_timeout = '200ms'`}
	if len(drop) > 0 {
		texts = append(texts, "DROP TABLE "+strings.Join(drop, ", "))
	}
	texts = append(texts, h.sql("DELETE FROM _views o USING _state WHERE o.generation = _state.generation AND NOT serving"),
		h.sql("DELETE FROM _state WHERE NOT serving"))
	return w.run(ctx, plain(texts))
}
