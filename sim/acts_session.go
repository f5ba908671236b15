package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/grant"
	"muniment.dev/member"
	"muniment.dev/org"
	"muniment.dev/project"
	"muniment.dev/session"
	"muniment.dev/user"
)

// hour is the life of a session, in microseconds.
const hour = event.Instant(3600e6)

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
	o, hash := w.orgOf(u), "hash-0"
	if p := w.model.people[u]; p != nil && w.rng.IntN(6) > 0 {
		hash = p.hash.now()
	}
	if o.IsZero() {
		o = w.places.orgs[0]
	}
	now := w.instant()
	c := order(w, fmt.Sprintf("sign %s in, session %s", short(u), short(id)), need{}, session.Beginning,
		session.Begin{Session: id, User: u, Organization: o, Hash: hash, Digest: sha256.Sum256(id[:]), AMR: []string{"pwd"}, ACR: "1", Now: now, Expires: now + hour})
	c.as(w, someUser(u))
	c.about = []event.ID{u}
	c.plausible = because(map[error]func(a, b event.Position) bool{
		session.ErrPassword: func(a, b event.Position) bool {
			p := w.model.people[u]
			return p == nil || hash == "" || p.hash.ever(a, b, func(h string) bool { return h != hash }) || p.status.ever(a, b, isErased)
		},
		session.ErrMayNotSignIn: func(a, b event.Position) bool {
			return anywhere(a, b, func(p event.Position) bool { return !w.model.standing(u, p) })
		},
		session.ErrNoSession: func(a, b event.Position) bool {
			return anywhere(a, b, func(p event.Position) bool { return !w.model.live(id, p, now) })
		},
	})
	return c
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
	c := order(w, "end session "+short(s.Session), need{right: authz.ManageUsers, org: s.Organization, self: s.User}, session.Ending, cmd)
	if cmd.SignedOut {
		c.as(w, someUser(s.User))
	}
	c.plausible = because(map[error]func(a, b event.Position) bool{
		session.ErrEnded:   is(func() *timeline[bool] { return &s.over }, true),
		session.ErrNotSelf: func(a, _ event.Position) bool { return !s.begunAt(a) },
	})
	return c
}

// subject is what an authorization of a session rests on.
func (w *world) subject(s *sitting, id event.ID, i int) session.Subject {
	return session.Subject{Authorization: id, Session: s.Session, User: s.User, Organization: s.Organization, Application: w.places.apps[i], Project: w.places.projects[i]}
}

func (w *world) issue(s *sitting) *command {
	id, i, now := w.fresh(), w.rng.IntN(len(w.places.apps)), w.instant()
	c := order(w, fmt.Sprintf("issue code %s in session %s", short(id), short(s.Session)), need{self: s.User}, session.IssuingCode, session.IssueCode{
		Subject: w.subject(s, id, i), CodeHash: sha256.Sum256(id[:]), RedirectURI: "http://127.0.0.1/", Challenge: "c", Nonce: "n",
		Scopes: []string{"openid"}, AuthTime: now, Now: now, Expires: now + hour/60})
	c.as(w, someUser(s.User))
	c.about, c.twin = []event.ID{s.User}, func() *command { return w.issue(s) }
	c.plausible = because(map[error]func(a, b event.Position) bool{
		session.ErrNoSession: func(a, b event.Position) bool {
			return anywhere(a, b, func(p event.Position) bool { return !w.model.live(s.Session, p, now) })
		},
		app.ErrNotFound: is(func() *timeline[bool] { return w.model.apps[w.places.apps[i]] }, false),
	})
	return c
}

// redeem finds the authorization by its code, as applications do.
func (w *world) redeem(x *code) *command {
	i := slices.Index(w.places.apps, x.Application)
	cmd := session.Redeem{Subject: w.subject(w.model.sessions[x.Session], x.Authorization, i), Token: w.fresh(), Now: w.instant()}
	cmd.Expires = cmd.Now + hour/60
	c := order(w, "redeem code "+short(x.Authorization), need{}, session.Redeeming, cmd)
	c.env.Actor = event.System
	c.env.Context.Subject.ID = w.places.visitor
	c.run = func(ctx context.Context, n *node, env decide.Envelope) (decide.Result, error) {
		id := x.Authorization
		found, err := decide.Read(ctx, n.runner, "code", session.ByCode(sha256.Sum256(id[:])), event.ID{}, func(_ event.ID, f event.Fact) event.ID {
			return f.Payload.(session.CodeIssued).Authorization
		})
		switch {
		case err != nil:
			return decide.Result{}, err
		case found != id: // erased with its person, or not to be seen here yet
			return decide.Run(ctx, n.runner, session.Redeeming, env, session.Redeem{Subject: session.Subject{Authorization: n.world.places.visitor}, Now: cmd.Now})
		}
		return decide.Run(ctx, n.runner, session.Redeeming, env, cmd)
	}
	ended := func(a, b event.Position) bool {
		return anywhere(a, b, func(p event.Position) bool {
			return x.ended.at(p) || cmd.Now >= x.Expires || !w.model.live(x.Session, p, cmd.Now) || !w.model.apps[x.Application].at(p)
		})
	}
	c.plausible = because(map[error]func(a, b event.Position) bool{
		session.ErrCodeSpent:          is(func() *timeline[bool] { return &x.spent }, true),
		session.ErrAuthorizationEnded: ended,
		session.ErrNoCode: func(a, b event.Position) bool {
			return a < x.issued || w.model.people[x.User].status.ever(a, b, isErased)
		},
	})
	return c
}

