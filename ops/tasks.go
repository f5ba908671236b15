package ops

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"

	"muniment.dev/fault"
)

// Handler answers a request on the admin socket: it may tell several times how
// far it is, and returns a result, both to become JSON. Its context ends with
// the connection: whoever asked is not there any more.
type Handler func(ctx context.Context, tell func(any)) (result any, err error)

// message is one line of an answer. The last one has a result or an error.
type message struct {
	Progress json.RawMessage `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    string          `json:"error,omitempty"`
	Kind     fault.Kind      `json:"kind,omitempty"`
}

// Handle has requests of a name, such as `status/1`, answered by h.
func (a *Admin) Handle(name string, h Handler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handlers[name] = h
}

// handle answers one request.
func (a *Admin) handle(c net.Conn, name string) {
	a.mu.Lock()
	h := a.handlers[name]
	a.mu.Unlock()
	if h == nil {
		reply(c, answer{Error: "this server does not know the request, or is still starting; use the program of its own version"})
		return
	}
	c.SetDeadline(time.Time{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a.closed.Go(func() {
		defer cancel()
		io.Copy(io.Discard, c) // until the client is gone
	})
	result, err := h(ctx, func(p any) { send(c, message{Progress: marshal(p)}) })
	if err != nil {
		a.logger.Warn("a request on the admin socket failed", "request", name, "error", err)
		send(c, message{Error: explain(err), Kind: fault.KindOf(err)})
		return
	}
	send(c, message{Result: marshal(result)})
}

// send sends a line. Who does not read is given up, so that nothing waits.
func send(c net.Conn, m message) {
	c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	b, err := json.Marshal(m)
	if err == nil {
		_, err = c.Write(append(b, '\n'))
	}
	if err != nil {
		c.Close()
	}
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // what handlers give are structures of ours
	}
	return b
}

// Ask asks the server that runs on a data directory and reads its answer into
// result. progress, if not nil, is told what the server tells meanwhile. A
// server that does not run gives fault.NotFound.
func Ask(ctx context.Context, l Layout, name string, progress func(json.RawMessage), result any) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", l.Socket)
	if err != nil {
		return &fault.Error{Kind: fault.NotFound, Msg: "no server answers on the admin socket", Err: err}
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	err = converse(c, name, progress, result)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func converse(c net.Conn, name string, progress func(json.RawMessage), result any) error {
	broken := func(err error) error {
		return &fault.Error{Kind: fault.Unavailable, Op: "ask the running server", Msg: "the server ended or did not answer", Err: err}
	}
	if _, err := io.WriteString(c, name+"\n"); err != nil {
		return broken(err)
	}
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return broken(err)
		}
		switch {
		case m.Error != "":
			return &fault.Error{Kind: m.Kind, Msg: m.Error}
		case m.Progress != nil:
			if progress != nil {
				progress(m.Progress)
			}
		default:
			return json.Unmarshal(m.Result, result)
		}
	}
	if err := lines.Err(); err != nil {
		return broken(err)
	}
	return broken(errors.New("the connection ended"))
}
