package logtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var nodeTests = []sharedTest{
	{"what a follower appends the holder records", forwarding},
	{"a follower without a way to the holder says so", noWay},
	{"a holder that closes is followed by another", handingOver},
	{"a holder that was replaced follows", replaced},
	{"reads go on while nobody holds the log", orphaned},
	{"a mark that was lost is found again", refound},
	{"an unpublished commit is answered by the next holder", unpublished},
	{"of many on several nodes one wins", oneWinner},
	{"nodes are killed and nothing is lost", killing},
	{"an unknown outcome is not taken for that of a node that moved", unknownMoved},
	{"a node that took the log and may not append reads on", mayNot},
	{"a follower hears of the holder what it published", hearing},
	{"what a holder hands out wrongly is read from the store", misheard},
	{"what is handed out late is forgotten all the same", unheard},
	{"a follower knows what is new as far as it has read", absent},
}

// Nodes is a set of nodes over one engine that reach each other in memory.
type Nodes struct {
	mu   sync.Mutex
	live []*Node
}

// Node is one of them.
type Node struct {
	*eventlog.Log
	Link    *Link
	nodes   *Nodes
	address string
}

// Link is a node's way to the store. Once cut, no effect of the node reaches
// the store any more, and no answer comes back.
type Link struct {
	eventlog.Shared
	cut      atomic.Bool
	muffled  atomic.Bool
	Silenced atomic.Bool // nothing is published any more, as if it had not arrived
}

// Silence keeps everything from reaching the store, for a while.
func (k *Link) Silence(on bool) { k.muffled.Store(on) }

// Cut ends the link, as the end of the process would.
func (k *Link) Cut() { k.cut.Store(true) }

func through[T any](k *Link, do func() (T, error)) (T, error) {
	var none T
	if k.cut.Load() || k.muffled.Load() {
		return none, fault.New(fault.Unavailable, "the store cannot be reached")
	}
	v, err := do()
	if k.cut.Load() {
		return none, fault.New(fault.Unknown, "the store did not answer")
	}
	return v, err
}

