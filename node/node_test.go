package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

var key = []byte("a key of thirty-two bytes or so.")

// said is a Holder that notes what it is asked and says what it is told to.
type said struct {
	mu  sync.Mutex
	got []eventlog.Request
	res eventlog.Appended
	err error

	handed eventlog.Handed
}

func (s *said) AppendHere(_ context.Context, r eventlog.Request) (eventlog.Appended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, r)
	return s.res, s.err
}

func (s *said) Hand(context.Context, event.Position) (eventlog.Handed, error) {
	return s.handed, s.err
}

// listen serves nodes over HTTP/2 in the clear.
func listen(t testing.TB, h http.Handler) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

func ours() []byte { return key }

func held(address string) eventlog.Held {
	return eventlog.Held{Standing: eventlog.Standing{Holder: eventlog.Holder{ID: event.NewID(), Address: address}}}
}

func full() eventlog.Request {
	stream, subject := logtest.NewStream("user"), logtest.NewSubject()
	d := logtest.New(stream, "user.noted", logtest.Public(map[string]any{"a": 1}), logtest.Context(map[string]any{"source": "x"}), logtest.Tags("user:1", "org:2"),
		logtest.Sealed(subject, logtest.NewKey(), "name", "email"), logtest.Blind(subject, "email", logtest.RandomHash()))
	q := event.OfStream(stream, "user.noted", "user.locked").Or(event.OfTerm("g:user:1"))
	return logtest.If(event.Condition{Query: q, After: 7, Streams: map[event.Stream]uint64{stream: 3, logtest.NewStream("org"): 0}}, d, logtest.New(stream, "user.locked"))
}

// What is appended at the holder is, to the last byte, what was to be appended
// at the follower.
func TestForward(t *testing.T) {
	log := event.LogID{ID: event.NewID()}
	to := &said{res: eventlog.Appended{Log: event.LogID{ID: event.NewID()}, First: 8, Last: 9, Time: time.UnixMicro(1_700_000_000_000_123).UTC(), Replayed: true}}
	s := NewServer(time.Now)
	s.Serve(log, to, key)
	c := NewClient(ClientOptions{})
	defer c.Close()
	r := full()
	r.Generation = event.LogID{ID: event.NewID()}
	got, err := c.Forward(log, func() []byte { return key })(t.Context(), held(listen(t, s)), r)
	if err != nil || got != to.res {
		t.Fatalf("got %+v, %v; want %+v", got, err, to.res)
	}
	if len(to.got) != 1 || !reflect.DeepEqual(to.got[0], r) {
		t.Fatalf("the holder was asked for\n%+v, not\n%+v", to.got, r)
	}
}

// Errors are on this side what they were on the other.
func TestErrorsTravel(t *testing.T) {
	log := event.LogID{ID: event.NewID()}
	to := &said{}
	s := NewServer(time.Now)
	s.Serve(log, to, key)
	c, at := NewClient(ClientOptions{}), held(listen(t, s))
	defer c.Close()
	forward := c.Forward(log, func() []byte { return key })
	for _, want := range sentinels() {
		to.err = fault.Wrap("append", want)
		if _, err := forward(t.Context(), at, full()); !errors.Is(err, want) || fault.KindOf(err) != want.Kind {
			t.Errorf("%v arrived as %v", want, err)
		}
	}
	to.err = &fault.Error{Kind: fault.Conflict, Msg: "somebody changed the same facts meanwhile", Err: &eventlog.Between{Position: 12, Type: "user.locked"}}
	_, err := forward(t.Context(), at, full())
	var b *eventlog.Between
	if !errors.As(err, &b) || b.Position != 12 || b.Type != "user.locked" || !fault.Is(err, fault.Conflict) {
		t.Errorf("what came between arrived as %v", err)
	}
	for k := fault.Internal; k <= fault.Corrupt; k++ {
		to.err = &fault.Error{Kind: k, Msg: "why", Err: errors.New("the text of a foreign error")}
		if _, err := forward(t.Context(), at, full()); fault.KindOf(err) != k || strings.Contains(err.Error(), "foreign") {
			t.Errorf("%v arrived as %v", to.err, err)
		}
	}
	later := done{Fault: &wrong{Kind: 200}}
	if _, err := later.result(); !fault.Is(err, fault.Unknown) {
		t.Errorf("a kind of another version: %v", err)
	}
}

