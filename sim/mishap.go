package sim

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"muniment.dev/fault"
)

// serving lists the nodes that take commands, oldest first.
func (w *world) serving() (list []*node) {
	for _, n := range w.nodes {
		if n.serving {
			list = append(list, n)
		}
	}
	return list
}

// hear hears of nodes that have started or are gone. A node that is killed here
// is gone the next time: when exactly its goroutines end is not the seed's to
// say.
func (w *world) hear() {
	gone := map[*node]bool{}
	for _, n := range w.nodes {
		select {
		case <-n.gone:
			gone[n] = true
		default:
		}
	}
	for _, n := range w.nodes {
		select {
		case err := <-n.started:
			if err != nil {
				w.say("%s does not start: %s", n.name, fault.KindOf(err))
				w.started(n, err)
				w.kill(n)
				continue
			}
			w.say("%s serves, the log has %d records", n.name, n.log.Mark().Size)
			if w.older {
				w.fail(fmt.Errorf("%s serves a log that was put back to %d records", n.name, n.log.Mark().Size))
			}
			n.serving = !n.dead.Load()
		default:
		}
	}
	w.nodes = slices.DeleteFunc(w.nodes, func(n *node) bool {
		if !gone[n] {
			return false
		}
		if n.views != nil {
			w.saved = n.views
		}
		w.say("%s is gone", n.name)
		return true
	})
}

// tend keeps the world going: one node is there at least, and the store comes
// back.
func (w *world) tend() {
	w.hear()
	if w.back > 0 && (w.steps >= w.back || w.calm) {
		w.say("the clock is set right")
		w.offset.Store(max(w.offset.Load(), w.right))
		w.back = 0
	}
	if w.steps >= w.until {
		w.away.Store(false)
		w.failing.Store(0)
	}
	alive := func(n *node) bool { return !n.dead.Load() }
	switch {
	case !slices.ContainsFunc(w.nodes, alive):
		w.newNode()
	case w.plan.several():
		w.tendNodes()
	}
}

// tendNodes has cut nodes find the store again, and further ones join.
func (w *world) tendNodes() {
	there := 0
	for _, n := range w.nodes {
		if w.steps >= n.joined {
			n.cut.Store(false)
		}
		if !n.dead.Load() && !n.closing {
			there++
		}
	}
	if there < w.plan.nodes && (w.calm || w.rng.IntN(80) == 0) {
		w.newNode()
	}
}

// started looks at why a node did not start: what keeps a node from starting
// for good must not happen in a world in which nothing is ever tampered with.
func (w *world) started(n *node, err error) {
	if w.older {
		w.refusal = err
		return
	}
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Unknown, fault.Conflict:
		return
	case fault.Refused: // the register was swapped by a rival
		if n.vied {
			return
		}
	}
	if n.dead.Load() {
		return
	}
	w.fail(fmt.Errorf("%s cannot start: %w", n.name, err))
}

// inherit is the file of views that a new node finds: that of the last one, or
// none.
func (w *world) inherit() *tables {
	if w.saved == nil || w.rng.IntN(3) == 0 {
		return newTables()
	}
	return w.saved.copy()
}

// mishap is something that happens to the machines.
func (w *world) mishap() {
	serving := w.serving()
	if len(serving) == 0 {
		w.pass()
		return
	}
	n := serving[w.rng.IntN(len(serving))]
	if w.plan.several() && w.rng.IntN(2) == 0 {
		w.mishapTo(n)
		return
	}
	switch k := w.rng.IntN(12); {
	case k < 2 && w.plan.rivals && len(w.nodes) < 3:
		w.newNode()
	case k < 5 && w.plan.crashes:
		w.kill(n)
		if w.backup != nil && !w.plan.several() && len(serving) == 1 && w.rng.IntN(2) == 0 {
			w.say("the key store is restored from a backup")
			w.vault.restore(w.backup)
		}
	case k < 6 && w.plan.crashes:
		w.shut(n)
	case k < 8 && w.plan.clocks:
		w.jump()
	case k < 10:
		w.backup = w.vault.copy()
	default:
		w.say("the store is away")
		w.away.Store(true)
		w.until = w.steps + 5 + w.rng.IntN(40)
	}
}