func (k *Link) effect(do func() error) error {
	_, err := through(k, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// Take implements eventlog.Store.
func (k *Link) Take(ctx context.Context, id event.LogID, by event.ID, atLeast uint64) (eventlog.Head, error) {
	return through(k, func() (eventlog.Head, error) { return k.Shared.Take(ctx, id, by, atLeast) })
}

// TakeFree implements eventlog.Shared.
func (k *Link) TakeFree(ctx context.Context, id event.LogID, by eventlog.Holder, atLeast uint64, lease time.Duration) (eventlog.Head, error) {
	return through(k, func() (eventlog.Head, error) { return k.Shared.TakeFree(ctx, id, by, atLeast, lease) })
}

// Head implements eventlog.Store.
func (k *Link) Head(ctx context.Context, id event.LogID) (eventlog.Head, error) {
	return through(k, func() (eventlog.Head, error) { return k.Shared.Head(ctx, id) })
}

// Standing implements eventlog.Shared.
func (k *Link) Standing(ctx context.Context, id event.LogID) (eventlog.Standing, error) {
	return through(k, func() (eventlog.Standing, error) { return k.Shared.Standing(ctx, id) })
}

// Commit implements eventlog.Store.
func (k *Link) Commit(ctx context.Context, b *eventlog.Batch) error {
	return k.effect(func() error { return k.Shared.Commit(ctx, b) })
}

// Publish implements eventlog.Shared.
func (k *Link) Publish(ctx context.Context, id event.LogID, by event.ID, m eventlog.Mark, lease time.Duration) error {
	return k.effect(func() error {
		if k.Silenced.Load() {
			return fault.New(fault.Unavailable, "nothing is published")
		}
		return k.Shared.Publish(ctx, id, by, m, lease)
	})
}

// Resign implements eventlog.Shared.
func (k *Link) Resign(ctx context.Context, id event.LogID, by event.ID) error {
	return k.effect(func() error { return k.Shared.Resign(ctx, id, by) })
}

// Followed and Absent implement eventlog.Absences, if the store does.
func (k *Link) Followed(id event.LogID, from, to event.Position, terms []event.Term) {
	if s, ok := k.Shared.(eventlog.Absences); ok {
		s.Followed(id, from, to, terms)
	}
}

func (k *Link) Absent(id event.LogID, t event.Term, upto event.Position) bool {
	s, ok := k.Shared.(eventlog.Absences)
	return ok && s.Absent(id, t, upto)
}

// Open opens a log on a further node.
func (ns *Nodes) Open(t *testing.T, store eventlog.Shared, id event.LogID, o eventlog.Options) *Node {
	t.Helper()
	n := &Node{nodes: ns, Link: &Link{Shared: store}, address: "mem:" + event.NewID().String()}
	o.Address, o.Forward, o.Hear = n.address, ns.forward, ns.hear
	var err error
	if n.Log, err = eventlog.Open(t.Context(), n.Link, id, o); err != nil {
		t.Fatalf("open a node: %v", err)
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.live = append(ns.live, n)
	t.Cleanup(func() { n.Log.Close() })
	return n
}

func (ns *Nodes) find(address string) *Node {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	for _, n := range ns.live {
		if n.address == address {
			return n
		}
	}
	return nil
}

func (ns *Nodes) forward(ctx context.Context, held eventlog.Held, r eventlog.Request) (eventlog.Appended, error) {
	n := ns.find(held.Holder.Address)
	if n == nil {
		return eventlog.Appended{}, eventlog.ErrMoved
	}
	a, err := n.AppendHere(ctx, r)
	if ns.find(n.address) == nil { // it was killed: no answer
		return eventlog.Appended{}, fault.New(fault.Unknown, "the holder did not answer")
	}
	return a, err
}

// hear is eventlog.Options.Hear.
func (ns *Nodes) hear(ctx context.Context, held eventlog.Held, after event.Position) (eventlog.Handed, error) {
	n := ns.find(held.Holder.Address)
	if n == nil {
		return eventlog.Handed{}, eventlog.ErrMoved
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	h, err := n.Hand(ctx, after)
	if ns.find(n.address) == nil {
		return eventlog.Handed{}, fault.New(fault.Unknown, "the holder did not answer")
	}
	if ctx.Err() != nil {
		return eventlog.Handed{}, nil
	}
	return h, err
}

// Kill ends a node as a signal would that it cannot catch.
func (n *Node) Kill() {
	n.nodes.mu.Lock()
	n.nodes.live = slices.DeleteFunc(n.nodes.live, func(o *Node) bool { return o == n })
	n.nodes.mu.Unlock()
	n.Link.Cut()
	n.Log.Close()
}

// Any returns one of the nodes that live.
func (ns *Nodes) Any() *Node {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.live[rand.IntN(len(ns.live))]
}

func (f *sharing) append(n *Node, r eventlog.Request) eventlog.Appended {
	f.Helper()
	a, err := n.Append(f.Context(), r)
	if err != nil {
		f.Fatalf("append: %v", err)
	}
	return a
}

// sees asserts that a node reads up to a position at least, when asked now.
func (f *sharing) sees(n *Node, p event.Position) {
	f.Helper()
	if err := n.CatchUp(f.Context()); err != nil {
		f.Fatalf("catch up: %v", err)
	}
	if m := n.Mark(); m.Size < p {
		f.Fatalf("a node is stale: it reads up to %d, %d was acknowledged", m.Size, p)
	}
}

func (f *sharing) soon(what string, ok func() bool) {
	f.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("did not happen: %s", what)
		}
		f.Pass(0)
	}
}

func noted() *event.Draft { return New(NewStream("user"), "user.noted") }

func forwarding(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	b := ns.Open(f.T, f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour, Window: 4})
	if !a.Leads() || b.Leads() {
		f.Fatal("not the first leads")
	}
	stream := NewStream("user")
	r := Request(New(stream, "user.noted"))
	if done := f.append(b, r); done.Last != 1 || b.Mark().Size != 1 || a.Mark().Size != 1 {
		f.Fatalf("%+v", done)
	}
	if again := f.append(b, r); !again.Replayed || again.First != 1 {
		f.Fatalf("the same command again: %+v", again)
	}
	r.Digest = RandomHash()
	if _, err := b.Append(f.Context(), r); !errors.Is(err, eventlog.ErrCommandReused) {
		f.Fatalf("another request under its id: %v", err)
	}
	for i := range 20 {
		f.append(a, Request(noted(), noted()))
		f.sees(b, event.Position(3+2*i))
	}
	_, err := b.Append(f.Context(), If(event.Condition{Query: event.OfTerm(event.TypeTerm("user.noted")), After: 40}, noted()))
	var between *eventlog.Between
	if !errors.As(err, &between) || between.Position != 41 {
		f.Fatalf("a condition that fails: %v", err)
	}
	var got []event.Position
	for r, err := range b.Read(f.Context(), event.Everything(), 0) {
		if err != nil {
			f.Fatal(err)
		}
		got = append(got, r.Position)
	}
	if len(got) != 41 || b.Mark() != a.Mark() {
		f.Fatalf("the follower reads %v up to %+v, the holder up to %+v", got, b.Mark(), a.Mark())
	}
	if role := b.Role(); role.Leads || role.Holder.Address != a.address || role.Forwarded < 4 {
		f.Fatalf("%+v", role)
	}
	if _, err := b.AppendHere(f.Context(), Request(noted())); !errors.Is(err, eventlog.ErrMoved) {
		f.Fatalf("a forwarded append at a follower: %v", err)
	}
}

func noWay(f *sharing) {
	var ns Nodes
	ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	l, err := eventlog.Open(f.Context(), f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	defer l.Close()
	var held *eventlog.Held
	if _, err := l.Append(f.Context(), Request(noted())); !fault.Is(err, fault.Unavailable) || !errors.As(err, &held) {
		f.Fatalf("got %v", err)
	}
}

func handingOver(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	b := ns.Open(f.T, f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour})
	f.append(a, Request(noted()))
	a.Log.Close() // not removed: b still forwards to it
	if done := f.append(b, Request(noted())); done.Last != 2 {
		f.Fatalf("%+v", done)
	}
	f.soon("the other leads", b.Leads)
	if err := Check(f.Context(), f.Store, f.id); err != nil {
		f.Fatal(err)
	}
}

func replaced(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	other := f.Another(f.T)
	f.append(a, Request(noted()))
	if err := f.Store.Resign(f.Context(), f.id, a.Node()); err != nil { // behind its back, as if its lease had run out
		f.Fatal(err)
	}
	b := ns.Open(f.T, other, f.id, eventlog.Options{Lease: time.Hour})
	if !b.Leads() {
		f.Fatal("the log was free")
	}
	if done := f.append(a, Request(noted())); done.Last != 2 || a.Leads() || !b.Leads() {
		f.Fatalf("%+v; %+v; %+v", done, a.Role(), b.Role())
	}
	f.sees(a, 2)
	if err := Check(f.Context(), f.Store, f.id); err != nil {
		f.Fatal(err)
	}
}

func orphaned(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	b := ns.Open(f.T, f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour})
	f.append(a, Request(noted()))
	a.Kill()
	f.sees(b, 1)
	if _, err := b.Record(f.Context(), 1); err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.Context())
	got := make(chan error)
	go func() { _, err := b.Append(ctx, Request(noted())); got <- err }()
	f.soon("it waits for a holder", func() bool { return b.Role().Failed > 0 })
	cancel()
	if err := <-got; !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) {
		f.Fatalf("withdrawn while there is no holder: %v", err)
	}
}

