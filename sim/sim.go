package sim

import (
	"context"
	"fmt"
	"slices"
	"testing/synctest"
	"time"
)

// Report is what a run was and what it found.
type Report struct {
	Seed   uint64
	Err    error          // the first finding; nil if there is none
	Trace  []string       // one line for each thing that happened
	Hash   [32]byte       // of the trace
	Events int            // records in the log
	Counts map[string]int // how often effects happened, and how
}

// Run makes one run. It must be called in a bubble of testing/synctest, and
// leaves no goroutine behind.
func Run(seed uint64, bugs Bugs) *Report {
	w := newWorld(seed, bugs)
	w.say("seed %d: %+v", seed, w.plan)
	if err := w.bootstrap(); err != nil {
		w.fail(err)
	}
	for !w.failed() && len(w.commands) < w.plan.commands {
		w.step()
	}
	if !w.failed() {
		w.heal()
	}
	if !w.failed() {
		w.check()
	}
	if !w.failed() && w.plan.rollBack {
		w.rollBack()
	}
	w.end()
	if !w.failed() && !w.older {
		w.verify()
	}
	for _, f := range w.journal.said {
		w.counts["record "+f.Type]++
	}
	return &Report{Seed: seed, Err: w.err, Trace: w.trace, Hash: w.hash(), Events: int(w.journal.size()), Counts: w.counts}
}

// heal ends all faults, starts a node on what there is, learns the outcome of
// every command, and lets erasures, views and checkpoints finish.
func (w *world) heal() {
	w.say("all faults end")
	w.calm, w.until, w.plan.hasty = true, 0, 0
	w.wake()
	w.settle()
	if h, err := w.disk.base.Head(bg, w.id); err == nil && w.now().Before(h.Time) {
		w.offset.Add(int64(h.Time.Sub(w.now())))
	}
	for _, n := range slices.Clone(w.nodes) {
		if !n.dead.Load() {
			w.kill(n)
		}
	}
	rest := func() bool {
		return len(w.idle()) == len(w.clients) && len(w.nodes) == w.plan.nodes && len(w.serving()) == w.plan.nodes && slices.ContainsFunc(w.nodes, func(n *node) bool { return n.log.Leads() })
	}
	if w.pump(rest) != nil {
		return
	}
	for i, c := range w.commands {
		for tries := 0; c.uncertain; tries++ {
			n := w.nodes[i%len(w.nodes)]
			if tries > 5 {
				w.fail(fmt.Errorf("%s: its outcome cannot be learnt", c))
			}
			w.attempt(0, n, c)
			if w.pump(rest) != nil {
				return
			}
		}
	}
	for x, tries := w.toEnd(), 0; x != nil; x, tries = w.toEnd(), tries+1 {
		if tries > len(w.reused) {
			w.fail(fmt.Errorf("a refresh token of authorization %s was used twice, and it does not end", short(x.Authorization)))
		}
		w.attempt(0, w.nodes[0], w.endAuthorization(x, reuse))
		if w.pump(rest) != nil {
			return
		}
	}
	quiet := func() bool {
		for _, u := range w.model.people {
			if isErased(u.status.now()) && u.done == 0 {
				return false
			}
		}
		return w.delivered() && !slices.ContainsFunc(w.nodes, func(n *node) bool { return !n.rests() })
	}
	started := time.Now()
	w.pump(func() bool {
		if time.Since(started) > 10*time.Minute {
			for _, n := range w.nodes {
				w.fail(fmt.Errorf("erasures, views or checkpoints do not finish: the log has %d records, the views of %s %d, the checkpoint %d, erasures pending %v",
					w.journal.size(), n.name, n.views.position(), n.publisher.Latest().Size, n.erasure.Pending()))
			}
		}
		return w.failed() || quiet()
	})
}

// rests reports whether a node has nothing left to do by itself.
func (n *node) rests() bool {
	size := n.world.journal.size()
	if n.entities != nil && (n.epoch.Load() != uint64(n.world.model.epoch) || n.entities.Status().Applied != size) {
		return false
	}
	return n.publisher.Latest().Size == size && n.views.position() == size && len(n.erasure.Pending()) == 0
}

// wake ends what keeps single nodes from what they do.
func (w *world) wake() {
	for _, n := range w.nodes {
		n.paused, n.joined = 0, 0
		n.cut.Store(false)
	}
}

// end stops everything.
func (w *world) end() {
	healthy := !w.failed()
	w.calm = true
	w.away.Store(false)
	w.failing.Store(0)
	w.wake()
	for _, n := range w.nodes {
		switch {
		case healthy && n.serving:
			w.shut(n)
		case !n.dead.Load():
			w.kill(n)
		}
	}
	for range maxSteps {
		synctest.Wait()
		w.collect()
		w.hear()
		waiting := w.bus.list()
		if len(w.nodes) == 0 && len(w.idle()) == len(w.clients) && len(waiting) == 0 {
			return
		}
		if len(waiting) > 0 {
			w.grant(waiting)
		} else {
			w.pass()
		}
	}
	panic(fmt.Sprintf("sim: seed %d: something does not stop: %v", w.seed, w.bus.list()))
}

var bg = context.Background()
