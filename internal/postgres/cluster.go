// Package postgres starts throw-away PostgreSQL clusters for tests: each in a
// temporary folder, on a free port of the loopback interface, run by an
// ordinary user, and gone with the test or with the process, however it ends.
//
//	dsn := postgres.Shared(t).NewDatabase(t)          // most tests
//	c := postgres.Start(t, postgres.Options{})        // those that kill it
//	s := c.Standby(t, "s1")
//
// Version 15 is the distribution's, version 18 comes from npm; both are
// installed by `go run ./internal/check install`. Without them tests are
// skipped, or fail where CI=true. MUNIMENT_POSTGRES_15 and MUNIMENT_POSTGRES_18
// name the folders of the programs if they are elsewhere.
//
// It is for tests only and imports nothing of the product.
package postgres

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Superuser is who owns a cluster, and Password is that user's.
const (
	Superuser = "postgres"
	Password  = "only-for-tests"
)

// startLimit bounds how long a server may take to answer, on a busy machine.
const startLimit = 2 * time.Minute

// Options of a cluster. The zero value is version 15 with the settings of a
// careful operator.
type Options struct {
	Version  int
	Settings map[string]string // of postgresql.conf, in its own notation
	Under    string            // the folder in which the cluster's own is made; the usual one for temporary files if empty
}

// settings are those of every cluster. Nothing here makes it less durable.
var settings = map[string]string{
	"listen_addresses": "'127.0.0.1'", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
	"wal_level": "replica", "max_wal_senders": "10", "wal_keep_size": "'256MB'", "hot_standby": "on",
	"max_connections": "100", "shared_buffers": "'64MB'", "log_timezone": "'UTC'", "timezone": "'UTC'",
	"log_line_prefix": "'%m [%p] %q%a '", "wal_receiver_status_interval": "'1s'", "wal_retrieve_retry_interval": "'200ms'",
}

// Cluster is one server with its folder. It may be killed and started again.
type Cluster struct {
	Version int
	Port    int

	bin, dir string
	mu       sync.Mutex
	running  *process
}

// process is a postmaster that runs, or did.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
	err  error
}

// Start makes a cluster and starts it. It ends with the test.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := initialise(binariesOf(t, &o), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.remove)
	c.Start(t)
	return c
}

func binariesOf(t testing.TB, o *Options) string {
	t.Helper()
	if o.Version == 0 {
		o.Version = V15
	}
	return binaries(t, o.Version)
}

// tempDir makes a folder of the ordinary user that is removed after the
// process's end at the latest. Its path is short: it is in those of sockets.
func tempDir(under string) (string, error) {
	dir, err := os.MkdirTemp(under, "munipg-")
	if err != nil {
		return "", err
	}
	if err := sweep(dir); err != nil {
		return "", err
	}
	return dir, own(dir)
}

// Own gives a file or folder to the user as whom the servers run.
func Own(path string) error { return own(path) }

// initialise makes a cluster that does not run.
func initialise(bin string, o Options) (*Cluster, error) {
	dir, err := tempDir(o.Under)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Version: o.Version, bin: bin, dir: dir}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(Password+"\n"), 0o644); err != nil {
		return nil, err
	}
	initdb := command(bin, "initdb", "-D", c.Data(), "-U", Superuser, "-A", "scram-sha-256", "--pwfile", secret,
		"-E", "UTF8", "--locale=C", "--data-checksums", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	return c, c.configure(o.Settings)
}

// configure takes a free port and writes what differs from PostgreSQL's own
// settings.
func (c *Cluster) configure(own map[string]string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	c.Port = port
	all := maps.Clone(settings)
	all["unix_socket_directories"] = "'" + c.dir + "'"
	maps.Copy(all, own)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s = %s\n", name, all[name])
	}
	return c.write("muniment.conf", text.String(), "include = 'muniment.conf'\n")
}

// write makes a file in the data folder, and appends a line to postgresql.conf
// if that does not hold it yet.
func (c *Cluster) write(name, text, include string) error {
	path := filepath.Join(c.Data(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := own(path); err != nil {
		return err
	}
	conf := filepath.Join(c.Data(), "postgresql.conf")
	body, err := os.ReadFile(conf)
	if err != nil || strings.Contains(string(body), include) {
		return err
	}
	return os.WriteFile(conf, append(body, include...), 0o600) // the owner stays
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Data is the data folder.
func (c *Cluster) Data() string { return filepath.Join(c.dir, "data") }

// DSN is how the superuser reaches a database; the empty name is postgres.
func (c *Cluster) DSN(database string) string { return c.DSNOf(Superuser, Password, database) }

// DSNOf is DSN for another user.
func (c *Cluster) DSNOf(user, password, database string) string {
	if database == "" {
		database = "postgres"
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: "127.0.0.1:" + strconv.Itoa(c.Port), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Start starts a cluster that does not run, on the folder and port that it had,
// and returns when it answers.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	if err := c.start(); err != nil {
		t.Fatalf("start PostgreSQL %d: %v\n%s", c.Version, err, c.tail())
	}
}

func (c *Cluster) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		return fmt.Errorf("it runs already")
	}
	p, err := c.launch()
	if err != nil {
		return err
	}
	c.running = p
	return c.await(p)
}

// launch starts the postmaster on a thread of its own, which lives as long as
// it: Linux ties the death signal to the thread that made the process.
func (c *Cluster) launch() (*process, error) {
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: command(c.bin, "postgres", "-D", c.Data(), "-p", strconv.Itoa(c.Port)), gone: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.gone)
		}
		runtime.UnlockOSThread()
	}()
	return p, <-started
}

// await returns when the server answers.
func (c *Cluster) await(p *process) error {
	deadline := time.Now().Add(startLimit)
	for {
		err := c.ping()
		if err == nil {
			return nil
		}
		select {
		case <-p.gone:
			c.running = nil
			return fmt.Errorf("it ended at once: %w", p.err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func (c *Cluster) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN(""))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Log is what the server wrote, for tests that look for something in it.
func (c *Cluster) Log() string {
	b, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	return string(b)
}

// tail is the end of the server's log.
func (c *Cluster) tail() string {
	b := c.Log()
	return b[max(0, len(b)-3000):]
}

// How a server is stopped.
const (
	Fast      = syscall.SIGINT  // rolls back what runs, writes a checkpoint
	Immediate = syscall.SIGQUIT // as after a crash
)

// Stop stops the server. It may be started again.
func (c *Cluster) Stop(how syscall.Signal) {
	c.end(func(p *process) {
		family := children(p.cmd.Process.Pid)
		_ = p.cmd.Process.Signal(how)
		<-p.gone
		awaitGone(family)
	})
}

// Kill ends the server and all its processes at once, as kill -9 of all does.
// It may be started again.
func (c *Cluster) Kill() {
	c.end(func(p *process) {
		killAll(p.cmd.Process)
		<-p.gone
	})
}

func (c *Cluster) end(how func(*process)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		how(c.running)
		c.running = nil
	}
}

// Runs reports whether the server runs. One that ended by itself may be started
// again.
func (c *Cluster) Runs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		select {
		case <-c.running.gone:
			c.running = nil
		default:
		}
	}
	return c.running != nil
}

// Restart stops the server, orderly, and starts it again.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.Stop(Fast)
	c.Start(t)
}

// remove ends the server and its folder.
func (c *Cluster) remove() {
	c.Kill()
	_ = os.RemoveAll(c.dir)
}
