package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
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

	client    *Client
	name      lineName
	key       []byte
	waiting   []*forwarding
	flying    int           // messages under way
	gathering bool          // what waits is sent in a moment
	takes     time.Duration // until an answer comes, about
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
			return eventlog.Appended{}, fault.Lasting(fault.New(fault.Exhausted, "the change is too large to be forwarded to the node that holds the log (%d bytes)", f.size))
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

// How appends share messages: the first is sent at once; while its answer is
// awaited, what comes within a moment goes together. A message costs as much as
// several appends do, and is answered when a commit is done, which those who
// come meanwhile must not wait for before they are even sent. A moment is a
// sixteenth of how long answers take.
const (
	shortest  = 100 * time.Microsecond
	longest   = 5 * time.Millisecond
	maxFlying = 64 // messages under way to one node
)

func (l *line) moment() time.Duration { return min(max(l.takes/16, shortest), longest) }

// send has an append sent with others that wait.
func (l *line) send(f *forwarding) {
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	l.waiting = append(l.waiting, f)
	l.next()
}

// next sends what waits, or sees to it that it is sent in a moment. The client
// is locked.
func (l *line) next() {
	switch n := len(l.waiting); {
	case n == 0:
	case l.flying == 0 || n >= maxAppends && l.flying < maxFlying:
		l.launch()
	case !l.gathering:
		l.gathering = true
		time.AfterFunc(l.moment(), func() {
			l.client.mu.Lock()
			defer l.client.mu.Unlock()
			l.gathering = false
			if l.flying < maxFlying && len(l.waiting) > 0 {
				l.launch()
			}
		})
	}
}

// launch sends what goes together, beside.
func (l *line) launch() {
	batch := l.take()
	l.flying++
	go func() {
		sent := time.Now()
		l.deliver(batch)
		l.client.mu.Lock()
		defer l.client.mu.Unlock()
		l.takes += (time.Since(sent) - l.takes) / 4
		l.flying--
		l.next()
	}()
}

// take takes what goes together; it is one at least.
func (l *line) take() []*forwarding {
	n, size := 1, l.waiting[0].size
	for n < len(l.waiting) && n < maxAppends && size+l.waiting[n].size <= maxBody/2 {
		size += l.waiting[n].size
		n++
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

// exchange sends appends and reads the answer. ErrMoved: they were not sent.
func (l *line) exchange(ctx context.Context, q *ask) (*answer, error) {
	var a answer
	if err := l.client.post(ctx, l.name, l.key, [2]string{asking, answering}, appendPath, q, &a); err != nil {
		return nil, err
	}
	if n := len(a.Done); n != len(q.Appends) && n != 1 {
		return nil, notAnswered(errShort)
	}
	return &a, nil
}

// post sends a message to a node and reads the answer to it.
func (c *Client) post(ctx context.Context, to lineName, key []byte, directions [2]string, path string, q, a any) error {
	body, err := encode(q)
	if err != nil {
		return fault.Wrap("encode what is sent to another node", err)
	}
	st := newStamp(c.now())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.address+path+to.log.String(), bytes.NewReader(body))
	if err != nil {
		return notReached(err)
	}
	r.Header.Set("Content-Type", "application/cbor")
	r.Header.Set(header, st.sign(key, directions[0], to.log, body))
	resp, err := c.http.Do(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return notReached(err)
		}
		return notAnswered(err)
	}
	defer resp.Body.Close()
	e, err := open(key, directions[1], to.log, resp.Header.Get(header))
	if err != nil || e.stamp != st.seen() {
		return notAnswered(fault.New(fault.Unauthenticated, "the answer (status %d) is not of the node that was asked; do all nodes serve the same instance?", resp.StatusCode))
	}
	out, err := e.read(resp.Body)
	if err == nil {
		err = decode(out, a)
	}
	if err != nil {
		return notAnswered(err)
	}
	return nil
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
