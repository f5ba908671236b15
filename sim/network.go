package sim

import (
	"context"
	"fmt"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var errNoAnswer = fault.New(fault.Unknown, "the holder did not answer")

// forward is eventlog.Options.Forward: a message to the node that holds the log,
// which may not reach it, or late, or twice, and whose answer may be lost.
func (n *node) forward(ctx context.Context, held eventlog.Held, r eventlog.Request) (eventlog.Appended, error) {
	a, err := n.ask(ctx, held.Holder.Address, r)
	if n.world.bugs.NothingDone && fault.Is(err, fault.Unknown) {
		err = errDown
	}
	return a, err
}

func (n *node) ask(ctx context.Context, address string, r eventlog.Request) (none eventlog.Appended, err error) {
	lane, leave := n.forwardLane(&r)
	defer leave()
	ctx = withLane(ctx, lane)
	g, err := n.world.bus.wait(ctx, n, "forward")
	to := n.world.at(address)
	switch {
	case err != nil, to == nil, g.verdict == lose && g.coin:
		return none, eventlog.ErrMoved
	case g.verdict == lose:
		return none, errNoAnswer
	}
	how := n.echo(ctx)
	if how != once {
		n.later("forward late", func() { to.serve(bg, r) }) //nolint:errcheck // nobody waits for it
	}
	if how == late {
		return none, errNoAnswer
	}
	a, err := to.serve(ctx, r)
	if g.verdict == keep || how == twice && (fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Exhausted)) { // the other may yet succeed
		return none, errNoAnswer
	}
	if g, lost := n.world.bus.wait(ctx, n, "hear"); lost != nil || g.verdict != proceed {
		return none, errNoAnswer
	}
	n.world.say("  %s answered %d: %v", to.name, a.Last, err)
	return a, err
}

// serve appends what another node forwards.
func (n *node) serve(ctx context.Context, r eventlog.Request) (eventlog.Appended, error) {
	log := n.open.Load()
	if log == nil {
		return eventlog.Appended{}, eventlog.ErrMoved
	}
	a, err := log.AppendHere(ctx, r)
	if n.dead.Load() {
		return eventlog.Appended{}, errNoAnswer
	}
	return a, err
}

// forwardLane is a lane of its own for a message, named by that of whoever
// appends. Ids of commands do not always follow from the seed.
func (n *node) forwardLane(r *eventlog.Request) (name string, leave func()) {
	from, _ := n.senders.Load(r.Events[0])
	name = fmt.Sprintf("for %v", from)
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.lanes[name] {
		name += "'"
	}
	n.lanes[name] = true
	return name, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.lanes, name)
	}
}

// later has something happen when the driver wants it to, if at all.
func (n *node) later(what string, do func()) {
	ctx := withLane(bg, fmt.Sprintf("echo%d", n.world.echo.Add(1)))
	go func() {
		if g, err := n.world.bus.wait(ctx, n, what); err == nil && g.verdict != lose {
			do()
		}
	}()
}

// at is the node with an address; nil if there is none any more.
func (w *world) at(address string) *node {
	if n, ok := w.homes.Load(address); ok {
		return n.(*node)
	}
	return nil
}

// enter is what a server does before each request: the node reads at least what
// was acknowledged when it came, and has forgotten what it must have.
func (n *node) enter(ctx context.Context, acked event.Position) error {
	if !n.world.plan.several() {
		return nil
	}
	if err := n.log.CatchUp(ctx); err != nil {
		return err
	}
	if m := n.log.Mark().Size; m < acked {
		n.world.fail(fmt.Errorf("%s is stale: it reads to %d when it has caught up, and %d was acknowledged before", n.name, m, acked))
	}
	if _, err := n.world.bus.wait(ctx, n, "enter"); err != nil { // one by one, who waited for the same look
		return errDown
	}
	return n.erasure.Present(ctx)
}
