package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Backup is a base backup: a cluster's folder as of a moment, from which any
// number of clusters can be made.
type Backup struct {
	of  *Cluster
	dir string
}

// Backup takes a base backup while the server runs. The npm packages bring no
// pg_basebackup, so it is done as the manual says by hand ("Making a Base
// Backup Using the Low Level API").
func (c *Cluster) Backup(t testing.TB) *Backup {
	t.Helper()
	dir, err := tempDir("")
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = c.backup(dir)
	}
	if err != nil {
		t.Fatalf("base backup: %v", err)
	}
	return &Backup{of: c, dir: dir}
}

func (c *Cluster) backup(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN(""))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SELECT pg_backup_start('test', true)"); err != nil {
		return err
	}
	if err := copyTree(c.Data(), dir, func(path string) bool {
		return path == "postmaster.pid" || strings.HasPrefix(path, "pg_wal/") || strings.HasPrefix(path, "pg_replslot/")
	}); err != nil {
		return err
	}
	var lsn, label, spaces string
	if err := conn.QueryRow(ctx, "SELECT lsn::text, labelfile, spcmapfile FROM pg_backup_stop(false)").Scan(&lsn, &label, &spaces); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "backup_label"), []byte(label), 0o600); err != nil {
		return err
	}
	// What was written while the files were copied makes them consistent.
	return copyTree(filepath.Join(c.Data(), "pg_wal"), filepath.Join(dir, "pg_wal"), func(string) bool { return false })
}

// Restore makes a cluster out of the backup and starts it: the original as it
// was, at another port.
func (b *Backup) Restore(t testing.TB) *Cluster {
	t.Helper()
	c, err := b.unpack()
	if err != nil {
		t.Fatalf("restore a base backup: %v", err)
	}
	t.Cleanup(c.remove)
	c.Start(t)
	return c
}

// Into puts the backup in the place of a cluster, which must not run: a server
// that was rolled back under those that use it. It starts it at the same port.
func (b *Backup) Into(t testing.TB, c *Cluster) {
	t.Helper()
	err := os.RemoveAll(c.Data())
	if err == nil {
		err = copyTree(b.dir, c.Data(), func(string) bool { return false })
	}
	if err != nil {
		t.Fatalf("restore a base backup: %v", err)
	}
	c.Start(t)
}

func (b *Backup) unpack() (*Cluster, error) {
	dir, err := tempDir("")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Version: b.of.Version, bin: b.of.bin, dir: dir}
	if err := copyTree(b.dir, c.Data(), func(string) bool { return false }); err != nil {
		return nil, err
	}
	conf, err := os.ReadFile(filepath.Join(c.Data(), "muniment.conf"))
	if err != nil {
		return nil, err
	}
	if c.Port, err = freePort(); err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(string(conf), "'"+b.of.dir+"'", "'"+dir+"'")
	return c, c.write("muniment.conf", text, "include = 'muniment.conf'\n")
}

// Standby makes a streaming standby of the cluster and starts it. Its name is
// what synchronous_standby_names calls it. It ends with the test.
func (c *Cluster) Standby(t testing.TB, name string) *Cluster {
	t.Helper()
	s, err := c.Backup(t).unpack()
	if err == nil {
		t.Cleanup(s.remove)
		err = s.follow(c, name)
	}
	if err != nil {
		t.Fatalf("make a standby: %v", err)
	}
	s.Start(t)
	c.Await(t, "", "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming')", name)
	return s
}

// follow makes the cluster, which must not run, a standby of another.
func (c *Cluster) follow(primary *Cluster, name string) error {
	if err := c.write("standby.signal", "", "include = 'muniment.conf'\n"); err != nil {
		return err
	}
	text := fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=%s password=%s application_name=%s'\n", primary.Port, Superuser, Password, name)
	return c.write("standby.conf", text, "include_if_exists = 'standby.conf'\n")
}

// Demote makes a primary a read-only standby of nobody, as one that was set aside
// in a fail-over; Promote undoes it.
func (c *Cluster) Demote(t testing.TB) {
	t.Helper()
	c.Stop(Fast)
	if err := c.write("standby.signal", "", "include = 'muniment.conf'\n"); err != nil {
		t.Fatal(err)
	}
	c.Start(t)
}

// Follow lets a standby stream from another primary, such as one that was
// promoted.
func (c *Cluster) Follow(t testing.TB, primary *Cluster, name string) {
	t.Helper()
	c.Stop(Fast)
	if err := c.follow(primary, name); err != nil {
		t.Fatal(err)
	}
	c.Start(t)
}

// Promote makes a standby a primary and returns when it writes.
func (c *Cluster) Promote(t testing.TB) {
	t.Helper()
	c.Exec(t, "", "SELECT pg_promote(true, 120)")
	c.Await(t, "", "SELECT NOT pg_is_in_recovery()")
}

// copyTree copies a folder to one that may be there, for the ordinary user.
// Files may vanish meanwhile.
func copyTree(from, to string, skip func(path string) bool) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		rel, _ := filepath.Rel(from, path)
		if err != nil || skip(filepath.ToSlash(rel)) {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			if err := os.MkdirAll(target, 0o700); err != nil {
				return err
			}
			return own(target)
		}
		if !d.Type().IsRegular() {
			return nil // sockets; there are no tablespaces
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return errors.Join(out.Close(), own(to))
}

// Hold stops a server's processes in the middle of what they do, so that they
// answer nobody, until Release. A standby that is held acknowledges nothing.
func (c *Cluster) Hold() { c.signalAll(stopSignal) }

// Release lets them go on.
func (c *Cluster) Release() { c.signalAll(contSignal) }

func (c *Cluster) signalAll(sig os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return
	}
	pid := c.running.cmd.Process.Pid
	for _, p := range append([]int{pid}, children(pid)...) {
		if proc, err := os.FindProcess(p); err == nil {
			_ = proc.Signal(sig)
		}
	}
	if sig == stopSignal {
		time.Sleep(10 * time.Millisecond)
	}
}
