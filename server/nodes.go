package server

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/node"
	"muniment.dev/page"
)

// Nodes is how a process shares the logs of its instances with others. It takes
// a store that can be shared.
type Nodes struct {
	Lease   time.Duration
	Address string       // under which others reach Server; empty: they cannot
	Client  *node.Client // nil: nothing is forwarded to others
	Server  *node.Server // nil: others forward nothing here
}

// options says it to a log. key is that of the instance, once it is known.
func (n *Nodes) options(o *eventlog.Options, log event.LogID, key *atomic.Pointer[[]byte]) {
	if n == nil {
		return
	}
	o.Lease, o.Address = n.Lease, n.Address
	if n.Client != nil {
		known := func() []byte {
			if k := key.Load(); k != nil {
				return *k
			}
			return nil
		}
		o.Forward, o.Hear = n.Client.Forward(log, known), n.Client.Hear(log, known)
	}
}

// key derives a key of its own for one use from the instance's flow key.
func (c *Core) key(use string) ([]byte, error) {
	secret, ok := c.Instance.FlowKey.Get()
	if !ok {
		return nil, fault.New(fault.Unavailable, "the instance's own secrets cannot be opened")
	}
	return hkdf.Key(sha256.New, secret, nil, "muniment/"+use+"/v1", 32)
}

// meet lets other nodes forward to this one, and this one to others.
func (c *Core) meet() error {
	if c.opts.Nodes == nil {
		return nil
	}
	key, err := c.key("nodes")
	if err != nil {
		return err
	}
	c.nodeKey.Store(&key)
	if s := c.opts.Nodes.Server; s != nil {
		s.Serve(c.Log.ID(), c.Log, key)
	}
	return nil
}

// part ends that. The log is closed by then, and says of itself that it moved.
func (c *Core) part() error {
	if n := c.opts.Nodes; n != nil && n.Server != nil && c.Log != nil {
		n.Server.Withdraw(c.Log.ID())
	}
	return nil
}

// leading waits until this node holds the log, and returns a context that ends
// when it does not any more: for what one node does for all.
func (c *Core) leading(ctx context.Context) (turn context.Context, end context.CancelFunc) {
	turn, end = context.WithCancel(ctx)
	if c.Log.Shared() == nil {
		return turn, end
	}
	wait := func(held bool) {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for c.Log.Leads() != held && turn.Err() == nil {
			select {
			case <-t.C:
			case <-turn.Done():
			}
		}
	}
	wait(true)
	go func() {
		wait(false)
		end()
	}()
	return turn, end
}

// nodes listens for other nodes, if the settings say so; stop ends it.
func (c *Config) nodes(ctx context.Context, logger *slog.Logger) (n *Nodes, stop func(), err error) {
	stop = func() {}
	if c.Database == "" {
		return nil, stop, nil
	}
	n = &Nodes{Lease: c.lease(), Client: node.NewClient(node.ClientOptions{Logger: logger})}
	if c.NodeListen == "" {
		return n, n.Client.Close, nil
	}
	certificate, err := c.nodeCertificate(logger)
	if err != nil {
		return nil, stop, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.NodeListen)
	if err != nil {
		return nil, stop, &fault.Error{Kind: fault.Unavailable, Op: "listen on " + c.NodeListen, Msg: "the address for other nodes cannot be listened on; is another server running there?", Err: err}
	}
	n.Address = c.NodeURL
	if strings.HasSuffix(c.NodeListen, ":0") { // any free port
		n.Address = "http://" + ln.Addr().String()
	}
	n.Server = node.NewServer(time.Now)
	var over func(net.Listener) net.Listener
	if certificate != nil {
		over = func(ln net.Listener) net.Listener { return tls.NewListener(ln, certificate) }
	}
	end := node.Serve(ln, n.Server, over, slog.New(withoutAddress{logger.Handler()}))
	logger.Info("other nodes reach this one", "address", n.Address, "lease", n.Lease.String())
	return n, func() { _ = end(); n.Client.Close() }, nil
}

// nodeCertificate is the server's own, if nodes are to speak TLS.
func (c *Config) nodeCertificate(logger *slog.Logger) (*tls.Config, error) {
	if !strings.HasPrefix(c.NodeURL, "https://") {
		return nil, nil
	}
	if c.TLSCert == "" {
		return nil, fault.Field("node-url", "begins with https://, which needs tls-cert and tls-key")
	}
	return c.certificate(logger)
}

// catchUpFor is how long a request waits to learn what other nodes recorded.
const catchUpFor = 5 * time.Second

// fresh lets a request in once this node reads at least what any node had
// acknowledged when it came, and has forgotten what it must have. What rests on
// no record is served in any case.
func (s *Server) fresh(site *page.Site, next http.Handler) http.Handler {
	if s.Core.Log.Shared() == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; strings.HasPrefix(p, "/assets/") || p == "/healthz" || p == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), catchUpFor)
		defer cancel()
		if err := s.caughtUp(ctx); err != nil {
			s.extra.Logger.WarnContext(r.Context(), "a request is refused: it is not known what other nodes have recorded", "error", err)
			Refuse(w, r, site, http.StatusServiceUnavailable, stale(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) caughtUp(ctx context.Context) error {
	if err := s.Core.Log.CatchUp(ctx); err != nil {
		return err
	}
	return s.Core.Erasure.Present(ctx)
}

// stale says that nothing was changed, and why, if the store knows what to do
// about it.
func stale(err error) error {
	f := &fault.Error{Kind: fault.Unavailable, Msg: "the server cannot read its database; nothing was changed, try again in a moment", Err: shortly{}}
	if fault.Is(err, fault.Unavailable) {
		f.Msg = "nothing was changed: " + fault.Public(err)
	}
	return f
}

// shortly is a cause that passes.
type shortly struct{}

func (shortly) Error() string { return "the log cannot be caught up with" }

// RetryAfter tells package page when to try again.
func (shortly) RetryAfter() time.Duration { return time.Second }

// Refuse answers a request with an error in the form that the client reads,
// before anybody has looked at what it asks for.
func Refuse(w http.ResponseWriter, r *http.Request, site *page.Site, status int, err error) {
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		site.Assets().ServeHTTP(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	page.SetRetryAfter(w.Header(), page.RetryAfter(err))
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		site.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			site.Fail(&fixed{ResponseWriter: w, status: status}, r, err)
		})).ServeHTTP(w, get(r))
		return
	}
	kind, body := plain(r.URL.Path, status, err)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client has gone: nobody to tell
}

// plain is an error in the form of an address: of OAuth, of Connect, or of REST.
func plain(path string, status int, err error) (kind string, body map[string]any) {
	switch {
	case strings.HasPrefix(path, "/oauth/") && status == http.StatusServiceUnavailable: // RFC 6749 §5.2, with the code of §4.1.2.1
		return "application/json", map[string]any{"error": "temporarily_unavailable", "error_description": fault.Public(err)}
	case strings.HasPrefix(path, "/muniment."): // Connect, "Error end-stream"; gRPC reads the status alone
		return "application/json", map[string]any{"code": "unavailable", "message": fault.Public(err)}
	}
	return "application/problem+json", map[string]any{"title": http.StatusText(status), "status": status, "detail": fault.Public(err), "kind": fault.KindOf(err).String()}
}

// get is a request that only reads, in place of one that would be checked as a
// form: nothing is done with it.
func get(r *http.Request) *http.Request {
	c := r.Clone(r.Context())
	c.Method = http.MethodGet
	return c
}

// fixed is a writer whose status is given.
type fixed struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *fixed) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }
