package pglog

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/internal/postgres"
)

// preloaded is how many records stand in the store before it is measured.
func preloaded() int {
	n := 20_000
	if v := os.Getenv("MUNIMENT_BENCH_PRELOAD"); v != "" {
		fmt.Sscan(v, &n)
	}
	return n
}

// signIn is an event as a sign-in makes it, the same as pebblelog measures.
type signIn struct {
	mu      sync.Mutex
	n       int
	stream  event.Stream
	subject event.SubjectID
	key     event.KeyID
}

func (g *signIn) draft() *event.Draft {
	g.mu.Lock()
	if g.n%10 == 0 {
		g.stream, g.subject, g.key = logtest.NewStream("user"), logtest.NewSubject(), logtest.NewKey()
	}
	g.n++
	stream, subject, key := g.stream, g.subject, g.key
	g.mu.Unlock()
	return logtest.New(stream, "session.began",
		logtest.Public(map[string]any{"user": stream.ID, "method": "password", "acr": 1}),
		logtest.Context(map[string]any{"request": event.NewID(), "command": event.NewID(), "source": "api"}),
		logtest.Tags(event.NewTag("user", stream.ID.String()), event.NewTag("org", "0123456789abcdef0123456789abcdef")),
		logtest.Sealed(subject, key, "/ip", "/agent", "/email"),
		logtest.Blind(subject, "email", logtest.RandomHash()))
}

// provable returns how to make appends as they are in earnest: a condition,
// keys, a leaf, hashes, the tree, the index; one event per command.
func provable(l *eventlog.Log) func() func() error {
	g := &signIn{}
	after := l.Mark().Size
	return func() func() error {
		r := logtest.Request(g.draft())
		r.If = event.Condition{Query: event.OfTerm(event.TagTerm(event.NewTag("command", r.Command.String()))), After: after}
		return func() error { _, err := l.Append(context.Background(), r); return err }
	}
}

// bareWriter inserts the same rows into the same tables, by the same unnest and with
// the same group commit: nothing decided, looked up, encoded or hashed, no fence.
type bareWriter struct {
	conn  *pgconn.PgConn
	queue chan *bareRow
	size  uint64
}

// bareRow is what one event needs, ready to be copied into the arrays.
type bareRow struct {
	position                        uint64
	id, stream, typ, actor, command [16]byte
	leaf, ciphertext, blind         []byte
	postings, blinds                [][16]byte
	subject, key                    [16]byte
	newKey                          bool
	done                            chan error
}

func newBare(b *testing.B, dsn, schema string) *bareWriter {
	o := testOptions(b, dsn)
	o.Schema = schema
	s := mustOpen(b, o)
	if _, err := s.Take(b.Context(), event.LogID{ID: event.NewID()}, event.NewID(), 1); err != nil {
		b.Fatal(err)
	}
	c, err := o.config(dsn)
	if err != nil {
		b.Fatal(err)
	}
	c.RuntimeParams["search_path"] = schema
	c.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	c.RuntimeParams["work_mem"] = "32MB"
	conn, err := pgx.ConnectConfig(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	w := &bareWriter{conn: conn.PgConn(), queue: make(chan *bareRow, 4096)}
	if _, err := w.conn.Prepare(b.Context(), "bare", bareStatement(), nil); err != nil {
		b.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); w.run() }()
	b.Cleanup(func() { close(w.queue); <-stopped; closeSoon(conn) })
	return w
}

// bareStatement is the append without its fence.
func bareStatement() string {
	q := `WITH fence AS (UPDATE log_head SET size = $1, last = $2, frontier = $3 WHERE log = 1 RETURNING log)`
	n := 3
	for _, t := range tables([]int{0}) {
		if t.alias == "t" || t.alias == "sealed_0" {
			t.then = " ON CONFLICT DO NOTHING"
		}
		columns, args := "log", ""
		for _, c := range t.columns {
			n++
			name, typ := "", ""
			fmt.Sscan(c, &name, &typ)
			columns += ", " + name
			if args != "" {
				args += ", "
			}
			args += fmt.Sprintf("$%d::%s[]", n, typ)
		}
		q += fmt.Sprintf(", %s AS (INSERT INTO %s (%s) SELECT 1, u.* FROM unnest(%s) u%s)", t.alias, t.name, columns, args, t.then)
	}
	return q + " SELECT 1::bigint"
}

