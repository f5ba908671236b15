package sim

import (
	"context"
	"fmt"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/seal"
)

// order makes a command of a decider. The request is what was asked, in words.
func order[S, C any](w *world, name string, d decide.Decider[S, C], cmd C) *command {
	c := &command{n: len(w.commands) + 1, name: name, id: w.fresh(), since: w.journal.size()}
	c.env = decide.Envelope{Actor: w.actor(), Command: c.id, Request: fmt.Appendf(nil, "%s %v", name, cmd),
		Context: seal.Context{Public: map[string]any{"source": "sim"}}}
	w.surround(c)
	c.run = func(ctx context.Context, n *node, env decide.Envelope) (decide.Result, error) {
		return decide.Run(ctx, n.runner, d, env, cmd)
	}
	c.verdict = func(a event.Actor, p event.Position) error { return verdictOf(w.journal, d, cmd, a, p) }
	w.commands = append(w.commands, c)
	return c
}

// verdictOf decides a command on the facts up to a position.
func verdictOf[S, C any](j *journal, d decide.Decider[S, C], cmd C, a event.Actor, p event.Position) error {
	var state S
	if d.Start != nil {
		state = d.Start(cmd)
	}
	for _, f := range j.facts(d.Query(cmd), p) {
		state = d.Evolve(state, f)
	}
	who := authz.For(a)
	for _, f := range j.selected(authz.Query(a), p) {
		who = authz.Evolve(who, f)
	}
	if err := d.Allow(who, state, cmd); err != nil {
		return err
	}
	_, err := d.Decide(state, cmd)
	return err
}

// surround seals where a command came from under whom it came from.
func (w *world) surround(c *command) {
	subject := w.places.visitor
	if c.env.Actor.Kind == "user" {
		subject = c.env.Actor.ID
	}
	if w.rng.IntN(2) == 0 {
		c.env.Context.Subject = event.SubjectID{ID: subject}
		c.env.Context.Sealed = map[string]string{"address": "192.0.2.7"}
	}
}

// as makes a command one of a certain actor.
func (c *command) as(w *world, a event.Actor) *command {
	c.env.Actor = a
	c.env.Context.Subject, c.env.Context.Sealed = event.SubjectID{}, nil
	w.surround(c)
	return c
}

func someUser(id event.ID) event.Actor { return event.Actor{Kind: "user", ID: id} }

// actor is whoever gives a command: mostly those who may.
func (w *world) actor() event.Actor {
	switch w.rng.IntN(10) {
	case 0, 1:
		return event.System
	case 2, 3, 4:
		return someUser(w.places.root)
	case 5, 6, 7, 8:
		return someUser(pick(w.rng, w.places.admins...))
	}
	return someUser(w.someone())
}

// orgOf is the organization of a user, zero if there is no such user yet.
func (w *world) orgOf(id event.ID) event.ID {
	if u := w.model.people[id]; u != nil {
		return u.org
	}
	return event.ID{}
}

// begin starts something at idle clients.
func (w *world) begin(idle []int, serving []*node) {
	n := serving[len(serving)-1]
	if w.rng.IntN(4) == 0 {
		n = serving[w.rng.IntN(len(serving))]
	}
	client := idle[w.rng.IntN(len(idle))]
	k := w.rng.IntN(100)
	if again := w.repeatable(); len(again) > 0 && k < 30 {
		w.attempt(client, n, again[w.rng.IntN(len(again))])
		return
	}
	switch x := w.toEnd(); {
	case x != nil && k < 40:
		w.attempt(client, n, w.endAuthorization(x, reuse))
	case len(w.commands) >= w.plan.commands || k < 45:
		w.probe(client, n)
	case k < 55:
		w.storm(idle, serving)
	case k < 60 && len(w.commands) > 0:
		w.attempt(client, n, w.other(w.commands[w.rng.IntN(len(w.commands))]))
	case k < 65 && len(w.commands) > 0:
		w.attempt(client, n, w.commands[w.rng.IntN(len(w.commands))])
	default:
		w.attempt(client, n, w.act())
	}
}

// repeatable lists the commands of which nobody knows what became of them.
func (w *world) repeatable() (list []*command) {
	for _, c := range w.commands {
		if c.uncertain && c.running == 0 {
			list = append(list, c)
		}
	}
	return list
}

// other is another request under the id of a command.
func (w *world) other(c *command) *command {
	o := *w.act()
	o.n, o.name, o.id = len(w.commands), o.name+fmt.Sprintf(", under the id of #%d", c.n), c.id
	o.env.Command, o.env.Actor = c.id, c.env.Actor
	o.env.Request = fmt.Appendf(slices.Clone(o.env.Request), " instead, as #%d", o.n)
	w.commands[len(w.commands)-1] = &o
	return &o
}

// storm gives one command by many at once, each under an id of its own, to
// several nodes.
func (w *world) storm(idle []int, serving []*node) {
	first := w.act()
	for i, client := range idle {
		c := first
		switch {
		case i == 0:
		case first.twin != nil:
			c = first.twin()
		default:
			copied := *first
			c = &copied
			c.n, c.id, c.running = len(w.commands)+1, w.fresh(), 0
			c.env.Command = c.id
			w.commands = append(w.commands, c)
		}
		w.attempt(client, serving[w.rng.IntN(len(serving))], c)
	}
}
