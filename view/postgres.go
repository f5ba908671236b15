package view

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// Postgres is where views are kept in a schema of a PostgreSQL database, 15 or
// newer, which several nodes may share. The schema holds nothing else and is
// made, emptied and made again at will; one that is not ours is refused.
type Postgres struct {
	DSN    string // a URL, or key=value pairs
	Schema string // default muniment_views; one for each log

	// Applies says whether this node is the one that applies events, if several
	// share the schema; the others watch. It may be asked at any time and must
	// not wait. nil: each node applies whenever the log has grown, which is right
	// but the same work many times.
	Applies func() bool
	// TakeOver is for how long the views may stand still behind the log before a
	// node applies although it is not the one; default 2 s.
	TakeOver time.Duration
}

// format is that of our own tables in a schema.
const format = 1

// schema is the schema of a set.
type schema struct {
	s       *Set
	o       Postgres
	at      string // the schema's name, quoted, with a point behind it
	reading *pgconn.Config
	writing *pgconn.Config
	readers chan *postgresConn
	claims  *postgresConn // holds the lock of whoever works on the whole; used by that alone
	still   stillness
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func (p Postgres) open(_ context.Context, s *Set) (home, error) {
	h, err := p.schema()
	if err != nil {
		return nil, err
	}
	h.s, h.claims = s, h.writer(time.Minute)
	h.readers = make(chan *postgresConn, s.opts.Readers)
	for range s.opts.Readers {
		h.readers <- &postgresConn{cfg: h.reading, limit: time.Minute}
	}
	return h, nil
}

func (p Postgres) schema() (*schema, error) {
	if p.Schema == "" {
		p.Schema = "muniment_views"
	}
	if p.TakeOver == 0 {
		p.TakeOver = 2 * time.Second
	}
	if !schemaName.MatchString(p.Schema) || strings.HasPrefix(p.Schema, "pg_") || p.Schema == "public" || p.Schema == "information_schema" {
		return nil, fault.Field("schema", "the views need a schema of their own, with a name of lower-case letters, digits and underscores, not %q", p.Schema)
	}
	h := &schema{o: p, at: quote(p.Schema) + "."}
	for _, c := range []**pgconn.Config{&h.reading, &h.writing} {
		cfg, err := pgconn.ParseConfig(p.DSN)
		if err != nil { // its text holds the DSN without the password; not even that is needed
			return nil, fault.Field("database", "this is no address of a PostgreSQL database, such as postgres://user@host/name")
		}
		pgdb.Reach(cfg, map[string]string{
			"application_name": "muniment views", "client_encoding": "UTF8", "search_path": "pg_catalog", "jit": "off",
			"statement_timeout": "0", // ours are bounded, and long when there is a reason
			// As in SQLite: what has an index is found by it, whatever the planner
			// believes of a table that was just filled.
			"enable_seqscan": "off",
			// What a node that is held up had begun must not hold up others.
			"idle_in_transaction_session_timeout": "30s",
		})
		// Of several hosts the one that writes: a standby may be behind.
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		*c = cfg
	}
	for name, value := range map[string]string{
		// What is lost in a crash of the server is applied again: rows and place
		// are lost together.
		"synchronous_commit": "off",
		// Arrays of few and of many rows take turns in the same statements, on
		// tables that grow from nothing.
		"plan_cache_mode": "force_custom_plan", "enable_hashjoin": "off", "enable_mergejoin": "off",
	} {
		h.writing.RuntimeParams[name] = value
	}
	return h, nil
}

// writer is a new connection that writes.
func (h *schema) writer(limit time.Duration) *postgresConn {
	return &postgresConn{cfg: h.writing, limit: limit}
}

// sql puts the schema's name in front of our own tables.
func (h *schema) sql(text string) string {
	return strings.NewReplacer("_state", h.at+`"_state"`, "_views", h.at+`"_views"`, "_muniment", h.at+`"_muniment"`).Replace(text)
}

// lock is the number of an advisory lock of the schema.
func (h *schema) lock(what string) int64 {
	sum := sha256.Sum256([]byte("muniment views\x00" + what + "\x00" + h.o.Schema))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// live finds the generation that serves, or makes one.
func (h *schema) live(ctx context.Context) (*database, error) {
	w := h.writer(time.Minute)
	d, err := h.find(ctx, w, h.s.opts.Rebuild)
	if err == nil {
		err = h.follows(ctx, d.at)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return d, nil
}

func (h *schema) find(ctx context.Context, w *postgresConn, anew bool) (d *database, err error) {
	err = w.in(postgres.begin, nil, func() (err error) {
		if err := h.furnish(ctx, w); err != nil {
			return err
		}
		st, err := h.standing(ctx, w)
		if err == nil && (st == nil || anew) {
			if _, err := exec(ctx, w, h.sql(`UPDATE _state SET serving = false WHERE serving`)); err != nil {
				return err
			}
			st, err = h.create(ctx, w, h.s.all().views, true)
		}
		if err == nil {
			d, err = h.database(w, st)
		}
		return err
	})
	return d, err
}

// furnish makes the schema, if it is not there, and our own tables in it. Nodes
// that start together do it one after the other.
func (h *schema) furnish(ctx context.Context, w conn) error {
	if err := query(ctx, w, `SELECT 1 FROM pg_advisory_xact_lock(?)`, []any{h.lock("furnish")}, func([]any) error { return nil }); err != nil {
		return err
	}
	there, ours, err := h.whose(ctx, w)
	if err != nil || ours {
		return err
	}
	make := []string{
		`CREATE TABLE _muniment (format bigint NOT NULL)`,
		fmt.Sprintf(`INSERT INTO _muniment VALUES (%d)`, format),
		`CREATE TABLE _state (generation bigint PRIMARY KEY, serving boolean NOT NULL, views bytea NOT NULL, log bytea NOT NULL, position bigint NOT NULL, leaf bytea NOT NULL)`,
		`CREATE UNIQUE INDEX ON _state (serving) WHERE serving`,
		`CREATE TABLE _views (generation bigint, name text, revision bigint NOT NULL, fingerprint text NOT NULL, PRIMARY KEY (generation, name))`,
	}
	for i := range make {
		make[i] = h.sql(make[i])
	}
	if !there {
		make = append([]string{"CREATE SCHEMA " + quote(h.o.Schema)}, make...)
	}
	return w.run(ctx, plain(make))
}

// whose looks whether the schema is there and ours. One that holds anything of
// others is refused.
func (h *schema) whose(ctx context.Context, w conn) (there, ours bool, err error) {
	name := []any{h.o.Schema}
	var tables []string
	seen := func(vals []any) error { there = true; return nil }
	if err := query(ctx, w, `SELECT 1 FROM pg_namespace WHERE nspname = ?`, name, seen); err != nil {
		return false, false, err
	}
	if err := query(ctx, w, `SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = ?`, name, func(vals []any) error {
		table, _ := vals[0].(string)
		tables = append(tables, table)
		return nil
	}); err != nil || len(tables) == 0 {
		return there, false, err
	}
	foreign := fault.New(fault.Refused, "the schema %s holds tables that are not of our views; nothing in it was touched: name another one", h.o.Schema)
	if !slices.Contains(tables, "_muniment") || !slices.Contains(tables, "_state") {
		return there, false, foreign
	}
	is := int64(0)
	if err := query(ctx, w, h.sql(`SELECT format FROM _muniment`), nil, func(vals []any) error { is, _ = vals[0].(int64); return nil }); err != nil {
		return there, false, err
	}
	if is != format {
		return there, false, fault.New(fault.Refused, "the views in schema %s are of format %d, and this version of the program knows format %d; drop the schema to have them made again from the log, or name another one", h.o.Schema, is, format)
	}
	return there, true, nil
}

// follows checks that the views are of this log. Those of another node may be
// further than this one's log is yet.
func (h *schema) follows(ctx context.Context, at place) error {
	if at.log == h.s.log.ID() && at.position > h.s.log.Mark().Size {
		ctx, cancel := context.WithTimeout(ctx, h.s.opts.Patience)
		defer cancel()
		h.s.log.Wait(ctx, at.position-1) // what it says, the mark tells
	}
	return h.s.follows(ctx, at)
}

func (h *schema) close() {
	h.claims.close()
	for range cap(h.readers) {
		(<-h.readers).close()
	}
}

func (p Postgres) glance(ctx context.Context) (at place, prints map[string]string, err error) {
	h, err := p.schema()
	if err != nil {
		return at, nil, err
	}
	w := &postgresConn{cfg: h.reading, limit: time.Minute}
	defer w.close()
	none := fault.New(fault.NotFound, "there are no views in schema %s; the server makes them from the log", h.o.Schema)
	err = w.in(postgres.snapshot, nil, func() error {
		if _, ours, err := h.whose(ctx, w); err != nil || !ours {
			return cmpOr(err, none)
		}
		st, err := h.standing(ctx, w)
		if err != nil || st == nil {
			return cmpOr(err, none)
		}
		at, prints = st.at, map[string]string{}
		for _, v := range st.views {
			prints[v.name] = v.fingerprint
		}
		return nil
	})
	return at, prints, err
}

// Drop removes views that are ours, so that they are made again from the log.
// Nobody may be using them.
func (p Postgres) Drop(ctx context.Context) error {
	const op = "drop the views"
	h, err := p.schema()
	if err != nil {
		return err
	}
	w := h.writer(time.Minute)
	defer w.close()
	return fault.Wrap(op, w.in(postgres.begin, nil, func() error {
		_, ours, err := h.whose(ctx, w)
		if err != nil || !ours {
			return err
		}
		return w.run(ctx, plain([]string{"DROP SCHEMA " + quote(h.o.Schema) + " CASCADE"}))
	}))
}