func (w *bareWriter) prepare() func() func() error {
	g := &signIn{}
	return func() func() error {
		x := w.row(g.draft())
		return func() error {
			w.queue <- x
			return <-x.done
		}
	}
}

func (w *bareWriter) row(d *event.Draft) *bareRow {
	w.size++
	at := event.Place{Position: event.Position(w.size), Version: w.size, Time: time.Now()}
	leaf := d.AppendLeaf(nil, at)
	r := d.Record(at, leaf)
	x := &bareRow{position: w.size, id: r.ID, command: event.NewID(), leaf: leaf, ciphertext: r.Ciphertexts[0],
		blind: appendBlind(nil, r.Blocks[0].Subject, r.Blind), subject: r.Blocks[0].Subject.ID, key: r.Blocks[0].Key.ID,
		newKey: w.size%10 == 1, done: make(chan error, 1)}
	for _, t := range d.Terms() {
		switch d := t.Digest(); t[0] {
		case 's':
			x.stream = d
		case 't':
			x.typ = d
		case 'a':
			x.actor = d
		case 'b':
			x.blinds = append(x.blinds, d)
		default:
			x.postings = append(x.postings, d)
		}
	}
	return x
}

// run is the plainest group commit: whoever waits now shares one.
func (w *bareWriter) run() {
	arrays := make([]array, 31)
	frontier, last, digest, tile := make([]byte, 12*32), make([]byte, 32), make([]byte, 32), make([]byte, 8192)
	for x := range w.queue {
		xs := []*bareRow{x}
		for len(w.queue) > 0 && len(xs) < 512 {
			xs = append(xs, <-w.queue)
		}
		err := w.write(arrays, xs, frontier, last, digest, tile)
		for _, x := range xs {
			x.done <- err
		}
	}
}

func (w *bareWriter) write(a []array, xs []*bareRow, frontier, last, digest, tile []byte) error {
	at := 0
	for _, t := range tables([]int{0}) {
		for _, c := range t.columns {
			name, typ := "", ""
			fmt.Sscan(c, &name, &typ)
			a[at].begin(map[string]uint32{"bigint": oidInt8, "smallint": oidInt2, "uuid": oidUUID, "bytea": oidBytea, "text": oidText, "bool": oidBool}[typ])
			at++
		}
	}
	r, p, b, o, s, k, t, z := a[0:], a[7:], a[9:], a[11:], a[17:], a[20:], a[23:], a[26:]
	for _, x := range xs {
		r[0].int64(x.position)
		r[1].int64(x.position)
		for i, v := range [][16]byte{x.id, x.stream, x.typ, x.actor} {
			r[2+i].bytes(v[:])
		}
		r[6].bytes(x.leaf)
		for _, v := range x.postings {
			p[0].int64(x.position)
			p[1].bytes(v[:])
		}
		for _, v := range x.blinds {
			b[0].int64(x.position)
			b[1].bytes(v[:])
		}
		o[0].int64(x.position)
		o[1].int64(x.position)
		o[2].bytes(x.command[:])
		o[3].bytes(make([]byte, 16))
		o[4].text("system")
		o[5].bytes(digest)
		if x.newKey {
			s[0].bytes(x.subject[:])
			s[1].bytes(x.key[:])
			s[2].bool(false)
			k[0].bytes(x.key[:])
			k[1].bytes(x.subject[:])
			k[2].bool(false)
		}
		if x.position%256 == 0 {
			t[0].int16(0)
			t[1].int64(x.position)
			t[2].bytes(tile)
		}
		z[0].int64(x.position)
		z[1].int16(0)
		z[2].bytes(x.subject[:])
		z[3].bytes(x.ciphertext)
		z[4].bytes(x.blind)
	}
	size := array{}
	size.int64(xs[len(xs)-1].position)
	params := [][]byte{size.buf[4:], last, frontier}
	for i := range a {
		params = append(params, a[i].end())
	}
	pl := w.conn.StartPipeline(context.Background())
	pl.SendQueryParams(`BEGIN`, nil, nil, nil, nil)
	pl.SendQueryParams(`SET LOCAL synchronous_commit = on`, nil, nil, nil, nil)
	pl.SendQueryPrepared("bare", params, binaryFormat, binaryFormat)
	pl.SendQueryParams(`COMMIT`, nil, nil, nil, nil)
	if err := pl.Sync(); err != nil {
		return err
	}
	_, _, err := receive(pl)
	if e := pl.Close(); err == nil {
		err = e
	}
	return err
}

