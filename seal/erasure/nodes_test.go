package erasure_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/seal/erasure"
)

// house is a log with its keys, shared by nodes.
type house struct {
	*testing.T
	nodes logtest.Nodes
	store *memlog.Store
	id    event.LogID
	lease time.Duration

	mu        sync.Mutex
	destroyed map[event.KeyID]bool
}

// room is one node.
type room struct {
	*logtest.Node
	*erasure.Process
	house *house
	stop  context.CancelFunc
	ended chan struct{}

	mu     sync.Mutex
	knows  map[event.SubjectID]event.KeyID // what it keeps in memory or in a view
	locked bool                            // it cannot forget
	early  bool                            // it forgot what was not destroyed yet
}

func newHouse(t *testing.T) *house {
	return &house{T: t, store: memlog.New(), id: event.LogID{ID: event.NewID()}, lease: 100 * time.Millisecond, destroyed: map[event.KeyID]bool{}}
}

// Destroy implements erasure.Destroyer.
func (h *house) Destroy(_ context.Context, _ event.LogID, ids ...event.KeyID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.destroyed[id] = true
	}
	return nil
}

func (h *house) isDestroyed(k event.KeyID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.destroyed[k]
}

// enter starts a node that keeps some people in mind. note may be empty.
func (h *house) enter(note string, knows map[event.SubjectID]event.KeyID) *room {
	h.Helper()
	r := &room{Node: h.nodes.Open(h.T, h.store, h.id, eventlog.Options{Lease: h.lease}), house: h, knows: knows, ended: make(chan struct{})}
	r.Process = &erasure.Process{Log: r.Log(), Keys: h,
		Registered: func(context.Context, event.Position) error { return nil },
		Forget:     []erasure.Forget{{Name: "memory", Do: r.forget}},
		IsComplete: erasure.ByEvent(r.Log(), "user.forgotten", "user"),
		Complete: func(ctx context.Context, s event.SubjectID) error {
			_, err := r.Append(ctx, logtest.Request(logtest.New(event.Stream{Kind: "user", ID: s.ID}, "user.forgotten", logtest.Tags(event.NewTag("user", s.String())))))
			return err
		}}
	if note != "" {
		r.Process.Note = erasure.NewNote(note, h.id)
	}
	if err := r.Resume(h.Context()); err != nil {
		h.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() {
		defer close(r.ended)
		_ = r.Run(ctx)
	}()
	h.Cleanup(r.leave)
	return r
}

// Log is the node's log.
func (r *room) Log() *eventlog.Log { return r.Node.Log }

// leave stops the node without a word.
func (r *room) leave() {
	r.stop()
	<-r.ended
}

func (r *room) forget(_ context.Context, s event.SubjectID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.locked {
		return context.DeadlineExceeded
	}
	if k, ok := r.knows[s]; ok && !r.house.isDestroyed(k) {
		r.early = true
	}
	delete(r.knows, s)
	return nil
}

func (r *room) lock(locked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locked = locked
}

func (r *room) remembers(s event.SubjectID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.knows[s]
	return ok
}

// person records somebody, through a node, whom all nodes know then.
func (h *house) person(by *room, rooms ...*room) event.SubjectID {
	h.Helper()
	s, k := logtest.NewSubject(), logtest.NewKey()
	if _, err := by.Append(h.Context(), logtest.Request(logtest.New(event.Stream{Kind: "user", ID: s.ID}, "user.registered", logtest.Sealed(s, k, "name")))); err != nil {
		h.Fatal(err)
	}
	for _, r := range append(rooms, by) {
		r.mu.Lock()
		r.knows[s] = k
		r.mu.Unlock()
	}
	return s
}

func (h *house) erase(by *room, s event.SubjectID) {
	h.Helper()
	key, _, err := by.Log().AssignedKey(h.Context(), s)
	if err == nil {
		_, err = by.Append(h.Context(), logtest.Request(logtest.Erasure(s, key)))
	}
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) soon(what string, ok func() bool) {
	h.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			h.Fatalf("did not happen: %s", what)
		}
	}
}

func (r *room) done(s event.SubjectID) func() bool {
	return func() bool {
		st, ok := r.Status(s)
		return ok && st.Step == erasure.Completed
	}
}

func (r *room) deleted(s event.SubjectID) func() bool {
	return func() bool {
		st, ok := r.Status(s)
		return ok && st.Step == erasure.Deleted
	}
}

func empty() map[event.SubjectID]event.KeyID { return map[event.SubjectID]event.KeyID{} }

// An erasure is complete when every node that is there has forgotten, each after
// the key was destroyed; whichever node it was asked of.
func TestAllNodesForget(t *testing.T) {
	h := newHouse(t)
	a, b := h.enter("", empty()), h.enter("", empty())
	ada := h.person(b, a)
	b.lock(true)
	h.erase(b, ada)
	h.soon("the stores are clear", a.deleted(ada))
	if !b.remembers(ada) || a.done(ada)() {
		t.Fatal("complete, though a node remembers")
	}
	b.lock(false)
	h.soon("it is complete for the holder", a.done(ada))
	h.soon("and for the other", b.done(ada))
	if a.remembers(ada) || b.remembers(ada) || a.early || b.early {
		t.Fatalf("a remembers %v, b %v; too early: %v, %v", a.remembers(ada), b.remembers(ada), a.early, b.early)
	}
}

// A node that is away holds nothing up for longer than its lease; when it comes
// back, it forgets before it serves.
func TestNodeThatWasAway(t *testing.T) {
	h := newHouse(t)
	note := filepath.Join(t.TempDir(), "forgotten")
	a, b := h.enter("", empty()), h.enter(note, empty())
	ada, bob := h.person(a, b), h.person(a, b)
	b.leave()
	b.Kill()
	h.erase(a, ada)
	h.soon("it is complete without it", a.done(ada))
	if !b.remembers(ada) {
		t.Fatal("it was not away")
	}
	back := h.enter(note, b.knows)
	if back.remembers(ada) || !back.remembers(bob) {
		t.Fatal("it came back with what was erased, or without what was not")
	}
	if err := back.Present(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A node whose word has lapsed forgets before it serves again.
func TestLapsedNode(t *testing.T) {
	h := newHouse(t)
	a, b := h.enter("", empty()), h.enter("", empty())
	ada := h.person(a, b)
	b.leave() // it serves, but its process does not run: it hangs
	h.erase(a, ada)
	h.soon("it is complete without it", a.done(ada))
	if !b.remembers(ada) {
		t.Fatal("it was not away")
	}
	h.soon("it may serve again", func() bool { return b.Log().CatchUp(t.Context()) == nil && b.Present(t.Context()) == nil })
	if b.remembers(ada) {
		t.Fatal("it serves what was erased")
	}
}

// When the holder dies between the steps, another goes on.
func TestErasureChangesHands(t *testing.T) {
	h := newHouse(t)
	a, b, c := h.enter("", empty()), h.enter("", empty()), h.enter("", empty())
	ada := h.person(c, a, b)
	c.lock(true)
	h.erase(c, ada)
	h.soon("the stores are clear", a.deleted(ada))
	a.leave()
	a.Kill()
	c.lock(false)
	for _, r := range []*room{b, c} {
		h.soon("it is complete", r.done(ada))
		if r.remembers(ada) {
			t.Fatal("a node remembers")
		}
	}
	n := 0
	for _, err := range b.Log().Read(t.Context(), event.OfTerm(event.TypeTerm("user.forgotten")), 0) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Fatalf("%d completions", n)
	}
}
