package ops

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// The protocol of the admin socket: the client sends one line, the name of a
// request. To askSnapshot the server answers one line of JSON, an answer; then
// both keep the connection open for as long as the snapshot is in use. When it
// ends, for whatever reason, the server deletes the snapshot. All other requests
// are answered by a [Handler]; see tasks.go.
const askSnapshot = "snapshot/1\n"

type answer struct {
	Dir   string `json:"dir,omitempty"`
	Error string `json:"error,omitempty"`
}

// maxSnapshots bounds how many snapshots exist at once: each keeps files alive
// that the store would have deleted. maxConns bounds all connections.
const (
	maxSnapshots = 4
	maxConns     = 16
)

// Snapshotter copies a store consistently into a directory that does not exist.
type Snapshotter interface{ Snapshot(dest string) error }

// Admin gives snapshots of a running server's store to whoever runs as the same
// user, over a Unix socket of mode 0600.
type Admin struct {
	store  Snapshotter
	layout Layout
	logger *slog.Logger
	ln     net.Listener
	closed sync.WaitGroup

	mu       sync.Mutex          // guards what follows
	conns    map[net.Conn]string // with their snapshots
	handlers map[string]Handler
	done     bool
}

// ListenAdmin starts to serve the admin socket of a data directory, and deletes
// snapshots that an earlier server left behind. Without a store there are no
// snapshots. Close must be called.
func ListenAdmin(l Layout, store Snapshotter, logger *slog.Logger) (*Admin, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if err := os.RemoveAll(l.Snapshots); err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "old snapshots cannot be deleted; check the folder " + l.Snapshots, Err: err}
	}
	if c, err := dialSocket(context.Background(), l.Socket); err == nil {
		c.Close()
		return nil, fault.New(fault.Unavailable, "another server is running on this data directory")
	}
	os.Remove(l.Socket) // left by a server that was killed
	ln, err := listenSocket(l.Socket)
	if err == nil {
		err = os.Chmod(l.Socket, 0o600)
	}
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "the admin socket cannot be made; is the path longer than 100 characters?", Err: err}
	}
	a := &Admin{store: store, layout: l, logger: logger, ln: ln, conns: map[net.Conn]string{}, handlers: map[string]Handler{}}
	a.closed.Go(a.accept)
	return a, nil
}

// Close ends all connections and deletes their snapshots.
func (a *Admin) Close() error {
	a.mu.Lock()
	a.done = true
	for c := range a.conns {
		c.Close()
	}
	a.mu.Unlock()
	err := a.ln.Close()
	os.Remove(a.layout.Socket)
	a.closed.Wait()
	return err
}

// Withdraw deletes all snapshots that exist and ends their connections. Erasing
// does so, because a snapshot holds what was there when it was made.
func (a *Admin) Withdraw(ctx context.Context, _ event.SubjectID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c, dir := range a.conns {
		if dir == "" { // nothing that would have to go, nor will it get anything
			continue
		}
		c.Close()
		if err := os.RemoveAll(dir); err != nil {
			return &fault.Error{Kind: fault.Unavailable, Msg: "a snapshot cannot be deleted", Err: err}
		}
		a.logger.InfoContext(ctx, "a snapshot was withdrawn because of an erasure")
	}
	return nil
}

func (a *Admin) accept() {
	for {
		c, err := a.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // out of file descriptors, say
			continue
		}
		a.closed.Go(func() { a.serve(c) })
	}
}

func (a *Admin) serve(c net.Conn) {
	defer a.leave(c)
	if !a.enter(c) {
		return
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(io.LimitReader(c, 64)).ReadString('\n')
	switch {
	case err != nil:
		return
	case line != askSnapshot:
		a.handle(c, strings.TrimSuffix(line, "\n"))
		return
	}
	dir, err := a.snapshot(c)
	if err != nil {
		a.logger.Warn("a snapshot could not be made", "error", err)
		reply(c, answer{Error: fault.Public(err)})
		return
	}
	if reply(c, answer{Dir: dir}) != nil {
		return
	}
	c.SetDeadline(time.Time{})
	io.Copy(io.Discard, c) // until the client is done
}

func reply(c net.Conn, r answer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = c.Write(append(b, '\n'))
	return err
}

func (a *Admin) enter(c net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done || len(a.conns) >= maxConns {
		reply(c, answer{Error: "too many connections to the admin socket; try again later"})
		return false
	}
	a.conns[c] = ""
	return true
}

func (a *Admin) leave(c net.Conn) {
	c.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	if dir := a.conns[c]; dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			a.logger.Error("a snapshot cannot be deleted", "path", dir, "error", err)
		}
	}
	delete(a.conns, c)
}

// snapshot makes one under the lock, so that an erasure either finds it or
// comes before it.
func (a *Admin) snapshot(c net.Conn) (string, error) {
	if err := os.MkdirAll(a.layout.Snapshots, 0o700); err != nil {
		return "", &fault.Error{Kind: fault.Unavailable, Msg: "the folder for snapshots cannot be made", Err: err}
	}
	dir := filepath.Join(a.layout.Snapshots, event.NewID().String())
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, open := a.conns[c]; !open || a.snapshots() >= maxSnapshots {
		return "", fault.New(fault.Unavailable, "too many snapshots are in use; try again later")
	}
	if a.store == nil {
		return "", fault.New(fault.Refused, "the log is in a database, which is read where it is: name it with --database")
	}
	a.conns[c] = dir // also deleted if it is made by half
	return dir, a.store.Snapshot(dir)
}

func (a *Admin) snapshots() (n int) {
	for _, dir := range a.conns {
		if dir != "" {
			n++
		}
	}
	return n
}

// askForSnapshot gets a snapshot from the server that runs on a data directory.
// gone is closed if the server withdraws it. A server that does not run gives
// fault.NotFound.
func askForSnapshot(ctx context.Context, l Layout) (dir string, release func(), gone <-chan struct{}, err error) {
	c, err := dialSocket(ctx, l.Socket)
	if err != nil {
		return "", nil, nil, &fault.Error{Kind: fault.NotFound, Msg: "no server answers on the admin socket", Err: err}
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	fail := func(err error) (string, func(), <-chan struct{}, error) {
		stop()
		c.Close()
		return "", nil, nil, &fault.Error{Kind: fault.Unavailable, Op: "ask the running server for a snapshot", Msg: "the server did not give one", Err: err}
	}
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	if _, err := io.WriteString(c, askSnapshot); err != nil {
		return fail(err)
	}
	r := bufio.NewReader(io.LimitReader(c, 64<<10))
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fail(err)
	}
	var got answer
	if err := json.Unmarshal(line, &got); err != nil {
		return fail(err)
	}
	if got.Error != "" || got.Dir == "" {
		return fail(errors.New(got.Error))
	}
	c.SetDeadline(time.Time{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, r)
	}()
	return got.Dir, func() { stop(); c.Close() }, ended, nil
}
