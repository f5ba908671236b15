package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"muniment.dev/audit/auditapi"
	"muniment.dev/fault"
	"muniment.dev/login"
	"muniment.dev/user"
)

// App is what is served: an instance, or several.
type App interface {
	Handler() http.Handler
	EndStreams()          // those that would go on for ever
	Broken() <-chan error // why the process has to end
	// Greet prints what people need to know at the start.
	Greet(ctx context.Context, out io.Writer) error
	// Follow writes every event to out until stop is called.
	Follow(ctx context.Context, out io.Writer, logger *slog.Logger) (stop func())
	Close() error
}

// Serve has the data directory opened and serves until the context ends; then
// it finishes what it began and closes everything in order. What people need to
// know at the start is printed to out, and every event to events if the
// configuration says so.
func Serve(ctx context.Context, c Config, out, events io.Writer, logger *slog.Logger, open func(context.Context, Config, Extra) (App, error)) (err error) {
	TuneCollector()
	ln, err := c.open(ctx, logger)
	if err != nil {
		return err
	}
	defer ln.Close()
	observe, stop, err := c.observe(ctx, logger)
	if err != nil {
		return err
	}
	defer stop()
	nodes, apart, err := c.nodes(ctx, logger)
	if err != nil {
		return err
	}
	defer apart()
	s, err := open(ctx, c, Extra{Logger: logger, Observe: observe, Nodes: nodes})
	if err != nil {
		return err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	if err := s.Greet(context.WithoutCancel(ctx), out); err != nil { // whole, or the link is lost
		return err
	}
	if c.EventsTo != "" {
		defer s.Follow(ctx, events, logger)()
	}
	return listen(ctx, s, ln, logger)
}

// TuneCollector lets twice as much garbage lie beside what is in use as Go does
// by itself, unless GOGC says how much: a server holds little, so it would be
// collected several times a second under load. GOMEMLIMIT still bounds it.
func TuneCollector() {
	const percent = 200
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// Follow writes events to the standard output until stop is called.
func (s *Server) Follow(ctx context.Context, out io.Writer, logger *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		events := &auditapi.Service{Runner: s.Core.Runner, Reader: s.reader(), URL: s.URL()}
		for ctx.Err() == nil {
			turn, end := s.Core.leading(ctx)
			err := events.Follow(turn, "sink/stdout", out)
			lost := turn.Err() != nil
			end()
			if err != nil && !lost {
				logger.Error("events are no longer written to the standard output; the next start goes on where it ended", "error", err)
				return
			}
		}
	}()
	return func() {
		cancel()
		select {
		case <-done:
		case <-time.After(grace): // nobody reads what is written
		}
	}
}

// open checks the settings and listens. Port 0 is any free one.
func (c *Config) open(ctx context.Context, logger *slog.Logger) (net.Listener, error) {
	given := c.ExternalURL
	if err := c.Check(); err != nil {
		return nil, err
	}
	certificate, err := c.certificate(logger)
	if err != nil {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "listen on " + c.Listen, Msg: "the address cannot be listened on; is another server running there?", Err: err}
	}
	if strings.HasSuffix(c.Listen, ":0") {
		c.Listen, c.ExternalURL = ln.Addr().String(), given
	}
	if err := c.Check(); err != nil {
		ln.Close()
		return nil, err
	}
	ln = c.bounded(ln)
	if certificate != nil {
		ln = tls.NewListener(ln, certificate)
	}
	return ln, nil
}

// bounded leaves half of the files that the system allows to the stores. A
// proxy brings the connections of everybody, others only their own.
func (c *Config) bounded(ln net.Listener) net.Listener {
	most := int(min(maxFiles()/2, 1<<14))
	each := max(most/8, 16)
	if c.behindProxy() {
		each = 0
	}
	return newCrowd(ln, most, each)
}

// grace is how long requests that have begun may take to end.
const grace = 10 * time.Second

// listen serves connections until the context ends.
func listen(ctx context.Context, s App, ln net.Listener, logger *slog.Logger) error {
	web := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(withoutAddress{logger.Handler()}, slog.LevelWarn)}
	web.Protocols = new(http.Protocols)
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetHTTP2(true)
	web.Protocols.SetUnencryptedHTTP2(true) // gRPC behind a proxy, and on loopback
	web.RegisterOnShutdown(s.EndStreams)
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(ln) }()
	select {
	case err := <-failed:
		return fault.Wrap("serve", err)
	case err := <-s.Broken():
		web.Close()
		return &fault.Error{Kind: fault.Unavailable, Op: "serve", Msg: "the log store cannot go on; look at the disk, then start again: nothing that was acknowledged is lost", Err: err}
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := web.Shutdown(end); errors.Is(err, context.DeadlineExceeded) {
		logger.Warn("some requests did not end in time and were cut off")
		web.Close()
	}
	return nil
}

// Greet sets a fresh instance up and prints where everything is.
func (s *Server) Greet(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "Muniment serves %s\nLog verifier key: %s\n", s.URL(), s.Core.VerifierKey)
	secret, _, err := s.Core.SetUp(ctx, Owner{Organization: s.config.Organization, Email: s.config.OwnerEmail, Names: user.Names{Given: s.config.OwnerName}})
	if fault.Is(err, fault.Exists) {
		return nil
	}
	if err != nil {
		return fault.Wrap("set the instance up", err)
	}
	fmt.Fprintf(out, "\nThis is a new instance. Open this link once to choose the password of %s:\n\n  %s\n\nIt works for three days. Keep the verifier key: with it anybody can check the log.\n",
		s.config.OwnerEmail, s.URL()+login.SetupPath(secret))
	return nil
}