// Whether an append may have happened is never in doubt: what was not sent was
// not, what was not answered is not known.
func TestUncertain(t *testing.T) {
	log := event.LogID{ID: event.NewID()}
	c := NewClient(ClientOptions{})
	defer c.Close()
	forward := c.Forward(log, func() []byte { return key })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + ln.Addr().String()
	ln.Close()
	good := NewServer(time.Now)
	good.Serve(log, &said{}, key)
	answers := func(f func(http.ResponseWriter, *http.Request)) string { return listen(t, http.HandlerFunc(f)) }
	other := NewServer(time.Now)
	other.Serve(log, &said{}, []byte("another key of thirty-two bytes."))
	slow := NewServer(func() time.Time { return time.Now().Add(-time.Minute) })
	slow.Serve(log, &said{}, key)
	unsure := NewServer(time.Now)
	unsure.Serve(log, &said{err: &fault.Error{Kind: fault.Unknown, Msg: "nobody knows", Err: eventlog.ErrMoved}}, key)
	for name, c := range map[string]struct {
		address string
		kind    fault.Kind
		moved   bool
	}{
		"nobody listens":          {gone, fault.Unavailable, true},
		"no address":              {"", fault.Unavailable, true},
		"not an address":          {"file:///etc", fault.Unavailable, true},
		"it says nothing":         {answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), fault.Unknown, false},
		"a stranger":              {answers(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }), fault.Unknown, false},
		"a stranger says no":      {answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), fault.Unknown, false},
		"sent on":                 {answers(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusTemporaryRedirect) }), fault.Unknown, false},
		"another instance's node": {listen(t, other), fault.Unknown, false},
		"a log that is not there": {listen(t, NewServer(time.Now)), fault.Unknown, false},
		"it moved meanwhile":      {listen(t, unsure), fault.Unknown, false},
		"a clock far behind":      {listen(t, slow), fault.Unavailable, false},
	} {
		if _, err := forward(t.Context(), held(c.address), full()); !fault.Is(err, c.kind) || errors.Is(err, eventlog.ErrMoved) != c.moved {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Forward(log, func() []byte { return nil })(t.Context(), held(listen(t, good)), full()); !errors.Is(err, eventlog.ErrMoved) {
		t.Errorf("before the key is known: %v", err)
	}
}

// No message is taken for another: not with another key, log, direction, time,
// nonce or body.
func TestMessagesAreBound(t *testing.T) {
	log, body := event.LogID{ID: event.NewID()}, []byte("body")
	st := newStamp(time.Now())
	head := st.sign(key, asking, log, body)
	if got, err := check(key, asking, log, head, body); err != nil || got != st.seen() || got.fresh(time.Now()) != nil {
		t.Fatalf("a good message: %v", err)
	}
	other := event.LogID{ID: event.NewID()}
	bound, mac, _ := strings.Cut(head, ".")
	instead := func(e envelope) string { return text(e.bytes()) + "." + mac }
	e := st.envelope(body)
	later, fresh, longer, another := e, e, e, st.envelope([]byte("Body"))
	later.at, fresh.stamp, longer.length = later.at.Add(time.Second), newStamp(st.at), 5
	for name, bad := range map[string]bool{
		"key":       refused(check([]byte("other"), asking, log, head, body)),
		"no key":    refused(check(nil, asking, log, st.sign(nil, asking, log, body), body)),
		"direction": refused(check(key, answering, log, head, body)),
		"log":       refused(check(key, asking, other, head, body)),
		"body":      refused(check(key, asking, log, head, []byte("Body"))),
		"cut body":  refused(check(key, asking, log, head, []byte("bod"))),
		"time":      refused(check(key, asking, log, instead(later), body)),
		"nonce":     refused(check(key, asking, log, instead(fresh), body)),
		"length":    refused(check(key, asking, log, instead(longer), []byte("body!"))),
		"digest":    refused(check(key, asking, log, instead(another), []byte("Body"))),
		"cut":       refused(check(key, asking, log, head[:len(head)-1], body)),
		"empty":     refused(check(key, asking, log, "", body)),
		"no code":   refused(check(key, asking, log, bound+".", body)),
		"longer":    refused(check(key, asking, log, head+".", body)),
		"too long":  refused(check(key, asking, log, st.sign(key, asking, log, make([]byte, maxBody+1)), make([]byte, maxBody+1))),
	} {
		if !bad {
			t.Errorf("%s: taken", name)
		}
	}
	for _, d := range []time.Duration{-2 * window, 2 * window} {
		if st.fresh(time.Now().Add(d)) == nil {
			t.Errorf("taken %s off", d)
		}
	}
}

// check is what both sides do with a message.
func check(key []byte, direction string, log event.LogID, head string, body []byte) (stamp, error) {
	e, err := open(key, direction, log, head)
	if err == nil {
		_, err = e.read(bytes.NewReader(body))
	}
	return e.stamp, err
}

func refused(_ stamp, err error) bool { return errors.Is(err, errForged) }

// A message that is overheard and sent again does nothing: its command has done
// its work.
func TestReplay(t *testing.T) {
	l, err := eventlog.Open(t.Context(), memlog.New(), event.LogID{ID: event.NewID()}, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := NewServer(time.Now)
	s.Serve(l.ID(), l, key)
	r := logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))
	body, err := encode(ask{Log: l.ID(), Appends: []asked{toWire(&r)}})
	if err != nil {
		t.Fatal(err)
	}
	head := newStamp(time.Now()).sign(key, asking, l.ID(), body)
	for range 3 {
		q := httptest.NewRequest("POST", appendPath+l.ID().String(), strings.NewReader(string(body)))
		q.Header.Set(header, head)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, q)
		if w.Code != 200 || l.Mark().Size != 1 {
			t.Fatalf("status %d, %d records", w.Code, l.Mark().Size)
		}
	}
}