func refound(f *sharing) {
	if f.Lose == nil {
		f.Skip("this engine loses no mark")
	}
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: f.Lease})
	b := ns.Open(f.T, f.Another(f.T), f.id, eventlog.Options{Lease: f.Lease})
	f.append(a, Request(noted()))
	f.Lose(f.T, f.id)
	f.sees(b, 1) // the holder publishes it when it prolongs its lease
	a.Kill()
	f.Lose(f.T, f.id)
	f.long()
	f.sees(b, 1) // nobody else is there to publish it
	f.append(b, Request(noted()))
}

// What was committed and not published is in the log: it is answered when the
// log was taken again, as what it was.
func unpublished(f *sharing) {
	var ns Nodes
	a := ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	a.Link.Silenced.Store(true)
	r := Request(noted())
	if _, err := a.Append(f.Context(), r); !fault.Is(err, fault.Unknown) {
		f.Fatalf("what could not be published: %v", err)
	}
	a.Link.Silenced.Store(false)
	if done := f.append(a, r); !done.Replayed || done.Last != 1 {
		f.Fatalf("repeated: %+v", done)
	}
	f.append(a, Request(noted()))
	if err := Check(f.Context(), f.Store, f.id); err != nil {
		f.Fatal(err)
	}
}

func oneWinner(f *sharing) {
	var ns Nodes
	for range 3 {
		ns.Open(f.T, f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour})
	}
	for round := range 20 {
		tag := event.NewTag("round", fmt.Sprint(round))
		query := event.OfTerm(event.TagTerm(tag))
		after := ns.Any().Mark().Size
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				_, err := ns.Any().Append(f.Context(), If(event.Condition{Query: query, After: after}, New(NewStream("user"), "user.noted", Tags(tag))))
				if err == nil {
					won.Add(1)
				} else if !fault.Is(err, fault.Conflict) {
					f.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			f.Fatalf("round %d: %d won", round, n)
		}
	}
	if err := Check(f.Context(), f.Store, f.id); err != nil {
		f.Fatal(err)
	}
}

