package sim

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/custom/publish"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/seal"
	"muniment.dev/seal/erasure"
	"muniment.dev/server"
	"muniment.dev/user"
	"muniment.dev/view"
)

// node is one process: an instance assembled as the server does it, on the
// disk, the vault and the register that all nodes share.
type node struct {
	world *world
	name  string
	dead  atomic.Bool // killed: nothing it does has an effect any more

	log       *eventlog.Log
	sealer    *seal.Sealer
	runner    *decide.Runner
	publisher *ledger.Publisher
	erasure   *erasure.Process
	views     *tables
	catalog   *publish.Catalog // of customers' events, where there are any
	customs   *publish.Publisher
	entities  *view.Set
	epoch     atomic.Uint64  // of the definitions by which it serves them
	mark      event.Position // as it was last seen

	// Of several nodes.
	open    atomic.Pointer[eventlog.Log] // once others reach it
	bell    chan struct{}
	rung    eventlog.Mark // the last time
	cut     atomic.Bool   // from the store
	joined  int           // the step at which it is cut no more
	paused  int           // the step up to which nothing that it does has an effect
	senders sync.Map      // lanes of those who append, by the first thing that they do
	mu      sync.Mutex    // guards what follows
	lanes   map[string]bool
	held    map[event.KeyID]bool // keys in its memory

	stop    context.CancelFunc
	running sync.WaitGroup
	started chan error    // the outcome of start
	ready   chan struct{} // closed when start has returned
	gone    chan struct{} // closed when all of it has stopped
	vied    bool          // another node was there while it started
	serving bool
	closing bool
}

// The lanes of what a node does by itself.
const (
	erasureLane = "erasures"
	viewsLane   = "views"
)

// maxSkew is how far the clock may run behind the log.
const maxSkew = 5 * time.Second

// newNode makes a node and begins to start it.
func (w *world) newNode() *node {
	w.births++
	n := &node{world: w, name: fmt.Sprintf("n%d", w.births), started: make(chan error, 1), ready: make(chan struct{}), gone: make(chan struct{}),
		bell: make(chan struct{}, 1), lanes: map[string]bool{}, held: map[event.KeyID]bool{}}
	w.homes.Store(n.name, n)
	views := w.inherit()
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	for _, o := range w.nodes {
		o.vied, n.vied = true, true
	}
	w.nodes = append(w.nodes, n)
	w.say("%s starts", n.name)
	go func() {
		defer close(n.ready)
		n.started <- n.start(withLane(ctx, "start"), withLane(ctx, erasureLane), views)
	}()
	return n
}

// start does what server.Open does, in its order.
func (n *node) start(ctx, erasures context.Context, views *tables) error {
	w := n.world
	st := &store{Store: w.disk.present, disk: w.disk, node: n, bugs: w.bugs}
	reg := &register{w.reg, n, ""}
	skew := maxSkew
	if w.bugs.AnyClock {
		skew = 1 << 62
	}
	o := eventlog.Options{Clock: w.logClock, MaxSkew: skew, Window: w.plan.window, Batch: w.plan.batch, Holder: n.holder()}
	var err error
	if n.log, err = n.openLog(ctx, st, o); err != nil {
		return err
	}
	n.mark = n.log.Mark().Size
	n.sealer = &seal.Sealer{Log: w.id, Instance: w.instance, Assigned: n.log, Keys: &keys{w.vault, n}, Registry: w.registry}
	if w.plan.customers { // which each node learns by itself
		n.sealer.Registry = server.Registry()
	}
	n.runner = &decide.Runner{Log: n.log, Sealer: n.sealer, To: appends{n}}
	n.publisher, err = ledger.StartPublisher(ctx, n.log, w.signer, reg, ledger.PublisherOptions{Every: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	if w.plan.customers {
		if err := n.openCustoms(ctx); err != nil {
			return err
		}
	}
	n.views = views
	n.running.Go(func() { n.tail(withLane(ctx, viewsLane)) })
	n.erasure = n.newErasure()
	if err := n.erasure.Resume(erasures); err != nil {
		return err
	}
	n.running.Go(func() { n.erasure.Run(erasures) })
	n.open.Store(n.log)
	return nil
}

// openLog opens the log alone, or as one of several nodes.
func (n *node) openLog(ctx context.Context, st *store, o eventlog.Options) (_ *eventlog.Log, err error) {
	w := n.world
	if w.plan.several() {
		o.Lease, o.Address, o.Forward = lease, n.name, n.forward
		return ledger.OpenLog(ctx, &shared{st}, w.id, &register{w.reg, n, "holder"}, o)
	}
	if o.Term, err = ledger.Admit(ctx, st, w.id, &register{w.reg, n, ""}); err != nil {
		return nil, err
	}
	return eventlog.Open(ctx, st, w.id, o)
}

// holder is the node's name as the log knows it.
func (n *node) holder() event.ID {
	var id event.ID
	copy(id[:], n.name)
	return id
}

func (n *node) newErasure() *erasure.Process {
	p := &erasure.Process{
		Log: n.log, Keys: &keys{n.world.vault, n},
		Registered: func(ctx context.Context, p event.Position) error {
			_, err := n.publisher.WaitFor(ctx, p)
			return err
		},
		Forget: []erasure.Forget{
			{Name: "views", Do: func(_ context.Context, s event.SubjectID) error { n.views.forget(s); return nil }},
			{Name: "folded states", Do: func(context.Context, event.SubjectID) error { n.runner.Forget(); return nil }},
		},
		IsComplete: erasure.ByEvent(n.log, "user.erasure.completed", "user"),
		Complete: func(ctx context.Context, s event.SubjectID) error {
			_, err := decide.Run(ctx, n.runner, user.CompletingErasure, decide.Envelope{Actor: event.System}, user.CompleteErasure{User: s.ID})
			return err
		},
	}
	if n.world.plan.customers {
		n.eraseCustoms(p)
	}
	return p
}

// close stops everything, as server.Core does. It returns when all is gone.
func (n *node) close() {
	n.stop()
	<-n.ready
	n.running.Wait()
	if n.entities != nil {
		n.entities.Close()
	}
	if n.log != nil {
		n.log.Close()
	}
	if n.publisher != nil {
		n.publisher.Close()
	}
	close(n.gone)
}

// appends is the log as commands reach it: one append at a time.
type appends struct{ *node }

// Append implements decide.Appender.
func (a appends) Append(ctx context.Context, r eventlog.Request) (eventlog.Appended, error) {
	if _, err := a.world.bus.wait(ctx, a.node, "append"); err != nil {
		return eventlog.Appended{}, &fault.Error{Kind: fault.Unavailable, Msg: "the request ended before its change was recorded", Err: err}
	}
	if a.world.bugs.NoCondition {
		r.If = event.Condition{}
	}
	if a.world.plan.several() {
		a.senders.Store(r.Events[0], laneOf(ctx))
	}
	return a.log.Append(ctx, r)
}
