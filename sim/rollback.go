package sim

import (
	"errors"
	"fmt"

	"muniment.dev/ledger"
)

// rollBack puts the disk back to an older state at the end of a run: under the
// server that runs, and then before another one starts. The first appends
// nothing to it any more, and the other does not start: what is missing was
// acknowledged, as the register knows.
func (w *world) rollBack() {
	n, size := w.nodes[0], w.journal.size()
	cut := len(w.disk.landed) - 1 - w.rng.IntN(min(5, len(w.disk.landed)))
	if err := w.disk.rollBack(cut); err != nil {
		w.fail(err)
		return
	}
	w.older = true
	h, _ := w.disk.base.Head(bg, w.id)
	w.say("the disk is put back to %d of %d records", h.Size, size)
	w.appendTo(n)
	if w.failed() {
		return
	}
	st, err := w.reg.Load(bg)
	if err != nil || st.Size <= h.Size {
		w.fail(fmt.Errorf("the register knows %d records of %d (%v)", st.Size, size, err))
		return
	}
	if w.bugs.RegisterBeside {
		err := w.reg.CompareAndSwap(bg, st, ledger.State{Log: w.id, Term: st.Term, Tree: ledger.Tree{Size: h.Size, Root: h.Root()}})
		if err != nil {
			w.fail(err)
		}
	}
	w.kill(n)
	for range maxSteps {
		w.settle()
		if w.refusal != nil || w.failed() {
			break
		}
		if waiting := w.bus.list(); len(waiting) > 0 {
			w.grant(waiting)
		} else {
			w.pass()
		}
	}
	if !w.failed() && !errors.Is(w.refusal, ledger.ErrRolledBack) && !errors.Is(w.refusal, ledger.ErrNoLog) {
		w.fail(fmt.Errorf("on a log that was put back a server starts, or does not say why not: %v", w.refusal))
	}
}

// appendTo appends to a log that was put back: it must not take anything.
func (w *world) appendTo(n *node) {
	for range 3 {
		c := w.act()
		w.attempt(0, n, c)
		if w.pump(func() bool { return len(w.idle()) == len(w.clients) }) != nil {
			return
		}
		if c.done != nil && c.done.Events > 0 && !c.done.Replayed {
			w.fail(fmt.Errorf("%s was recorded at %d on a log that was put back", c, c.done.First))
		}
		c.uncertain = false // nobody will ever know
	}
}
