package postgres

import (
	"fmt"
	"os"
	"testing"
)

// versions runs a test on each installed version.
func versions(t *testing.T, run func(t *testing.T, version int)) {
	installed := Versions()
	if len(installed) == 0 {
		binaries(t, V15)
	}
	for _, v := range installed {
		t.Run(fmt.Sprint(v), func(t *testing.T) { t.Parallel(); run(t, v) })
	}
}

// What was committed is there after kill -9 and a start on the same folder and
// port, and after an orderly restart.
func TestKill(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, v int) {
		c := Start(t, Options{Version: v})
		c.Exec(t, "", "CREATE TABLE a (x int)", "INSERT INTO a VALUES (1)")
		dsn := c.DSN("")
		c.Kill()
		c.Start(t)
		c.Exec(t, "", "INSERT INTO a VALUES (2)")
		c.Restart(t)
		if got := c.Value(t, "", "SELECT count(*) FROM a"); got != "2" || c.DSN("") != dsn {
			t.Errorf("%s rows at %s, want 2 at %s", got, c.DSN(""), dsn)
		}
		if got := c.Value(t, "", "SELECT current_setting('server_version_num')::int / 10000"); got != fmt.Sprint(v) && v == V18 {
			t.Errorf("version %s, want %d", got, v)
		}
	})
}

// A standby has what its primary committed, and writes once promoted; a backup
// stays as it was.
func TestStandby(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, v int) {
		c := Start(t, Options{Version: v})
		c.Exec(t, "", "CREATE TABLE a (x int)")
		old := c.Backup(t)
		s := c.Standby(t, "s1")
		c.Set(t, "synchronous_standby_names", "'ANY 1 (s1)'")
		c.Await(t, "", "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'quorum')")
		c.Exec(t, "", "INSERT INTO a VALUES (1)")
		c.Kill()
		s.Promote(t)
		if got := s.Value(t, "", "SELECT count(*) FROM a"); got != "1" {
			t.Errorf("%s rows after the fail-over, want 1", got)
		}
		s.Exec(t, "", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()", "SET synchronous_commit = local", "INSERT INTO a VALUES (2)")
		old.Into(t, c)
		if got := c.Value(t, "", "SELECT count(*) FROM a"); got != "0" {
			t.Errorf("%s rows in the old backup, want 0", got)
		}
	})
}

// Databases of the shared cluster know nothing of each other.
func TestShared(t *testing.T) {
	t.Parallel()
	c := Shared(t)
	for range 2 {
		conn := Connect(t, c.NewDatabase(t))
		if _, err := conn.Exec(t.Context(), "CREATE TABLE a (x int)"); err != nil {
			t.Error(err)
		}
	}
	if c != Shared(t) {
		t.Error("two clusters are shared")
	}
	if _, err := os.Stat(c.Data() + "/PG_VERSION"); err != nil {
		t.Error(err)
	}
}
