package decide

import (
	"context"

	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// refusedIn is the organization under which a refusal is recorded; zero if it is
// not known. Whoever was refused may read that record, and is not to learn from
// it whose a thing is: so it is one that the request names, in which the actor
// may read objects, or to which the actor's account belongs.
func (r *Runner) refusedIn(ctx context.Context, env Envelope, why error) event.ID {
	o := authz.RefusedIn(why)
	if o.IsZero() || env.Names != nil && env.Names(o) {
		return o
	}
	who, err := r.Authority(ctx, env.Actor, r.Log.Mark().Size)
	if err != nil {
		return event.ID{}
	}
	if who.May(authz.ReadObjects, authz.Of(o)) {
		return o
	}
	own := event.Query{{All: []event.Term{event.StreamTerm(event.Stream{Kind: "user", ID: env.Actor.ID}), event.TagTerm(event.NewTag("org", o.String()))}}}
	for _, err := range r.Log.Read(ctx, own, 0) {
		if err == nil {
			return o
		}
		break
	}
	return event.ID{}
}

// Refused appends that the actor was refused a command, as far as that is
// possible. Run does it by itself; it is for refusals that come before, such as
// that of a wrong password.
func (r *Runner) Refused(ctx context.Context, command string, env Envelope, why error) {
	if !fault.Is(why, fault.Denied) || env.Actor.Kind != "user" || !r.cache.mayRecord(env.Actor, command, r.Log.Now()) {
		return
	}
	e := event.New{Stream: event.Stream{Kind: "access", ID: env.Actor.ID},
		Payload: authz.Refused{Command: command, Right: fault.Public(why), User: env.Actor.ID, Organization: r.refusedIn(ctx, env, why)}}
	env.Command, env.digest = event.NewID(), event.Hash{}
	r.append(ctx, env, []event.New{e}, event.Condition{})
}