// cpuTime is what the process has used of all processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// share lets n clients share the operations and returns how long they took.
func share(b *testing.B, n int, ops []func() error) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range n {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ops)); i = next.Add(1) - 1 {
				if err := ops[i](); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func preload(b *testing.B, n int, next func() func() error) {
	for range n / 4000 {
		ops := make([]func() error, 4000)
		for i := range ops {
			ops[i] = next()
		}
		share(b, 256, ops)
	}
}

// measured is one side of a comparison.
type measured struct {
	next       func() func() error
	took, used time.Duration
}

func (m *measured) turn(b *testing.B, committers, n int) {
	ops := make([]func() error, n)
	for i := range ops {
		ops[i] = m.next()
	}
	before := cpuTime()
	m.took += share(b, committers, ops)
	m.used += cpuTime() - before
}

// BenchmarkAppend appends provably, with bare rows and the embedded engine in
// turns, so that what else the machine does hits all: ratio is that of rates to
// the bare rows, cpu-ratio that of the process's own processor time per event
// to the embedded engine's.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := postgres.Start(b, postgres.Options{Settings: map[string]string{"shared_buffers": "'512MB'", "max_wal_size": "'4GB'"}})
			dsn := c.NewDatabase(b)
			s := mustOpen(b, testOptions(b, dsn))
			embedded, err := pebblelog.Open(b.TempDir(), pebblelog.Options{Reserve: -1})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { embedded.Close() })
			sides := []*measured{{next: provable(openLog(b, s))}, {next: newBare(b, dsn, "bare").prepare()}, {next: provable(openLog(b, embedded))}}
			for _, m := range sides {
				preload(b, preloaded(), m.next)
			}
			b.ResetTimer()
			const turn = 4000
			var server time.Duration
			for done := 0; done < b.N; done += turn {
				before := c.Used()
				sides[0].turn(b, n, min(turn, b.N-done))
				server += c.Used() - before
				sides[1].turn(b, n, min(turn, b.N-done))
				sides[2].turn(b, n, min(turn, b.N-done))
			}
			per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
			b.ReportMetric(float64(b.N)/sides[0].took.Seconds(), "provable/s")
			b.ReportMetric(float64(b.N)/sides[1].took.Seconds(), "bare/s")
			b.ReportMetric(sides[1].took.Seconds()/sides[0].took.Seconds(), "ratio")
			b.ReportMetric(per(sides[0].used), "cpu-µs/event")
			b.ReportMetric(per(server), "server-cpu-µs/event")
			b.ReportMetric(per(sides[2].used), "embedded-cpu-µs/event")
			b.ReportMetric(sides[0].used.Seconds()/sides[2].used.Seconds(), "cpu-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func openLog(b *testing.B, s eventlog.Store) *eventlog.Log {
	l, err := eventlog.Open(b.Context(), s, event.LogID{ID: event.NewID()}, eventlog.Options{Lease: eventlog.DefaultLease})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}
