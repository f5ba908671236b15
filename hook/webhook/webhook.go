// Package webhook sends events to addresses that somebody has named: signed as
// Standard Webhooks wants it (https://www.standardwebhooks.com), and never to
// where such an address must not lead. It promises that nothing but addresses of
// the open internet is connected to, unless the operator says otherwise, whatever
// a name resolves to; that no redirect is followed; and that nothing of an answer
// is kept but its status.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muniment.dev/fault"
)

// Options of a Sender. The zero value is usable.
type Options struct {
	Networks []netip.Prefix // that may be called although they are not of the open internet
	Timeout  time.Duration  // of one call, all in all; default 15 s
	TLS      *tls.Config    // default: the system's roots
}

// Sender sends. It is safe for concurrent use.
type Sender struct {
	client *http.Client
	close  func()
}

// Message is one event on its way.
type Message struct {
	URL     string
	ID      string    // the event's: by it the receiver knows a repetition
	Time    time.Time // of this attempt
	Body    []byte
	Type    string            // Content-Type
	Keys    [][]byte          // each signs
	Headers map[string]string // further ones
}

// Failure is why a message was not taken.
type Failure struct {
	Status    int           // that was answered; 0: none was
	Timeout   bool          // there was no answer in time
	Forbidden bool          // the address leads where nothing may be sent
	After     time.Duration // the receiver asks not to be called before
	err       error
}

// Error says it, without anything that the receiver said.
func (f *Failure) Error() string {
	switch {
	case f.Status > 0:
		return "the receiver answered " + strconv.Itoa(f.Status)
	case f.Timeout:
		return "the receiver did not answer in time"
	case f.Forbidden:
		return "the address leads into a network that must not be called"
	}
	return "the receiver cannot be reached"
}

// Unwrap returns the cause, for operators.
func (f *Failure) Unwrap() error { return f.err }

// ErrForbidden refuses to connect to an address.
var ErrForbidden = errors.New("the address is not of the open internet")

// New makes a Sender. Close must be called.
func New(o Options) *Sender {
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	client, end := Client(o)
	return &Sender{client: client, close: end}
}

// Client makes what calls addresses that somebody has named: it connects to the
// open internet and to the networks of the options, and follows no redirect. end
// closes connections that wait.
func Client(o Options) (client *http.Client, end func()) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	// Asked after names were resolved, for each address that is tried: what a name
	// resolved to before does not count.
	dialer.Control = func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !Public(ap.Addr()) && !within(ap.Addr(), o.Networks) {
			return ErrForbidden
		}
		return nil
	}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 200, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
		// No proxy of the environment: what it connects to could not be seen here.
		Proxy: nil,
	}
	return &http.Client{Transport: t, Timeout: o.Timeout,
		// Standard Webhooks, "Server side request forgery": redirects are not followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, t.CloseIdleConnections
}

// Close closes connections that wait for the next message.
func (s *Sender) Close() { s.close() }

// Send sends one message. It fails with a *Failure unless the receiver has
// taken it: it answered with a status of 200 to 299.
func (s *Sender) Send(ctx context.Context, m Message) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return fault.Wrap("call a webhook", err)
	}
	if req.URL.Scheme == "http" && !PlainAllowed(req.URL.Hostname()) {
		return &Failure{Forbidden: true, err: ErrForbidden}
	}
	h := req.Header
	for name, v := range m.Headers {
		h.Set(name, v)
	}
	h.Set("Content-Type", m.Type)
	h.Set("User-Agent", "Muniment")
	Sign(h, m.ID, m.Time, m.Body, m.Keys...)
	resp, err := s.client.Do(req)
	if err != nil {
		var timeout net.Error
		return &Failure{Forbidden: errors.Is(err, ErrForbidden), Timeout: errors.As(err, &timeout) && timeout.Timeout(), err: err}
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, 4<<10) //nolint:errcheck // for the connection to be used again; nothing is kept
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	return &Failure{Status: resp.StatusCode, After: RetryAfter(resp.Header.Get("Retry-After"), m.Time)}
}

// PlainAllowed reports whether a name is this machine's, to which http may be
// spoken in clear.
func PlainAllowed(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// longest bounds what a receiver may ask for.
const longest = 24 * time.Hour

// RetryAfter reads how long a receiver asks to be left alone: seconds or a date
// (RFC 9110 §10.2.3). 0 if it says nothing that can be read.
func RetryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, longest)
	}
	t, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), longest)
}
