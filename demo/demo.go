// Package demo opens a server on loopback with a month of history already
// lived by named people, replayed through the real commands with a clock of
// its own and source=demo, and a sample application beside it.
package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"muniment.dev/fault"
	"muniment.dev/fleet"
	"muniment.dev/sample"
	"muniment.dev/server"
	"muniment.dev/user"
	"muniment.dev/user/password"
)

// Options of the demo.
type Options struct {
	Keep   string // directory that keeps the data; a temporary one if empty
	Listen string // default 127.0.0.1:8300
	Sample string // default 127.0.0.1:8400
	Stdout io.Writer
	Logger *slog.Logger
	Ready  func(Addresses) // called when everything runs; may be nil

	Database, Keys string // PostgreSQL databases of the log and of the keys, if they are not in the directory
}

// Addresses are what the demo serves.
type Addresses struct {
	Console, Sample, Data, VerifierKey string
	Owner, Ada                         string // e-mail addresses to sign in with
}

func (p *person) names() user.Names {
	return user.Names{Given: p.given, Family: p.family, Display: p.given + " " + p.family}
}

// cast are the people of the demo; addresses are documentation ranges.
func cast() (owner *person, people []*person) {
	owner = &person{given: "Grace", family: "Hopper", ip: "198.51.100.10"}
	for i, n := range [][2]string{{"Ada", "Lovelace"}, {"Alan", "Turing"}, {"Katherine", "Johnson"}, {"Edsger", "Dijkstra"},
		{"Barbara", "Liskov"}, {"Margaret", "Hamilton"}, {"Niklaus", "Wirth"}, {"Radia", "Perlman"}} {
		people = append(people, &person{given: n[0], family: n[1], ip: "192.0.2." + strconv.Itoa(20+i), days: 2 + i%4})
	}
	return owner, people
}

// quick are parameters of argon2id for people who do not exist: a month of
// sign-ins is replayed in a moment.
var quick = password.Params{Memory: 256, Time: 1, Threads: 1}

// Run runs the demo until the context ends.
func Run(ctx context.Context, o Options) (err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, remove, err := directory(o.Keep)
	if err != nil {
		return err
	}
	defer remove()
	front, err := listen(o.Stdout, "console", or(o.Listen, "127.0.0.1:8300"))
	if err != nil {
		return err
	}
	defer front.Close()
	back, err := listen(o.Stdout, "sample application", or(o.Sample, "127.0.0.1:8400"))
	if err != nil {
		return err
	}
	defer back.Close()
	started := time.Now()
	clock := &clock{}
	clock.set(started.AddDate(0, 0, -30))
	c := server.Config{Data: dir, Listen: front.Addr().String(), Name: "Acme Travel", Database: o.Database, Keys: o.Keys, Register: filepath.Join(dir, "register.json")}
	all, err := fleet.New(ctx, c, fleet.Options{Extra: server.Extra{Clock: clock.Now, Logger: o.Logger, Passwords: quick}})
	if err != nil {
		return err
	}
	defer func() {
		if e := all.Close(); err == nil {
			err = e
		}
	}()
	srv := all.Home()
	s := &story{srv: srv, clock: clock, rand: rand.New(rand.NewPCG(1, 2)), start: started.AddDate(0, 0, -30).Truncate(24 * time.Hour), app: sample.Config{Issuer: srv.URL(), URL: "http://" + back.Addr().String()}}
	s.owner, s.people = cast()
	if !srv.Core.Created {
		return fault.New(fault.Refused, "%s holds an instance already; open it with: muniment serve --data %s", dir, dir)
	}
	if err := s.tell(ctx); err != nil {
		return err
	}
	clock.release()
	return run(ctx, o, all, s, front, back, dir, started)
}

func run(ctx context.Context, o Options, all *fleet.Fleet, s *story, front, back net.Listener, dir string, started time.Time) error {
	failed := make(chan error, 2)
	srv := all.Home()
	web := &http.Server{Handler: all.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- web.Serve(front) }()
	defer web.Close()
	app, err := sample.New(ctx, s.app)
	if err != nil {
		return fault.Wrap("start the sample application", err)
	}
	desk := &http.Server{Handler: app.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- desk.Serve(back) }()
	defer desk.Close()
	a := Addresses{Console: srv.URL(), Sample: s.app.URL, Data: dir, VerifierKey: srv.Core.VerifierKey, Owner: s.owner.email(), Ada: s.people[0].email()}
	say(o.Stdout, a, srv.Core.Log.Mark().Size, time.Since(started), o.Keep != "")
	if o.Ready != nil {
		o.Ready(a)
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// directory is where the data is: the one to keep, or one that goes at the end.
func directory(keep string) (string, func(), error) {
	if keep != "" {
		dir, err := filepath.Abs(keep)
		return dir, func() {}, err
	}
	dir, err := os.MkdirTemp("", "muniment-demo-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// listen listens on an address, or on the next free port, and says so.
func listen(out io.Writer, what, addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fault.Field("listen", "must be address:port, such as 127.0.0.1:8300")
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return nil, fault.Field("listen", "the port must be a number")
	}
	for n := first; n < first+50 && n < 65536; n++ {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n)))
		if err != nil {
			continue
		}
		if n != first {
			fmt.Fprintf(out, "Port %d is taken; the %s listens on %d.\n", first, what, n)
		}
		return l, nil
	}
	return nil, fault.New(fault.Unavailable, "no port from %d to %d is free for the %s", first, first+49, what)
}

func or(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}