func (w *world) grantRoles() *command {
	u, i := w.someone(), w.rng.IntN(len(w.places.projects))
	proj, roles := w.places.projects[i], []string{pick(w.rng, roleKeys...)}
	held := func() *timeline[[]string] { return w.model.held[[2]event.ID{u, proj}] }
	has := func(l []string) bool { return slices.Contains(l, roles[0]) }
	n := need{right: authz.ManageGrants, org: w.places.orgs[i]}
	var c *command
	if w.rng.IntN(2) == 0 {
		c = order(w, fmt.Sprintf("grant %s to %s", roles[0], short(u)), n, grant.Granting, grant.Grant{Grant: w.fresh(), User: u, Project: proj, Roles: roles})
	} else {
		c = order(w, fmt.Sprintf("withdraw %s from %s", roles[0], short(u)), n, grant.Withdrawing, grant.Withdraw{User: u, Project: proj, Roles: roles})
	}
	c.about = []event.ID{u}
	reasons := w.absent(u, map[error]func(a, b event.Position) bool{
		grant.ErrHas:     func(a, b event.Position) bool { return held().ever(a, b, has) },
		grant.ErrHasNone: func(a, b event.Position) bool { return held().ever(a, b, func(l []string) bool { return !has(l) }) },
	})
	c.plausible = func(err error, a, b event.Position) bool {
		none := func(l []string) bool { return !has(l) } // the project has no such role
		return reasons(err, a, b) || fault.Is(err, fault.NotFound) && w.model.offered[proj].ever(a, b, none)
	}
	return c
}

func (w *world) changeMember() *command {
	u, o := pick(w.rng, w.places.admins[0], w.places.admins[1], w.someone(), w.places.root), pick(w.rng, w.places.orgs[0], w.places.orgs[1], event.ID{})
	role := pick(w.rng, authz.Owner, authz.Admin, authz.Viewer)
	n := need{right: authz.ManageMembers, org: o}
	held := func(a, b event.Position, want bool) bool {
		return w.model.members[u].ever(a, b, func(l []membership) bool {
			return slices.ContainsFunc(l, func(x membership) bool { return x.org == o && x.role == role }) == want
		})
	}
	var c *command
	if w.rng.IntN(2) == 0 {
		c = order(w, fmt.Sprintf("make %s %s", short(u), role), n, member.Adding, member.Add{Member: w.fresh(), User: u, Organization: o, Role: role})
	} else {
		c = order(w, fmt.Sprintf("remove %s as %s", short(u), role), n, member.Removing, member.Remove{User: u, Organization: o, Role: role})
	}
	c.plausible = because(map[error]func(a, b event.Position) bool{
		member.ErrIs:    func(a, b event.Position) bool { return held(a, b, true) },
		member.ErrIsNot: func(a, b event.Position) bool { return held(a, b, false) },
		member.ErrNoUser: func(a, b event.Position) bool {
			return w.status(u)().ever(a, b, func(s user.Status) bool { return s == "" || isErased(s) })
		},
		member.ErrLastOwner: func(a, b event.Position) bool {
			return anywhere(a, b, func(p event.Position) bool { return w.model.ownersAt(p) == 1 })
		},
	})
	return c
}

// changePlace switches an organization, or adds or removes a role or an
// application.
func (w *world) changePlace() *command {
	i := w.rng.IntN(len(w.places.orgs))
	o, proj, key := w.places.orgs[i], w.places.projects[i], pick(w.rng, roleKeys...)
	active := func() *timeline[bool] { return w.model.orgs[o] }
	has := func(want bool) func(a, b event.Position) bool {
		return func(a, b event.Position) bool {
			return w.model.offered[proj].ever(a, b, func(l []string) bool { return slices.Contains(l, key) == want })
		}
	}
	n, all := need{right: authz.ManageProjects, org: o}, need{right: authz.ManageInstance}
	var c *command
	switch w.rng.IntN(8) {
	case 0:
		c = order(w, "deactivate organization "+short(o), all, org.Deactivating, org.Deactivate{Organization: o})
	case 1, 2, 3:
		c = order(w, "reactivate organization "+short(o), all, org.Reactivating, org.Reactivate{Organization: o})
	case 4, 5:
		c = order(w, "remove role "+key, n, project.RemovingRole, project.RemoveRole{Project: proj, Key: key})
	default:
		c = order(w, "add role "+key, n, project.AddingRole, project.AddRole{Project: proj, Key: key, Name: key})
	}
	c.plausible = because(map[error]func(a, b event.Position) bool{
		org.ErrInactive: is(active, false), org.ErrActive: is(active, true),
		project.ErrNoRole: has(false), project.ErrRoleExists: has(true),
	})
	return c
}