// mishapTo is something that happens to one of several nodes.
func (w *world) mishapTo(n *node) {
	switch w.rng.IntN(5) {
	case 0, 1:
		w.say("%s pauses", n.name)
		n.paused = w.steps + 20 + w.rng.IntN(400)
	case 2, 3:
		w.say("%s is cut from the store", n.name)
		n.cut.Store(true)
		n.joined = w.steps + 20 + w.rng.IntN(400)
	default:
		w.say("the store loses what was published")
		w.disk.base.LoseMark(w.id)
	}
}

// disturb lets some reads fail for a while.
func (w *world) disturb() {
	if w.rng.Float64() < w.plan.reads {
		w.failing.Store(1 + reads(w.rng.IntN(int(allReads)-1)))
		w.until = max(w.until, w.steps+1+w.rng.IntN(8))
	}
}

// jump sets the clock.
func (w *world) jump() {
	by := time.Duration(w.rng.IntN(1800)) * time.Second
	switch w.rng.IntN(4) {
	case 0:
		by = -time.Duration(w.rng.IntN(3000)) * time.Millisecond
	case 1:
		by *= 20
	case 2: // beyond what the log bears with; soon somebody sets it right
		if right := w.offset.Load(); w.back == 0 {
			by = -time.Duration(6+w.rng.IntN(600)) * time.Second
			w.right, w.back = right, w.steps+10+w.rng.IntN(100)
		}
	}
	w.say("the clock jumps by %s", by)
	w.offset.Add(int64(by))
}

// kill ends a node at once. What it had under way happens, or not, or happens
// later, when nobody expects it any more.
func (w *world) kill(n *node) {
	w.say("%s is killed", n.name)
	n.dead.Store(true)
	n.serving, n.paused = false, 0
	w.homes.Delete(n.name)
	for _, e := range w.bus.list() {
		if e.node != n {
			continue
		}
		late := e.what == "write" || e.what == "sync" || e.what == "erase" || e.what == "destroy keys" || e.what == "checkpoint" || e.what == "publish"
		g := permit{verdict: lose * verdict(w.rng.IntN(2)), coin: w.rng.IntN(2) == 0}
		if late && w.rng.IntN(3) == 0 {
			continue
		}
		w.say("%s%s", e, g.verdict)
		w.bus.let(e, g)
	}
	synctest.Wait()
	for _, o := range w.clients {
		if o != nil && o.node == n {
			o.lost = true
			o.cancel()
		}
	}
	if !n.closing {
		n.closing = true
		go n.close()
	}
}

// shut stops a node as an operator does.
func (w *world) shut(n *node) {
	w.say("%s stops", n.name)
	n.serving, n.closing = false, true
	go n.close()
}

// look holds the nodes against the journal at a quiet point.
func (w *world) look() {
	if w.older { // there is nothing to hold them against
		return
	}
	size := w.journal.size()
	for _, n := range w.nodes {
		if !n.serving {
			continue
		}
		m := n.log.Mark()
		switch {
		case m.Size < n.mark:
			w.fail(fmt.Errorf("%s: the mark went back from %d to %d", n.name, n.mark, m.Size))
		case m.Size > size:
			w.fail(fmt.Errorf("%s: the mark is at %d, but only %d records are durable", n.name, m.Size, size))
		case m.Size != n.mark && w.steps%8 == 0 && m.Root != w.journal.root(m.Size):
			w.fail(fmt.Errorf("%s: the root at %d is not that of the records", n.name, m.Size))
		case n.views.position() > size:
			w.fail(fmt.Errorf("%s: the views have read to %d, but only %d records are durable", n.name, n.views.position(), size))
		}
		if cp := n.publisher.Latest(); w.plan.several() && w.steps%8 == 0 && cp.Root != w.journal.root(cp.Size) && cp.Size > 0 {
			w.fail(fmt.Errorf("%s: the checkpoint at %d is not one of the records", n.name, cp.Size))
		}
		n.mark = m.Size
	}
	if w.steps%64 == 0 {
		for _, n := range w.serving() {
			w.compare(n)
		}
	}
}

// compare holds the views of a node against the model, if they are up to date.
func (w *world) compare(n *node) {
	n.views.mu.Lock()
	defer n.views.mu.Unlock()
	if n.views.at != w.journal.size() {
		return
	}
	if diff := w.model.differs(n.views); diff != "" {
		w.fail(fmt.Errorf("%s: the views at %d are not what the records say: %s", n.name, n.views.at, diff))
	}
}

// isErased reports whether a status is that of an erased user.
func isErased[T ~string](s T) bool { return s == "erased" }
