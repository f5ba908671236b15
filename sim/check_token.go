package sim

import (
	"fmt"
	"slices"

	"muniment.dev/app"
	"muniment.dev/decide"
	"muniment.dev/instance"
	"muniment.dev/org"
	"muniment.dev/project"
	"muniment.dev/session"
	"muniment.dev/user"
)

// checkTokens: which authorizations are good, and which refresh token of each,
// is what the model says; of those of which a token was used twice none is.
func (w *world) checkTokens(n *node) error {
	fresh := &decide.Runner{Log: n.log, Sealer: n.sealer}
	size, now := w.journal.size(), w.instant()
	for _, r := range []*decide.Runner{n.runner, fresh} {
		for id, c := range w.model.codes {
			s, err := decide.Read(bg, r, "authorization", session.AuthorizationFacts(w.restsOn(c)), session.StartAuthorization(w.restsOn(c)), session.EvolveAuthorization)
			if err != nil || (s.Live(now) == nil) != w.model.aliveAt(c, size, now) || s.Refresh.Number != int64(len(c.tokens)) || s.Spent != c.spent.now() {
				return fmt.Errorf("authorization %s: good is %v with %d refresh tokens (%v), the model says %v and %d", short(id), s.Live(now) == nil, s.Refresh.Number, err, w.model.aliveAt(c, size, now), len(c.tokens))
			}
		}
		for k, c := range w.model.consents {
			s, err := decide.Read(bg, r, "consent", []decide.Facts{session.ConsentFacts(k[0], k[1])}, session.Consent{}, session.EvolveConsent)
			if err != nil || !slices.Equal(s.Scopes, c.scopes) {
				return fmt.Errorf("%s has agreed to %v for %s (%v), the model says %v", short(k[0]), s.Scopes, short(k[1]), err, c.scopes)
			}
		}
	}
	for _, c := range w.reused {
		if w.model.alive(c, size) {
			return fmt.Errorf("a refresh token of authorization %s was used twice, and it is good", short(c.Authorization))
		}
	}
	return nil
}

// restsOn names what an authorization rests on.
func (w *world) restsOn(c *code) session.Subject {
	return w.subject(w.model.sessions[c.Session], c.Authorization, slices.Index(w.places.apps, c.Application))
}

// checkInstance: signing keys, what is removed, and who is locked out.
func (w *world) checkInstance(n *node) error {
	fresh := &decide.Runner{Log: n.log, Sealer: n.sealer}
	size, now := w.journal.size(), w.instant()
	for _, r := range []*decide.Runner{n.runner, fresh} {
		s, err := decide.Read(bg, r, "instance", instance.Facts(w.instance.ID), instance.State{}, instance.Evolve)
		if want := published(w.model.keys.now()); err != nil || !slices.Equal(names(s.Keys), want) {
			return fmt.Errorf("the signing keys are %v (%v), the model says %v", names(s.Keys), err, want)
		}
		for id, o := range w.model.orgs {
			if s, err := decide.Read(bg, r, "organization", []decide.Facts{{Stream: org.Stream(id)}}, org.State{}, org.Evolve); err != nil || (s.Usable() == nil) != o.usable(size) || (s.There() == nil) != o.there(size) {
				return fmt.Errorf("organization %s: in use is %v, there is %v (%v)", short(id), s.Usable() == nil, s.There() == nil, err)
			}
		}
		for id, p := range w.model.projects {
			if s, err := decide.Read(bg, r, "project", project.Facts(id), project.State{}, project.Evolve); err != nil || s.Exists != p.there(size) {
				return fmt.Errorf("project %s: there is %v (%v)", short(id), s.Exists, err)
			}
		}
		for id, a := range w.model.apps {
			if s, err := decide.Read(bg, r, "application", app.Facts(id), app.State{}, app.Evolve); err != nil || s.Exists != a.there(size) {
				return fmt.Errorf("application %s: there is %v (%v)", short(id), s.Exists, err)
			}
		}
		for id, u := range w.model.people {
			s, err := decide.Read(bg, r, "user", user.Facts(id), user.Start(id), user.Evolve)
			for _, known := range []bool{true, false} {
				if err != nil || s.LockedOut(known, now) != (now < u.shut[known]) {
					return fmt.Errorf("user %s: locked out is %v (%v)", short(id), s.LockedOut(known, now), err)
				}
			}
		}
	}
	return nil
}

// names are keys and their statuses as published gives them.
func names(keys []instance.SigningKey) (out []string) {
	for _, k := range keys {
		out = append(out, k.Key+" "+string(k.Status))
	}
	return out
}