// Three nodes that reach each other over HTTP share a log: all that is appended
// anywhere is there once, and what waits goes together.
func TestNodes(t *testing.T) {
	store, id := memlog.New(), event.LogID{ID: event.NewID()}
	var messages atomic.Int64
	c := NewClient(ClientOptions{})
	defer c.Close()
	var logs []*eventlog.Log
	for range 3 {
		s := NewServer(time.Now)
		address := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { messages.Add(1); s.ServeHTTP(w, r) }))
		l, err := eventlog.Open(t.Context(), store, id, eventlog.Options{Lease: time.Hour, Address: address, Forward: c.Forward(id, ours), Hear: c.Hear(id, ours)})
		if err != nil {
			t.Fatal(err)
		}
		s.Serve(id, l, key)
		logs = append(logs, l)
		defer l.Close()
	}
	const each = 100
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			stream := logtest.NewStream("user")
			for v := range each / 10 {
				r := logtest.If(event.Condition{Streams: map[event.Stream]uint64{stream: uint64(v)}}, logtest.New(stream, "user.noted"))
				if _, err := logs[i%3].Append(t.Context(), r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i, l := range logs {
		if err := l.CatchUp(t.Context()); err != nil || l.Mark().Size != 3*each {
			t.Errorf("node %d reads up to %d (%v)", i, l.Mark().Size, err)
		}
	}
	if n := messages.Load(); n >= 2*each {
		t.Errorf("%d messages for %d appends", n, 2*each)
	}
	if err := logtest.Check(t.Context(), store, id); err != nil {
		t.Error(err)
	}
}

// Whatever the bytes, a message is refused or says what it says: it is written
// again as it was read, and the log takes or refuses it without harm.
func FuzzAsk(f *testing.F) {
	r := full()
	b, err := encode(ask{Log: event.LogID{ID: event.NewID()}, Appends: []asked{toWire(&r)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	l, err := eventlog.Open(f.Context(), memlog.New(), event.LogID{ID: event.NewID()}, eventlog.Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer l.Close()
	f.Fuzz(func(t *testing.T, b []byte) {
		var q ask
		if decode(b, &q) != nil {
			return
		}
		for i := range q.Appends {
			r, err := q.Appends[i].request()
			if err != nil {
				continue
			}
			if _, err := encode(toWire(&r)); err != nil {
				t.Fatal(err)
			}
			if _, err := l.AppendHere(context.Background(), r); err != nil && (fault.Is(err, fault.Internal) && len(r.Events) > 0 || fault.Is(err, fault.Corrupt)) {
				t.Fatal(err)
			}
		}
	})
}

// And so is an answer.
func FuzzAnswer(f *testing.F) {
	b, err := encode(answer{[]done{toDone(eventlog.Appended{First: 1, Last: 2, Time: time.Now()}, nil), toDone(eventlog.Appended{}, eventlog.ErrKeyTaken)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var a answer
		if decode(b, &a) != nil {
			return
		}
		for i := range a.Done {
			if _, err := a.Done[i].result(); (err != nil) != (a.Done[i].Fault != nil) {
				t.Fatalf("%+v became %v", a.Done[i], err)
			}
		}
	})
}
