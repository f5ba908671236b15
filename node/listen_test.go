package node

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// counting is a body that notes how much of it was read.
type counting struct {
	io.Reader
	read int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.read += n
	return n, err
}

// Of a message that is not of a node nothing is read, and of one that is, no
// more than its header announces.
func TestStrangersAreNotRead(t *testing.T) {
	log, to := event.LogID{ID: event.NewID()}, &said{}
	s := NewServer(time.Now)
	s.Serve(log, to, key)
	r := full()
	body, err := encode(ask{Log: log, Appends: []asked{toWire(&r)}})
	if err != nil {
		t.Fatal(err)
	}
	st, huge := newStamp(time.Now()), strings.Repeat("x", 1<<20)
	sign := func(key []byte, direction string, body string) string {
		return st.sign(key, direction, log, []byte(body))
	}
	for name, c := range map[string]struct {
		path, head, body string
		read             int // at most
		code             int
	}{
		"a node's":              {appendPath, sign(key, asking, string(body)), string(body), len(body), 200},
		"no header":             {appendPath, "", huge, 0, 401},
		"another key":           {appendPath, sign([]byte("other"), asking, huge), huge, 0, 401},
		"another question":      {followPath, sign(key, asking, string(body)), string(body), 0, 401},
		"longer than announced": {appendPath, sign(key, asking, string(body)), string(body) + huge, len(body), 200},
		"another body":          {appendPath, sign(key, asking, string(body)), huge, len(body), 401},
		"cut short":             {appendPath, sign(key, asking, string(body)), string(body[:9]), 9, 401},
		"announced too long":    {appendPath, sign(key, asking, strings.Repeat("x", maxBody+1)), huge, 0, 401},
	} {
		for _, id := range []event.LogID{log, {ID: event.NewID()}} {
			from := &counting{Reader: strings.NewReader(c.body)}
			q := httptest.NewRequest("POST", c.path+id.String(), from)
			q.Header.Set(header, c.head)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, q)
			if id == log && (w.Code != c.code || from.read > c.read) || id != log && (w.Code != 401 || from.read > 0) {
				t.Errorf("%s, of our log: %v: status %d, %d bytes read", name, id == log, w.Code, from.read)
			}
		}
	}
	if len(to.got) != 2 {
		t.Errorf("%d appends", len(to.got))
	}
}

// Who has no place is not kept waiting, and a place that was left is free.
func TestConnectionsAreCounted(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit(ln, 3, 2, slog.New(slog.DiscardHandler)).(*limited)
	defer l.Close()
	accepted := make(chan net.Conn, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-accepted
	dial()
	<-accepted
	third := dial()
	if _, err := third.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
		t.Fatalf("a third from one address: %v", err)
	}
	for range 2 { // to close again changes nothing
		first.Close()
	}
	dial()
	<-accepted
	if l.open != 2 || l.from["127.0.0.1"] != 2 {
		t.Fatalf("%d are open, %v", l.open, l.from)
	}
	if !l.admit("127.0.0.2") || l.admit("127.0.0.3") {
		t.Fatal("the limit over all addresses does not hold")
	}
}

// What a node serves over Serve is what another reaches.
func TestServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log, to := event.LogID{ID: event.NewID()}, &said{res: eventlog.Appended{First: 1, Last: 1}}
	s := NewServer(time.Now)
	s.Serve(log, to, key)
	stop := Serve(ln, s, nil, slog.New(slog.DiscardHandler))
	c := NewClient(ClientOptions{})
	defer c.Close()
	if got, err := c.Forward(log, ours)(t.Context(), held("http://"+ln.Addr().String()), full()); err != nil || got.Last != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Forward(log, ours)(t.Context(), held("http://"+ln.Addr().String()), full()); err == nil {
		t.Fatal("it answers after it was stopped")
	}
}
