package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Client forwards appends to other nodes. What waits goes together, over
// connections that stay open.
type Client struct {
	http   *http.Client
	now    func() time.Time
	logger *slog.Logger

	mu    sync.Mutex // guards what follows
	lines map[lineName]*line
}

type lineName struct {
	log     event.LogID
	address string
}

// line is the way to one node for one log.
type line struct {
	silent atomic.Bool // the last message had no answer

	client  *Client
	name    lineName
	key     []byte
	waiting []*forwarding
	flying  int // messages under way
}

// forwarding is an append that waits for its answer.
type forwarding struct {
	ctx  context.Context
	wire asked
	size int
	done chan struct{}
	res  eventlog.Appended
	err  error
}

// ClientOptions configure a Client. The zero value is usable.
type ClientOptions struct {
	TLS    *tls.Config      // for addresses that begin with https
	Now    func() time.Time // default time.Now
	Logger *slog.Logger
}

// NewClient returns a client. Close ends its connections.
func NewClient(o ClientOptions) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}
	t := &http.Transport{TLSClientConfig: o.TLS, DialContext: dialer.DialContext, IdleConnTimeout: 5 * time.Minute, MaxResponseHeaderBytes: 16 << 10,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: 3 * time.Second}}
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: &http.Client{Transport: t, CheckRedirect: refuse}, now: o.Now, logger: o.Logger, lines: map[lineName]*line{}}
}

// Close ends the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CheckAddress refuses what cannot be the address of a node.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return fault.New(fault.Invalid, "must be an address such as http://10.0.0.5:7070, under which the other nodes reach this one")
	}
	return nil
}

// Forward gives what eventlog.Options.Forward takes. key is asked each time, for
// it is known only when the instance was read; without one nothing is sent.
func (c *Client) Forward(log event.LogID, key func() []byte) func(context.Context, eventlog.Held, eventlog.Request) (eventlog.Appended, error) {
	return func(ctx context.Context, held eventlog.Held, r eventlog.Request) (eventlog.Appended, error) {
		k := key()
		if len(k) == 0 || CheckAddress(held.Holder.Address) != nil {
			return eventlog.Appended{}, eventlog.ErrMoved
		}
		f := &forwarding{ctx: ctx, wire: toWire(&r), size: sizeOf(&r), done: make(chan struct{})}
		if f.size > maxBody/2 {
			return eventlog.Appended{}, fault.New(fault.Exhausted, "the change is too large to be forwarded to the node that holds the log (%d bytes)", f.size)
		}
		c.line(lineName{log, strings.TrimSuffix(held.Holder.Address, "/")}, k).send(f)
		select {
		case <-f.done:
			return f.res, f.err
		case <-ctx.Done():
			return eventlog.Appended{}, notAnswered(ctx.Err())
		}
	}
}

// sizeOf is roughly what a request takes on the way.
func sizeOf(r *eventlog.Request) int {
	n := 256
	for _, d := range r.Events {
		n += 512 + len(d.Public) + len(d.Context) + 64*len(d.Tags) + 128*len(d.Blind)
		for i, b := range d.Blocks {
			n += 128 + 96*len(b.Fields) + len(d.Ciphertexts[i])
		}
	}
	for _, it := range r.If.Query {
		n += 64 * (len(it.All) + len(it.Types))
	}
	return n
}

func (c *Client) line(name lineName, key []byte) *line {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lines[name]
	if l == nil {
		if len(c.lines) > 64 { // of nodes that are long gone
			clear(c.lines)
		}
		l = &line{client: c, name: name, key: key}
		c.lines[name] = l
	}
	return l
}

// maxFlying bounds how many messages are under way to one node: what comes
// meanwhile goes together.
const maxFlying = 4

// send has an append sent with others that wait.
func (l *line) send(f *forwarding) {
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	l.waiting = append(l.waiting, f)
	if l.flying < maxFlying {
		l.flying++
		go l.fly()
	}
}

// fly sends what waits until nothing does.
func (l *line) fly() {
	for {
		batch := l.take()
		if batch == nil {
			return
		}
		l.deliver(batch)
	}
}

// take takes what goes together; nil ends the flight.
func (l *line) take() []*forwarding {
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	n, size := 0, 0
	for n < len(l.waiting) && n < maxAppends && size+l.waiting[n].size <= maxBody/2 {
		size += l.waiting[n].size
		n++
	}
	if n == 0 {
		l.flying--
		return nil
	}
	batch := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return batch
}

// deliver sends a batch and hands out the answers.
func (l *line) deliver(batch []*forwarding) {
	q := ask{Log: l.name.log}
	for _, f := range batch {
		q.Appends = append(q.Appends, f.wire)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience(batch))
	defer cancel()
	a, err := l.exchange(ctx, &q)
	l.tell(err)
	for i, f := range batch {
		switch {
		case err != nil:
			f.err = err
		case len(a.Done) == 1: // the only one, or the whole was refused
			f.res, f.err = a.Done[0].result()
			if len(batch) > 1 && f.err == nil {
				f.err = notAnswered(errShort)
			}
		default:
			f.res, f.err = a.Done[i].result()
		}
		close(f.done)
	}
}

// patience is for how long the first of them waits.
func patience(batch []*forwarding) time.Duration {
	if end, ok := batch[0].ctx.Deadline(); ok {
		return time.Until(end)
	}
	return 10 * time.Second
}

var errShort = errors.New("the answer is not to what was asked")

// exchange sends a message and reads the answer. ErrMoved: it was not sent.
func (l *line) exchange(ctx context.Context, q *ask) (*answer, error) {
	body, err := encode(q)
	if err != nil {
		return nil, fault.Wrap("encode what is forwarded", err)
	}
	st := newStamp(l.client.now())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.name.address+path+l.name.log.String(), bytes.NewReader(body))
	if err != nil {
		return nil, notReached(err)
	}
	r.Header.Set("Content-Type", "application/cbor")
	r.Header.Set(header, st.sign(l.key, asking, l.name.log, body))
	resp, err := l.client.http.Do(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, notReached(err)
		}
		return nil, notAnswered(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, notAnswered(err)
	}
	if got, err := check(l.key, answering, l.name.log, resp.Header.Get(header), out); err != nil || got != st.seen() {
		return nil, notAnswered(fault.New(fault.Unauthenticated, "the answer (status %d) is not of the node that was asked; do all nodes serve the same instance?", resp.StatusCode))
	}
	var a answer
	if err := decode(out, &a); err != nil {
		return nil, notAnswered(err)
	}
	if n := len(a.Done); n != len(q.Appends) && n != 1 {
		return nil, notAnswered(errShort)
	}
	return &a, nil
}

// tell logs that the holder does not answer, once until it does.
func (l *line) tell(err error) {
	if silent := err != nil; l.silent.Swap(silent) != silent && silent {
		l.client.logger.Warn("the holder of the log does not answer", "address", l.name.address, "error", err)
	}
}

// seen is the stamp as the other side reads it.
func (s stamp) seen() stamp { return stamp{time.UnixMilli(s.at.UnixMilli()), s.nonce} }

// notReached says that nothing was sent.
func notReached(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Op: "reach the holder of the log", Msg: eventlog.ErrMoved.Msg, Err: errors.Join(eventlog.ErrMoved, err)}
}

// notAnswered says that nobody knows what happened.
func notAnswered(err error) error {
	return &fault.Error{Kind: fault.Unknown, Msg: "the node that holds the log did not answer; repeat the request with the same command id to learn the outcome", Err: err}
}
