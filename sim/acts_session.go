package sim

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/grant"
	"muniment.dev/member"
	"muniment.dev/session"
)

// hour is the life of a session, in microseconds.
const hour = event.Instant(3600e6)

// actSession is a random command about sessions, tokens, roles or places.
func (w *world) actSession() *command {
	sessions := slices.SortedFunc(maps.Keys(w.model.sessions), compareIDs)
	codes := slices.SortedFunc(maps.Keys(w.model.codes), compareIDs)
	k := w.rng.IntN(50)
	switch {
	case k < 8 || len(sessions) == 0:
		return w.beginSession(sessions)
	case k < 11:
		return w.endSession(w.model.sessions[pick(w.rng, sessions...)])
	case k < 18 || k < 32 && len(codes) == 0:
		return w.issue(w.model.sessions[pick(w.rng, sessions...)])
	case k < 32:
		return w.useCode(w.model.codes[pick(w.rng, codes...)])
	case k < 34:
		return w.withdrawConsent(codes)
	case k < 38:
		return w.grantRoles()
	case k < 41:
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
		session.Begin{Session: id, User: u, Organization: o, Hash: hash, Digest: sha256.Sum256(id[:]), AMR: []string{"pwd"}, ACR: "1", Now: now, Known: w.rng.IntN(3) == 0})
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
