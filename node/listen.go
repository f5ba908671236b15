package node

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// How many connections are open to the port for nodes. A node makes one to each
// other, and a few more while it starts or its certificate changes.
const (
	maxConnections = 256
	maxOfOne       = 32 // from one address
)

// Serve has a handler, which is a Server, answer on a listener until the
// returned function is called, with what a stranger can take bounded:
// connections are counted, those that say nothing are closed, headers are short,
// and a Server reads no body but of nodes. over makes what is spoken on a
// connection TLS; nil: it is in the clear.
func Serve(ln net.Listener, s http.Handler, over func(net.Listener) net.Listener, logger *slog.Logger) (stop func() error) {
	ln = limit(ln, maxConnections, maxOfOne, logger)
	if over != nil {
		ln = over(ln)
	}
	web := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 2 * maxFlying, MaxReceiveBufferPerConnection: 256 << 10, MaxReceiveBufferPerStream: 64 << 10},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	web.Protocols = new(http.Protocols)
	web.Protocols.SetHTTP2(true)
	web.Protocols.SetUnencryptedHTTP2(true)
	go web.Serve(ln) //nolint:errcheck // it ends when it is closed
	return web.Close
}

// limited is a listener that closes at once what is too many, in all or from one
// address: who has no place does not wait for one.
type limited struct {
	net.Listener
	all, each int
	logger    *slog.Logger

	mu   sync.Mutex // guards what follows
	open int
	from map[string]int
	said time.Time // when it was last logged that there are too many
}

func limit(ln net.Listener, all, each int, logger *slog.Logger) net.Listener {
	return &limited{Listener: ln, all: all, each: each, logger: logger, from: map[string]int{}}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(c.RemoteAddr())
		if l.admit(host) {
			return &counted{Conn: c, end: sync.OnceFunc(func() { l.leave(host) })}, nil
		}
		_ = c.Close() // nothing was said on it
	}
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

func (l *limited) admit(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open < l.all && l.from[host] < l.each {
		l.open++
		l.from[host]++
		return true
	}
	if now := time.Now(); now.Sub(l.said) > time.Minute {
		l.said = now
		l.logger.Warn("too many connections to the port for other nodes; further ones are closed: let only nodes reach it", "open", l.open)
	}
	return false
}

func (l *limited) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.from[host]--; l.from[host] == 0 {
		delete(l.from, host)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	end func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.end()
	return c.Conn.Close()
}
