package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// sharing is the one cluster per version that tests of a process share.
type sharing struct {
	settings map[string]string
	mu       sync.Mutex
	clusters map[int]*Cluster
}

var shared = sharing{settings: map[string]string{"max_connections": "400"}, clusters: map[int]*Cluster{}}

// Shared is a cluster of version 15 that all tests of a process share; it is
// started by the first. Take databases of it, and do not stop it.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	return SharedVersion(t, V15)
}

// SharedVersion is Shared for a version.
func SharedVersion(t testing.TB, version int) *Cluster {
	t.Helper()
	return shared.cluster(t, version)
}

func (s *sharing) cluster(t testing.TB, version int) *Cluster {
	t.Helper()
	o := Options{Version: version, Settings: s.settings}
	bin := binariesOf(t, &o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clusters[o.Version]; c != nil {
		return c
	}
	c, err := initialise(bin, o)
	if err != nil {
		t.Fatal(err)
	}
	c.Start(t)
	s.clusters[o.Version] = c
	return c
}

var databases atomic.Int64

// NewDatabase makes an empty database and returns how the superuser reaches it.
// It goes with the cluster: dropping it would force a checkpoint.
func (c *Cluster) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("d%d", databases.Add(1))
	// The copy strategy of version 15 and later logs blocks instead of forcing
	// two checkpoints, which matters when many tests make one.
	c.Exec(t, "", "CREATE DATABASE "+name+" STRATEGY wal_log")
	return c.DSN(name)
}

// Connect is a connection of the superuser, which ends with the test.
func (c *Cluster) Connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	return Connect(t, c.DSN(database))
}

// Connect is a connection that ends with the test.
func Connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// Exec runs statements as the superuser, each on its own.
func (c *Cluster) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// Value is the one value that a query gives, as text.
func (c *Cluster) Value(t testing.TB, database, query string, args ...any) string {
	t.Helper()
	v, err := c.value(database, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func (c *Cluster) value(database, query string, args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN(database))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var v any
	if err := conn.QueryRow(ctx, query, args...).Scan(&v); err != nil {
		return "", err
	}
	return fmt.Sprint(v), nil
}

// Set changes a setting that needs no restart; an empty value resets it.
func (c *Cluster) Set(t testing.TB, name, value string) {
	t.Helper()
	change := "ALTER SYSTEM RESET " + name
	if value != "" {
		change = "ALTER SYSTEM SET " + name + " = " + value
	}
	c.Exec(t, "", change, "SELECT pg_reload_conf()")
}

// Await returns when a query that gives a boolean gives true.
func (c *Cluster) Await(t testing.TB, database, query string, args ...any) {
	t.Helper()
	deadline := time.Now().Add(startLimit)
	for {
		v, err := c.value(database, query, args...)
		if v == "true" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %q, %v", query, v, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Used is what the server's processes, those that live now, have used of the
// processors.
func (c *Cluster) Used() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return 0
	}
	pid := c.running.cmd.Process.Pid
	sum := processTime(pid)
	for _, child := range children(pid) {
		sum += processTime(child)
	}
	return sum
}
