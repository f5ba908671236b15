package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/grant"
	"muniment.dev/member"
	"muniment.dev/org"
	"muniment.dev/project"
	"muniment.dev/session"
)

// hour is the life of a session, in microseconds.
const hour = event.Instant(3600e6)

// actSession is a random command about sessions, roles or organizations.
func (w *world) actSession() *command {
	sessions := slices.SortedFunc(maps.Keys(w.model.sessions), compareIDs)
	codes := slices.SortedFunc(maps.Keys(w.model.codes), compareIDs)
	k := w.rng.IntN(36)
	switch {
	case k < 8 || len(sessions) == 0:
		return w.beginSession(sessions)
	case k < 12:
		return w.endSession(w.model.sessions[pick(w.rng, sessions...)])
	case k < 18 || k < 26 && len(codes) == 0:
		return w.issue(w.model.sessions[pick(w.rng, sessions...)])
	case k < 26:
		return w.redeem(w.model.codes[pick(w.rng, codes...)])
	case k < 30:
		return w.grantRoles()
	case k < 33:
		return w.changeMember()
	}
	return w.changePlace()
}

// beginSession signs in, or renews a session, by a password that may be an old
// one.
func (w *world) beginSession(sessions []event.ID) *command {
	id, u := w.fresh(), w.someone()
	if len(sessions) > 0 && w.rng.IntN(5) == 0 {
		id = pick(w.rng, sessions...)
		u = w.model.sessions[id].User
	}
	o, hash, now := w.orgOf(u), "hash-0", w.instant()
	if p := w.model.people[u]; p != nil && w.rng.IntN(6) > 0 {
		hash = p.hash.now()
	}
	if o.IsZero() {
		o = w.places.orgs[0]
	}
	c := order(w, fmt.Sprintf("sign %s in, session %s", short(u), short(id)), session.Beginning,
		session.Begin{Session: id, User: u, Organization: o, Hash: hash, Digest: sha256.Sum256(id[:]), AMR: []string{"pwd"}, ACR: "1", Now: now})
	c.about = []event.ID{u}
	return c.as(w, someUser(u))
}

// anywhere reports whether something is so behind any record of a range.
func anywhere(a, b event.Position, is func(event.Position) bool) bool {
	for p := a; p <= b; p++ {
		if is(p) {
			return true
		}
	}
	return false
}

func (w *world) endSession(s *sitting) *command {
	cmd := session.End{Session: s.Session, User: s.User, Organization: s.Organization, SignedOut: w.rng.IntN(2) == 0}
	c := order(w, "end session "+short(s.Session), session.Ending, cmd)
	c.about = []event.ID{s.User}
	if cmd.SignedOut {
		c.as(w, someUser(s.User))
	}
	return c
}

// subject is what an authorization of a session rests on.
func (w *world) subject(s *sitting, id event.ID, i int) session.Subject {
	return session.Subject{Authorization: id, Session: s.Session, User: s.User, Organization: s.Organization, Application: w.places.apps[i], Project: w.places.projects[i]}
}

func (w *world) issue(s *sitting) *command {
	id, i, now := w.fresh(), w.rng.IntN(len(w.places.apps)), w.instant()
	c := order(w, fmt.Sprintf("issue code %s in session %s", short(id), short(s.Session)), session.IssuingCode, session.IssueCode{
		Subject: w.subject(s, id, i), CodeHash: sha256.Sum256(id[:]), RedirectURI: "http://127.0.0.1/", Challenge: "c", Nonce: "n",
		Scopes: []string{"openid"}, AuthTime: now, Now: now, Expires: now + hour/60})
	c.about, c.twin = []event.ID{s.User}, func() *command { return w.issue(s) }
	return c.as(w, someUser(s.User))
}

// redeem finds the authorization by its code, as applications do.
func (w *world) redeem(x *code) *command {
	i := slices.Index(w.places.apps, x.Application)
	cmd := session.Redeem{Subject: w.subject(w.model.sessions[x.Session], x.Authorization, i), Access: session.Access{Token: w.fresh(), Scopes: x.Scopes}, Now: w.instant()}
	cmd.Access.Expires = cmd.Now + hour/60
	c := order(w, "redeem code "+short(x.Authorization), session.Redeeming, cmd)
	c.about = []event.ID{x.User}
	c.run = func(ctx context.Context, n *node, env decide.Envelope) (decide.Result, error) {
		id, cmd := x.Authorization, cmd
		found, err := decide.Read(ctx, n.runner, "code", session.ByCode(sha256.Sum256(id[:])), event.ID{}, func(_ event.ID, f event.Fact) event.ID {
			return f.Payload.(session.CodeIssued).Authorization
		})
		if err != nil {
			return decide.Result{}, err
		}
		if found != id { // erased with its person, or not to be seen here yet
			cmd.Authorization = n.world.places.visitor
		}
		return decide.Run(ctx, n.runner, session.Redeeming, env, cmd)
	}
	return c.as(w, event.System)
}

func (w *world) grantRoles() *command {
	u, proj, roles := w.someone(), pick(w.rng, w.places.projects...), []string{pick(w.rng, roleKeys...)}
	var c *command
	switch w.rng.IntN(6) {
	case 0:
		c = order(w, "deactivate the roles of "+short(u), grant.Deactivating, grant.Deactivate{User: u, Project: proj})
	case 1:
		c = order(w, "reactivate the roles of "+short(u), grant.Reactivating, grant.Reactivate{User: u, Project: proj})
	case 2, 3:
		c = order(w, fmt.Sprintf("grant %s to %s", roles[0], short(u)), grant.Granting, grant.Grant{Grant: w.fresh(), User: u, Project: proj, Roles: roles})
	default:
		c = order(w, fmt.Sprintf("withdraw %s from %s", roles[0], short(u)), grant.Withdrawing, grant.Withdraw{User: u, Project: proj, Roles: roles})
	}
	c.about = []event.ID{u}
	return c
}

func (w *world) changeMember() *command {
	u, o := pick(w.rng, w.places.admins[0], w.places.admins[1], w.someone(), w.places.root), pick(w.rng, w.places.orgs[0], w.places.orgs[1], event.ID{})
	role := pick(w.rng, authz.Owner, authz.Admin, authz.Viewer)
	if w.rng.IntN(2) == 0 {
		return order(w, fmt.Sprintf("make %s %s", short(u), role), member.Adding, member.Add{Member: w.fresh(), User: u, Organization: o, Role: role})
	}
	return order(w, fmt.Sprintf("remove %s as %s", short(u), role), member.Removing, member.Remove{User: u, Organization: o, Role: role})
}

// changePlace switches an organization, or adds or removes a role.
func (w *world) changePlace() *command {
	o, proj, key := pick(w.rng, w.places.orgs...), pick(w.rng, w.places.projects...), pick(w.rng, roleKeys...)
	switch w.rng.IntN(8) {
	case 0:
		return order(w, "deactivate organization "+short(o), org.Deactivating, org.Deactivate{Organization: o})
	case 1, 2, 3:
		return order(w, "reactivate organization "+short(o), org.Reactivating, org.Reactivate{Organization: o})
	case 4, 5:
		return order(w, "remove role "+key, project.RemovingRole, project.RemoveRole{Project: proj, Key: key})
	}
	return order(w, "add role "+key, project.AddingRole, project.AddRole{Project: proj, Key: key, Name: key})
}
