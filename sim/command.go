package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// command is one command of a client, with all that became of it.
type command struct {
	n     int // for the trace
	name  string
	id    event.ID
	env   decide.Envelope
	about []event.ID // the people whose data it is about
	run   func(context.Context, *node, decide.Envelope) (decide.Result, error)
	// verdict is what the command is answered on the facts up to a position,
	// read anew: nil if it is accepted.
	verdict func(event.Actor, event.Position) error
	// reasons are all for which it may be refused then; nil: verdict's.
	reasons  func(event.Actor, event.Position) []error
	entities []event.ID      // that it is about
	heard    func(error)     // called with each answer; may be nil
	twin     func() *command // another command that vies with it; nil: the same under another id
	since    event.Position  // whoever gives it has seen the log reach this

	running   int
	uncertain bool           // an attempt may have been recorded
	done      *decide.Result // what the first success said
	refused   error          // the last refusal, if nothing else came later
	overlap   bool           // attempts ran at once: their refusals say little
}

func (c *command) String() string { return fmt.Sprintf("#%d %s", c.n, c.name) }

func (c *command) key() commandKey { return commandKey{c.env.Actor, c.id} }

// attempt is one run of a command by a client.
func (w *world) attempt(client int, n *node, c *command) {
	var res decide.Result
	var err error
	c.overlap = c.overlap || c.running > 0
	c.running++
	before, acked := c.done, w.acked
	w.start(&op{
		client: client, node: n, name: c.String() + ", by " + actor(c.env.Actor),
		work: func(ctx context.Context) {
			if err = n.enter(ctx, acked); err == nil {
				res, err = c.run(ctx, n, c.env)
			}
		},
		end: func(o *op) { w.answered(o, c, before, res, err) },
	})
}

// answered holds an answer against the journal.
func (w *world) answered(o *op, c *command, before *decide.Result, res decide.Result, err error) {
	c.running--
	if c.heard != nil && !o.lost {
		c.heard(err)
	}
	if c.running == 0 {
		defer func() { c.overlap = false }()
	}
	switch {
	case o.lost || fault.Is(err, fault.Unknown):
		c.uncertain = true
		w.say("c%d #%d: nobody knows", o.client, c.n)
	case err == nil:
		w.say("c%d #%d: done at %d, %d events, again %v", o.client, c.n, res.Last, res.Events, res.Replayed)
		w.succeeded(o, c, before, res)
	default:
		w.say("c%d #%d: %s: %s", o.client, c.n, fault.KindOf(err), fault.Public(err))
		w.refused(o, c, err)
	}
}

// succeeded: what was acknowledged stands in the log, once, where it was said
// to stand.
func (w *world) succeeded(o *op, c *command, before *decide.Result, res decide.Result) {
	out, ok := w.journal.outcome(c.key())
	switch {
	case res.Events == 0 && ok && !c.overlap:
		w.fail(fmt.Errorf("%s had nothing to do, but stands in the log at %d", c, out.First))
	case res.Events == 0:
	case !ok:
		w.fail(fmt.Errorf("%s was acknowledged at %d, but is not in the log", c, res.First))
	case out.First != res.First || out.Last != res.Last || res.Events != int(out.Last-out.First)+1:
		w.fail(fmt.Errorf("%s was acknowledged at %d to %d, but stands at %d to %d", c, res.First, res.Last, out.First, out.Last))
	case out.Digest != w.digest(c):
		w.fail(fmt.Errorf("%s was acknowledged, but another request stands in the log under its id", c))
	case before != nil && before.Events > 0 && !res.Replayed:
		w.fail(fmt.Errorf("%s was done before, and the answer does not say so", c))
	case !w.plan.several() && !o.node.dead.Load() && o.node.log.Mark().Size < res.Last:
		w.fail(fmt.Errorf("%s was acknowledged at %d, but its node reads to %d", c, res.Last, o.node.log.Mark().Size))
	}
	w.acked = max(w.acked, res.Last)
	if c.done == nil || c.done.Events == 0 {
		c.done = &res
	}
	c.uncertain, c.refused = false, nil
}

// refused: what was refused does not stand in the log, and there was a reason.
func (w *world) refused(o *op, c *command, err error) {
	out, ok := w.journal.outcome(c.key())
	switch kind := fault.KindOf(err); {
	case w.older: // by what the log was once
		c.refused = err
		return
	case errors.Is(err, eventlog.ErrCommandReused):
		if !ok || out.Digest == w.digest(c) {
			w.fail(fmt.Errorf("%s: its id is not used for anything else", c))
		}
		c.refused, c.uncertain = err, false
		return
	case kind == fault.Corrupt, kind == fault.Internal && !errors.Is(err, context.DeadlineExceeded):
		w.fail(fmt.Errorf("%s: %w", c, err))
	case kind == fault.Unavailable, kind == fault.Exhausted, kind == fault.Internal:
		if ok && out.Digest == w.digest(c) && c.done == nil && !c.uncertain && !c.overlap {
			w.fail(fmt.Errorf("%s was said not to have happened (%v), but stands at %d", c, err, out.First))
		}
		if !c.uncertain {
			c.refused = err
		}
		return
	}
	switch {
	case ok && out.Digest == w.digest(c):
		w.fail(fmt.Errorf("%s was refused (%w), but stands in the log at %d", c, err, out.First))
	case !w.plausible(o, c, err):
		w.fail(fmt.Errorf("%s was refused, but nothing between %d and %d is a reason for it: %w", c, o.from, w.journal.size(), err))
	}
	c.refused, c.uncertain = err, false
}

// plausible reports whether a refusal was right on the facts up to some
// position that the node could read to: then it is one that the command would
// have got if nothing else had happened at the time.
func (w *world) plausible(o *op, c *command, err error) bool {
	a, b := o.from, w.journal.size()
	if a < c.since { // the node is behind what the client has seen
		return true
	}
	for p := a; p <= b; p++ {
		if c.reasons == nil {
			if v := c.verdict(c.env.Actor, p); v != nil && same(err, v) {
				return true
			}
		} else if slices.ContainsFunc(c.reasons(c.env.Actor, p), func(v error) bool { return same(err, v) }) {
			return true
		}
	}
	for _, id := range c.entities {
		if e := w.model.buses[id]; e != nil && e.erased.ever(a, b, func(is bool) bool { return is }) {
			return true
		}
	}
	// What was read of erased people is gone, and with it the reason.
	for _, id := range append(c.about, c.env.Actor.ID, c.env.Context.Subject.ID) {
		if u := w.model.people[id]; u != nil && u.status.ever(a, b, isErased) {
			return true
		}
	}
	return false
}

// same reports whether two refusals are the same, wherever they were.
func same(a, b error) bool {
	return errors.Is(a, b) || fault.KindOf(a) == fault.KindOf(b) && fault.Public(a) == fault.Public(b)
}

// digest is by what the log recognizes the command's request.
func (w *world) digest(c *command) event.Hash {
	d, err := w.journal.sealer.RequestDigest(context.Background(), c.env.Request)
	if err != nil {
		panic(err)
	}
	return d
}