// What was forwarded may have been recorded, though the one who was asked knows
// only that another holds the log by now.
func unknownMoved(f *sharing) {
	var ns Nodes
	ns.Open(f.T, f.Store, f.id, eventlog.Options{Lease: time.Hour})
	asked := 0
	l, err := eventlog.Open(f.Context(), f.Another(f.T), f.id, eventlog.Options{Lease: time.Hour,
		Forward: func(context.Context, eventlog.Held, eventlog.Request) (eventlog.Appended, error) {
			if asked++; asked > 1 {
				return eventlog.Appended{}, fault.New(fault.Invalid, "asked again")
			}
			return eventlog.Appended{}, &fault.Error{Kind: fault.Unknown, Msg: "nobody knows", Err: eventlog.ErrMoved}
		}})
	if err != nil {
		f.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(f.Context(), Request(noted())); !fault.Is(err, fault.Unknown) || asked != 1 {
		f.Fatalf("asked %d times: %v", asked, err)
	}
}

// What a node publishes by taking the log others read at once. So must it
// itself, even if it cannot go on behind it.
func mayNot(f *sharing) {
	var ns Nodes
	var refuses atomic.Bool
	a := ns.Open(f.T, &unanswered{f.Store, &refuses}, f.id, eventlog.Options{Lease: time.Hour, Admit: func(context.Context, eventlog.Mark) (uint64, error) {
		if refuses.Load() {
			return 0, fault.New(fault.Unavailable, "the register is away")
		}
		return 0, nil
	}})
	f.append(a, Request(noted()))
	refuses.Store(true)
	if _, err := a.Append(f.Context(), Request(noted())); !fault.Is(err, fault.Unknown) {
		f.Fatalf("a commit without an answer: %v", err)
	}
	f.soon("it may not append", func() bool { return a.Role().Refused != nil })
	f.sees(a, 2)
}

// unanswered is a store whose answers to commits are lost while so.
type unanswered struct {
	eventlog.Shared
	so *atomic.Bool
}

// Commit implements eventlog.Store.
func (u *unanswered) Commit(ctx context.Context, b *eventlog.Batch) error {
	if err := u.Shared.Commit(ctx, b); err != nil || !u.so.Load() {
		return err
	}
	return fault.New(fault.Unknown, "the store did not answer")
}
