package sim

import (
	"context"
	"maps"
	"slices"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/instance"
	"muniment.dev/ledger"
	"muniment.dev/member"
	"muniment.dev/org"
	"muniment.dev/policy"
	"muniment.dev/project"
	"muniment.dev/user"
)

// places are the things that are there from the beginning.
type places struct {
	orgs     []event.ID
	projects []event.ID // one of each organization
	apps     []event.ID // one of each project
	visitor  event.ID
	root     event.ID   // owns the instance; nobody locks them
	admins   []event.ID // of one organization each
}

// roleKeys are the roles that projects begin with.
var roleKeys = []string{"reader", "writer"}

// addresses are few, so that people meet.
var addresses = []string{"ada@example.org", "Ada@Example.org", "ben@example.org", "cyd@example.org", "CYD@example.org", "dot@example.org", "eve@example.org"}

// bootstrap makes the instance and what stands in it, while nothing fails.
func (w *world) bootstrap() error {
	w.calm = true
	secret, _, err := ledger.GenerateKey("sim", w.id)
	if err != nil {
		return err
	}
	if w.signer, err = ledger.NewSigner(secret); err != nil {
		return err
	}
	w.newNode()
	w.until = 0
	if err := w.pump(func() bool { return len(w.serving()) == w.plan.nodes }); err != nil {
		return err
	}
	n := w.nodes[0]
	done := make(chan error, 1)
	ctx := withLane(context.Background(), "bootstrap")
	ids := make([]event.ID, 24) // drawn by the driver, as all chance is
	for i := range ids {
		ids[i] = w.fresh()
	}
	go func() { done <- n.furnish(ctx, secret, ids) }()
	finished := false
	err = w.pump(func() bool {
		select {
		case failed := <-done:
			finished = true
			if failed != nil {
				w.fail(failed)
			}
		default:
		}
		return finished
	})
	w.calm = false
	return err
}

// furnish gives the commands of the beginning.
func (n *node) furnish(ctx context.Context, secret string, ids []event.ID) error {
	next := func() event.ID { id := ids[0]; ids = ids[1:]; return id }
	env := decide.Envelope{Actor: event.System}
	w := n.world
	p := places{visitor: next(), root: next()}
	create := instance.Create{Instance: w.instance.ID, Name: "Simulation", CheckpointKey: w.signer.VerifierKey(), CheckpointSigner: secret, CLI: next()}
	if _, err := decide.Run(ctx, n.runner, instance.Creating, env, create); err != nil {
		return err
	}
	for range 2 {
		o, proj, a, admin := next(), next(), next(), next()
		p.orgs, p.projects, p.apps, p.admins = append(p.orgs, o), append(p.projects, proj), append(p.apps, a), append(p.admins, admin)
		if _, err := decide.Run(ctx, n.runner, org.Adding, env, org.Add{Organization: o, Name: "Organization"}); err != nil {
			return err
		}
		if _, err := decide.Run(ctx, n.runner, project.Adding, env, project.Add{Project: proj, Organization: o, Name: "Project"}); err != nil {
			return err
		}
		for _, key := range roleKeys {
			if _, err := decide.Run(ctx, n.runner, project.AddingRole, env, project.AddRole{Project: proj, Key: key, Name: key}); err != nil {
				return err
			}
		}
		if _, err := decide.Run(ctx, n.runner, app.Adding, env, app.Add{Application: a, Project: proj, Type: app.Native, Name: "App",
			Settings: app.Settings{Redirects: []string{"http://127.0.0.1/"}, Flow: app.Defaults(app.Native)}}); err != nil {
			return err
		}
	}
	short := policy.Change[policy.Session]{Policy: policy.Session{Lifetime: int64(hour.Time().Unix())}}
	if _, err := decide.Run(ctx, n.runner, policy.ChangingSession, env, short); err != nil {
		return err
	}
	if _, err := decide.Run(ctx, n.runner, policy.ChangingLockout, env, policy.Change[policy.Lockout]{Policy: lockout}); err != nil {
		return err
	}
	for i, id := range append([]event.ID{p.root}, p.admins...) {
		o, role, in := p.orgs[max(0, i-1)], authz.Admin, p.orgs[max(0, i-1)]
		if i == 0 {
			role, in = authz.Owner, event.ID{}
		}
		reg := user.Register{User: id, Organization: o, Email: string(rune('x'+i)) + "@example.org", Names: user.Names{Given: "G"}, Chosen: chosen(0)}
		if _, err := decide.Run(ctx, n.runner, user.Registering, env, reg); err != nil {
			return err
		}
		if _, err := decide.Run(ctx, n.runner, member.Adding, env, member.Add{Member: next(), User: id, Organization: in, Role: role}); err != nil {
			return err
		}
	}
	w.places, w.model.publisher = p, p.root
	if w.plan.customers {
		return n.define(ctx, p.root, next())
	}
	return nil
}

// pump lets everything that waits happen until something is so.
func (w *world) pump(until func() bool) error {
	for {
		w.settle()
		if w.failed() {
			return w.err
		}
		if until() {
			return nil
		}
		if waiting := w.waiting(); len(waiting) > 0 {
			w.grant(waiting)
		} else {
			w.pass()
		}
	}
}

// someone is a user; mostly one that is there.
func (w *world) someone() event.ID {
	if ids := w.known(); len(ids) > 0 && w.rng.IntN(20) > 0 {
		return ids[w.rng.IntN(len(ids))]
	}
	return pick(w.rng, w.places.admins[0], w.places.admins[1], w.fresh())
}

// known lists the users that are there, but for those of the beginning, by id;
// the erased ones among them less often.
func (w *world) known() (ids []event.ID) {
	for _, id := range slices.SortedFunc(maps.Keys(w.model.people), compareIDs) {
		fixed := id == w.places.root || slices.Contains(w.places.admins, id)
		if erased := isErased(w.model.people[id].status.now()); !fixed && (!erased || w.rng.IntN(4) == 0) {
			ids = append(ids, id)
		}
	}
	return ids
}

// erased lists the users that were, by id.
func (w *world) erased() (ids []event.ID) {
	for _, id := range slices.SortedFunc(maps.Keys(w.model.people), compareIDs) {
		if isErased(w.model.people[id].status.now()) {
			ids = append(ids, id)
		}
	}
	return ids
}

func compareIDs(a, b event.ID) int { return slices.Compare(a[:], b[:]) }
