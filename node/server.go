package node

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// path is where appends are forwarded to; the id of the log follows.
const path = "/node/v1/append/"

// Appender appends to a log that this node holds. *eventlog.Log is one.
type Appender interface {
	// AppendHere keeps the contract of eventlog.Log.AppendHere.
	AppendHere(context.Context, eventlog.Request) (eventlog.Appended, error)
}

// Server takes what other nodes forward, for as many logs as there are. It is
// an http.Handler, for a listener that only nodes reach.
type Server struct {
	now func() time.Time

	mu   sync.RWMutex // guards what follows
	logs map[event.LogID]served
}

type served struct {
	to  Appender
	key []byte
}

// NewServer returns a server that knows no log yet.
func NewServer(now func() time.Time) *Server {
	return &Server{now: now, logs: map[event.LogID]served{}}
}

// Serve begins to take appends for a log, from nodes that have the key.
func (s *Server) Serve(log event.LogID, to Appender, key []byte) {
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
// not even whether the log is here.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, path)
	id, err := event.ParseID(name)
	if !ok || err != nil || r.Method != http.MethodPost {
		http.Error(w, "only nodes have business here", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the message is too long, or was cut short", http.StatusRequestEntityTooLarge)
		return
	}
	log := event.LogID{ID: id}
	s.mu.RLock()
	to := s.logs[log]
	s.mu.RUnlock()
	stamp, err := check(to.key, asking, log, r.Header.Get(header), body)
	if err != nil {
		http.Error(w, fault.Public(err), http.StatusUnauthorized)
		return
	}
	out, err := encode(s.answer(r.Context(), log, to, stamp, body))
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set(header, stamp.sign(to.key, answering, log, out))
	_, _ = w.Write(out) // who asked has gone: it does not know the outcome, and asks again
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
		wg.Go(func() { a.Done[i] = toDone(to.to.AppendHere(ctx, q.Appends[i].request())) })
	}
	wg.Wait()
	return a
}
