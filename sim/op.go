package sim

import (
	"context"
	"testing/synctest"
	"time"

	"muniment.dev/event"
)

// op is one thing that a client does at a node.
type op struct {
	client int
	node   *node
	name   string
	work   func(context.Context) // in a goroutine of its own
	end    func(*op)             // afterwards, by the driver; nil if it only reads

	from   event.Position // how far the node could read when it began
	lost   bool           // the node died, or the client gave up: no answer came
	cancel context.CancelFunc
	done   chan struct{}
}

// start begins an op for a client that has none.
func (w *world) start(o *op) {
	w.say("c%d %s at %s", o.client, o.name, o.node.name)
	o.from, o.done = o.node.log.Mark().Size, make(chan struct{})
	if w.plan.several() { // it catches up first
		o.from = max(o.from, w.acked)
	}
	ctx := context.Background()
	if w.rng.IntN(100) < w.plan.hasty {
		patience := time.Duration(1+w.rng.IntN(60)) * time.Millisecond
		if w.plan.several() { // not at the moment at which nodes look around
			patience += 311 * time.Microsecond
		}
		ctx, o.cancel = context.WithTimeout(ctx, patience)
	} else {
		ctx, o.cancel = context.WithCancel(ctx)
	}
	w.clients[o.client] = o
	go func() {
		defer close(o.done)
		o.work(withLane(ctx, clientName(o.client)))
	}()
	if w.plan.several() { // those who begin at once share a look at the store, or not
		synctest.Wait()
	}
}

func clientName(i int) string { return "c" + string(rune('0'+i)) }

// collect hears the answers that have come.
func (w *world) collect() {
	for i, o := range w.clients {
		if o == nil {
			continue
		}
		select {
		case <-o.done:
			o.cancel()
			w.clients[i] = nil
			if o.end != nil {
				o.end(o)
			}
		default:
		}
	}
}

// idle lists the clients that do nothing.
func (w *world) idle() (list []int) {
	for i, o := range w.clients {
		if o == nil {
			list = append(list, i)
		}
	}
	return list
}
