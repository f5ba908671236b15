package pglog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
)

// What cannot be opened is named, with what to do, and nothing of the DSN is
// told to anybody.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	c := postgres.Shared(t)
	database := nameOf(t, c.NewDatabase(t))
	const secret = "hunter2-xyzzy"
	stranger := fmt.Sprintf("stranger_%d", roleSets.Add(1))
	c.Exec(t, "", `CREATE ROLE `+stranger+` LOGIN PASSWORD '`+secret+`'`)
	for name, x := range map[string]struct {
		dsn, says string
		kind      fault.Kind
	}{
		"none":         {"", "no database is named", fault.Invalid},
		"malformed":    {"postgres://u:" + secret + "@host:port/x", "the DSN cannot be read", fault.Invalid},
		"no keyword":   {"host=x " + secret, "the DSN cannot be read", fault.Invalid},
		"nobody there": {fmt.Sprintf("postgres://u:%s@127.0.0.1:%d/x?sslmode=disable", secret, closedPort(t)), "PostgreSQL does not answer", fault.Unavailable},
		"password":     {c.DSNOf(postgres.Superuser, secret, database), "refuses the user or the password", fault.Unavailable},
		"database":     {c.DSN("not_there"), "does not exist", fault.Unavailable},
		"tls":          {strings.Replace(c.DSN(database), "sslmode=disable", "sslmode=require", 1), "no TLS connection", fault.Unavailable},
		"privilege":    {c.DSNOf(stranger, secret, database), "lacks a privilege", fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), testOptions(t, x.dsn))
			if !fault.Is(err, x.kind) || !strings.Contains(err.Error(), x.says) {
				t.Errorf("open: %v, want %q", err, x.says)
			}
			for _, s := range []string{secret, postgres.Password} {
				if err != nil && strings.Contains(err.Error(), s) {
					t.Errorf("the password stands in %q", err)
				}
			}
		})
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// What the server says no to is not stored; what it leaves unanswered, or says
// while it ends, is unknown.
func TestFaults(t *testing.T) {
	for code, want := range map[string]struct {
		read, write fault.Kind
		says        string
	}{
		"53100": {fault.Unavailable, fault.Unavailable, "disk of PostgreSQL is full"},
		"53300": {fault.Unavailable, fault.Unavailable, "no connection left"},
		"25006": {fault.Unavailable, fault.Unavailable, "read-only standby"},
		"57P01": {fault.Unavailable, fault.Unknown, "starting or stopping"},
		"57P03": {fault.Unavailable, fault.Unknown, "starting or stopping"},
		"42501": {fault.Unavailable, fault.Unavailable, "lacks a privilege"},
		"42P01": {fault.Unavailable, fault.Unavailable, "tables are not in this database"},
		"40P01": {fault.Unavailable, fault.Unavailable, "holds a lock"},
		"XX001": {fault.Corrupt, fault.Corrupt, "damaged"},
		"23505": {fault.Internal, fault.Internal, "refused a statement"},
	} {
		pe := &pgconn.PgError{Code: code, Message: "m", SeverityUnlocalized: "ERROR"}
		if strings.HasPrefix(code, "57P") {
			pe.SeverityUnlocalized = "FATAL"
		}
		err := readFault("look", pe)
		if !fault.Is(err, want.read) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s, reading: %v", code, err)
		}
		if err := writeFault("append", pe); !fault.Is(err, want.write) {
			t.Errorf("%s, writing: %v", code, err)
		}
	}
	if err := writeFault("append", errors.New("unexpected EOF")); !fault.Is(err, fault.Unknown) {
		t.Errorf("a lost connection: %v", err)
	}
	if err := readFault("look", context.DeadlineExceeded); !fault.Is(err, fault.Unavailable) {
		t.Errorf("no answer: %v", err)
	}
}

