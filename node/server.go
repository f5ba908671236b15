package node

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Where appends are forwarded to, and where followers ask what was published;
// the id of the log follows.
const (
	appendPath = "/node/v1/append/"
	followPath = "/node/v1/follow/"
)

// Holder is a log that this node may hold. *eventlog.Log is one.
type Holder interface {
	// AppendHere and Hand keep the contracts of eventlog.Log.
	AppendHere(context.Context, eventlog.Request) (eventlog.Appended, error)
	Hand(ctx context.Context, after event.Position) (eventlog.Handed, error)
}

// Server takes what other nodes forward, for as many logs as there are. It is
// an http.Handler, for a listener that only nodes reach.
type Server struct {
	now func() time.Time

	mu   sync.RWMutex // guards what follows
	logs map[event.LogID]served
}

type served struct {
	to  Holder
	key []byte
}

// NewServer returns a server that knows no log yet.
func NewServer(now func() time.Time) *Server {
	return &Server{now: now, logs: map[event.LogID]served{}}
}

// Serve begins to take appends for a log, from nodes that have the key.
func (s *Server) Serve(log event.LogID, to Holder, key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[log] = served{to, key}
}

// Withdraw ends that.
func (s *Server) Withdraw(log event.LogID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.logs, log)
}

// ServeHTTP implements http.Handler. Whoever has not the key learns nothing,
// not even whether the log is here, and nothing that it sends is kept in memory:
// the body is read once the header is known to be of a node.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log, direction, ok := asks(r)
	if !ok {
		http.Error(w, "only nodes have business here", http.StatusNotFound)
		return
	}
	s.mu.RLock()
	to := s.logs[log]
	s.mu.RUnlock()
	e, err := open(to.key, direction, log, r.Header.Get(header))
	if err != nil {
		http.Error(w, fault.Public(err), http.StatusUnauthorized)
		return
	}
	body, err := e.read(r.Body)
	if err != nil {
		http.Error(w, "the message is not the one that its header announces, or was cut short", http.StatusUnauthorized)
		return
	}
	var reply any
	back := answering
	if direction == following {
		reply, back = s.hand(r.Context(), log, to, e.stamp, body), handing
	} else {
		reply = s.answer(r.Context(), log, to, e.stamp, body)
	}
	out, err := encode(reply)
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set(header, e.stamp.sign(to.key, back, log, out))
	_, _ = w.Write(out) // who asked has gone: it does not know the outcome, and asks again
}

// asks says about which log a request is, and what it asks.
func asks(r *http.Request) (log event.LogID, direction string, ok bool) {
	direction = asking
	name, ok := strings.CutPrefix(r.URL.Path, appendPath)
	if !ok {
		direction = following
		name, ok = strings.CutPrefix(r.URL.Path, followPath)
	}
	id, err := event.ParseID(name)
	return event.LogID{ID: id}, direction, ok && err == nil && r.Method == http.MethodPost
}

// answer appends what was asked for. A refusal of the whole is one answer.
func (s *Server) answer(ctx context.Context, log event.LogID, to served, st stamp, body []byte) answer {
	if err := st.fresh(s.now()); err != nil {
		return answer{[]done{toDone(eventlog.Appended{}, err)}}
	}
	var q ask
	err := decode(body, &q)
	if err == nil && (q.Log != log || len(q.Appends) == 0 || len(q.Appends) > maxAppends) {
		err = fault.New(fault.Unavailable, "another node's message is about another log, or brings too many appends; nothing was changed")
	}
	if err != nil {
		return answer{[]done{toDone(eventlog.Appended{}, err)}}
	}
	a := answer{make([]done, len(q.Appends))}
	var wg sync.WaitGroup
	for i := range q.Appends {
		wg.Go(func() {
			r, err := q.Appends[i].request()
			if err != nil {
				a.Done[i] = toDone(eventlog.Appended{}, err)
				return
			}
			a.Done[i] = toDone(to.to.AppendHere(ctx, r))
		})
	}
	wg.Wait()
	return a
}

// handFor is how long a follower waits for something to be published.
const handFor = 2 * time.Second

// hand waits for what was published behind a position.
func (s *Server) hand(ctx context.Context, log event.LogID, to served, st stamp, body []byte) handed {
	var q wanted
	err := st.fresh(s.now())
	if err == nil {
		err = decode(body, &q)
	}
	if err == nil && q.Log != log {
		err = fault.New(fault.Unavailable, "another node's message is about another log")
	}
	if err != nil {
		return handed{Fault: toDone(eventlog.Appended{}, err).Fault}
	}
	waiting, cancel := context.WithTimeout(ctx, handFor)
	defer cancel()
	h, err := to.to.Hand(waiting, event.Position(q.After))
	if err != nil && waiting.Err() != nil {
		return handed{} // nothing was published meanwhile
	}
	return toHanded(h, err)
}
