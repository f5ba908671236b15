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
	"time"

	"muniment.dev/fault"
	"muniment.dev/login"
	"muniment.dev/user"
)

// Serve opens the data directory and serves until the context ends; then it
// finishes what it began and closes everything in order. What people need to
// know at the start is printed to out.
func Serve(ctx context.Context, c Config, out io.Writer, logger *slog.Logger) (err error) {
	if err := c.Check(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: "listen on " + c.Listen, Msg: "the address cannot be listened on; is another server running there?", Err: err}
	}
	defer ln.Close()
	s, err := New(ctx, c, Extra{Logger: logger})
	if err != nil {
		return err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	if err := s.greet(ctx, out); err != nil {
		return err
	}
	return s.listen(ctx, ln)
}

// listen serves connections until the context ends.
func (s *Server) listen(ctx context.Context, ln net.Listener) error {
	web := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	web.Protocols = new(http.Protocols)
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetHTTP2(true)
	web.Protocols.SetUnencryptedHTTP2(true) // gRPC behind a proxy, and on loopback
	failed := make(chan error, 1)
	go func() {
		if s.config.TLSCert == "" {
			failed <- web.Serve(ln)
			return
		}
		web.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		failed <- web.ServeTLS(ln, s.config.TLSCert, s.config.TLSKey)
	}()
	select {
	case err := <-failed:
		return fault.Wrap("serve", err)
	case err := <-s.broken:
		web.Close()
		return &fault.Error{Kind: fault.Unavailable, Op: "serve", Msg: "the log store cannot go on; look at the disk, then start again: nothing that was acknowledged is lost", Err: err}
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := web.Shutdown(grace); errors.Is(err, context.DeadlineExceeded) {
		web.Close() // streams that nobody ended
	}
	return nil
}

// greet sets a fresh instance up and prints where everything is.
func (s *Server) greet(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "Muniment serves %s\nLog verifier key: %s\n", s.URL(), s.Core.Instance.CheckpointKey)
	secret, _, err := s.Core.SetUp(ctx, Owner{Organization: s.config.Organization, Email: s.config.OwnerEmail, Names: user.Names{Given: s.config.OwnerName}})
	if fault.Is(err, fault.Exists) {
		return nil
	}
	if err != nil {
		return fault.Wrap("set the instance up", err)
	}
	fmt.Fprintf(out, "\nThis is a new instance. Open this link once to choose the password of %s:\n\n  %s\n\nIt works for three days. Keep the verifier key: with it anybody can check the log.\n",
		s.config.OwnerEmail, s.URL()+login.PathSetup+"/"+secret)
	return nil
}