// A read-only standby is named for what it is; once promoted it is written to,
// by the same store.
func TestStandby(t *testing.T) {
	t.Parallel()
	c := postgres.Start(t, postgres.Options{})
	dsn := c.NewDatabase(t)
	s := mustOpen(t, testOptions(t, dsn))
	id := event.LogID{ID: event.NewID()}
	openTestLog(t, s, id).Close()
	standby := c.Standby(t, "s1")
	c.Await(t, "", `SELECT pg_current_wal_lsn() = replay_lsn FROM pg_stat_replication`)
	o := testOptions(t, standby.DSN(nameOf(t, dsn)))
	if _, err := Open(t.Context(), o); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "read-only standby") {
		t.Errorf("open a standby: %v", err)
	}
	o.defaults()
	_, err := (&Store{opts: o, reads: mustPool(t, o), logs: map[event.LogID]*logState{}}).Head(t.Context(), id)
	if err != nil {
		t.Errorf("reading of a standby: %v", err)
	}
	c.Kill()
	standby.Promote(t)
	l := openTestLog(t, mustOpen(t, o), id)
	if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
		t.Error(err)
	}
}

// When no connection is left, or the server is away, the store says so and goes
// on by itself afterwards.
func TestComesBack(t *testing.T) {
	t.Parallel()
	c := postgres.Start(t, postgres.Options{Settings: map[string]string{"max_connections": "20", "superuser_reserved_connections": "0"}})
	o := testOptions(t, c.NewDatabase(t))
	o.Readers, o.Writers = 2, 2
	s := mustOpen(t, o)
	id := event.LogID{ID: event.NewID()}
	l := openTestLog(t, s, id)
	note := func() error {
		_, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted")))
		return err
	}
	if err := note(); err != nil {
		t.Fatal(err)
	}
	var others []*pgx.Conn
	fill := func() { // takes what the store's pool lets go, also what the server frees a moment later
		s.reads.(*pgxpool.Pool).Reset()
		for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
			conn, err := pgx.Connect(t.Context(), c.DSN(""))
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			others = append(others, conn)
		}
	}
	for end := time.Now().Add(time.Minute); ; {
		fill()
		err := s.Ready(t.Context())
		if fault.Is(err, fault.Unavailable) && strings.Contains(err.Error(), "no connection left") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with no connection left: %v", err)
		}
	}
	for _, conn := range others {
		closeSoon(conn)
	}
	awaitReady(t, s)
	if err := note(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	c.Stop(postgres.Fast)
	if err := s.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("while the server is away: %v", err)
	}
	if err := note(); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) {
		t.Errorf("an append while the server is away: %v", err)
	}
	c.Start(t)
	awaitReady(t, s)
	for end := time.Now().Add(time.Minute); note() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not go on")
		}
	}
	l.Close()
	if err := logtest.Check(t.Context(), s, id); err != nil {
		t.Fatal(err)
	}
}

func mustPool(t *testing.T, o Options) *pgxpool.Pool {
	t.Helper()
	p, err := o.pool(t.Context(), o.DSN, 2, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Requirement E17: a full disk is named, nothing acknowledged is lost, and with
// room it goes on. It needs a small file system, which only root can make.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be made here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "--lazy", dir).Run() })
	for p := dir; p != "/"; p = filepath.Dir(p) {
		if strings.HasPrefix(p, os.TempDir()+"/") {
			_ = os.Chmod(p, 0o755) // so that the ordinary user gets there
		}
	}
	c := postgres.Start(t, postgres.Options{Under: dir, Settings: map[string]string{"min_wal_size": "'32MB'", "max_wal_size": "'48MB'", "wal_keep_size": "0", "shared_buffers": "'16MB'"}})
	s := mustOpen(t, testOptions(t, c.NewDatabase(t)))
	id := event.LogID{ID: event.NewID()}
	l := openTestLog(t, s, id)
	w := startLoad(t, func() *eventlog.Log { return l })
	w.more(100)
	c.Exec(t, "", "CHECKPOINT")
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<16); err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	full := false
	for end := time.Now().Add(time.Minute); !full && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		log := c.Log()
		full = strings.Contains(log, "No space left on device")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if !full {
		t.Error("the disk never was full; the test is blind")
	}
	if !c.Runs() { // a full disk under the write-ahead log ends the server
		c.Start(t)
	}
	w.more(50)
	w.end(s, id)
}
