package sim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/session"
)

// subject is what an authorization of a session rests on.
func (w *world) subject(s *sitting, id event.ID, i int) session.Subject {
	return session.Subject{Authorization: id, Session: s.Session, User: s.User, Organization: s.Organization, Application: w.places.apps[i], Project: w.places.projects[i]}
}

// issue lets an application in, which the person was asked about or not.
func (w *world) issue(s *sitting) *command {
	id, i, now := w.fresh(), w.rng.IntN(len(w.places.apps)), w.instant()
	cmd := session.IssueCode{Subject: w.subject(s, id, i), CodeHash: sha256.Sum256(id[:]), RedirectURI: "http://127.0.0.1/", Challenge: "c", Nonce: "n",
		Scopes: []string{"openid"}, AuthTime: now, Consented: w.rng.IntN(2) == 0, Needs: w.rng.IntN(2) == 0, Now: now, Expires: now + hour/60}
	for _, scope := range []string{"email", session.OfflineAccess, session.OfflineAccess} {
		if w.rng.IntN(2) == 0 && !slices.Contains(cmd.Scopes, scope) {
			cmd.Scopes = append(cmd.Scopes, scope)
		}
	}
	w.model.asks[id] = cmd.Needs
	c := order(w, fmt.Sprintf("issue code %s for %v in session %s", short(id), cmd.Scopes, short(s.Session)), session.IssuingCode, cmd)
	c.about, c.twin = []event.ID{s.User}, func() *command { return w.issue(s) }
	return c.as(w, someUser(s.User))
}

// useCode is what its application does with an authorization.
func (w *world) useCode(x *code) *command {
	switch n := len(x.tokens); {
	case n > 0 && w.rng.IntN(12) == 0:
		return w.endAuthorization(x, "revoked")
	case n > 1 && w.rng.IntN(4) == 0: // of which somebody took a copy
		return w.useRefreshToken(x, 1+w.rng.IntN(n-1))
	case n > 0 && w.rng.IntN(8) > 0:
		return w.useRefreshToken(x, n)
	}
	return w.redeem(x)
}

// refreshable is some authorization that has a refresh token and may be good;
// nil if there is none.
func (w *world) refreshable() *code {
	var list []*code
	for _, id := range slices.SortedFunc(maps.Keys(w.model.codes), compareIDs) {
		if c := w.model.codes[id]; len(c.tokens) > 0 && !c.ended.now() && !c.cutOff.now() {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return pick(w.rng, list...)
}

// access is an access token that is to be issued. The refresh token that comes
// with it is its id.
func (w *world) access(x *code) session.Access {
	return session.Access{Token: w.fresh(), Scopes: x.Scopes, Expires: w.instant() + hour/60}
}

// redeem finds the authorization by its code, as applications do.
func (w *world) redeem(x *code) *command {
	i := slices.Index(w.places.apps, x.Application)
	cmd := session.Redeem{Subject: w.subject(w.model.sessions[x.Session], x.Authorization, i), Access: w.access(x), Now: w.instant()}
	if x.offline() {
		cmd.Refresh = &session.Refreshing{Digest: sha256.Sum256(cmd.Access.Token[:]), Expires: cmd.Now + 24*hour}
	}
	c := order(w, "redeem code "+short(x.Authorization), session.Redeeming, cmd)
	c.env.Request = fmt.Appendf(nil, "%s for token %s", c.name, cmd.Access.Token) // without the pointer
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

// useRefreshToken exchanges a refresh token, which it finds the authorization
// by. If it was used before, the authorization is to end: of two who have it,
// one has stolen it.
func (w *world) useRefreshToken(x *code, number int) *command {
	i, with := slices.Index(w.places.apps, x.Application), x.tokens[number-1]
	cmd := session.Refresh{Subject: w.subject(w.model.sessions[x.Session], x.Authorization, i), Number: int64(number), Access: w.access(x), Now: w.instant()}
	w.model.spends[cmd.Access.Token] = cmd.Number
	cmd.Next = session.Refreshing{Digest: sha256.Sum256(cmd.Access.Token[:]), Expires: cmd.Now + 24*hour}
	c := order(w, fmt.Sprintf("use refresh token %d of %s", number, short(x.Authorization)), session.RefreshingTokens, cmd)
	c.about, c.twin = []event.ID{x.User}, func() *command { return w.useRefreshToken(x, number) }
	c.run = func(ctx context.Context, n *node, env decide.Envelope) (decide.Result, error) {
		cmd := cmd
		found, err := decide.Read(ctx, n.runner, "refresh token", session.ByRefreshToken(sha256.Sum256(with[:])), session.RefreshTokenIssued{},
			func(_ session.RefreshTokenIssued, f event.Fact) session.RefreshTokenIssued {
				return f.Payload.(session.RefreshTokenIssued)
			})
		if err != nil {
			return decide.Result{}, err
		}
		if found.Authorization != cmd.Authorization || found.Number != cmd.Number { // erased with its person, or not to be seen here yet
			cmd.Authorization = n.world.places.visitor
		}
		return decide.Run(ctx, n.runner, session.RefreshingTokens, env, cmd)
	}
	c.heard = func(err error) {
		if errors.Is(err, session.ErrRefreshSpent) && !slices.Contains(w.reused, x) {
			w.reused = append(w.reused, x)
			w.count("refresh token reused", proceed)
		}
	}
	return c.as(w, event.Actor{Kind: "application", ID: x.Application})
}

// endAuthorization ends what an application may do, by itself.
func (w *world) endAuthorization(x *code, why string) *command {
	c := order(w, fmt.Sprintf("end authorization %s: %s", short(x.Authorization), why), session.EndingAuthorization, session.EndAuthorization{Authorization: x.Authorization, Reason: why})
	c.about = []event.ID{x.User}
	if why == reuse {
		return c.as(w, event.Actor{Kind: "application", ID: x.Application})
	}
	return c
}

// reuse is why an authorization ends of which a refresh token was used twice.
const reuse = "reuse"

// toEnd is an authorization that is to end and has not yet; nil if there is none.
func (w *world) toEnd() *code {
	for _, x := range w.reused {
		if !x.ended.now() && !w.bugs.KeepsFamily {
			return x
		}
	}
	return nil
}

// withdrawConsent ends what an application holds of somebody, mostly of one who
// let it in.
func (w *world) withdrawConsent(codes []event.ID) *command {
	u, a := w.someone(), pick(w.rng, w.places.apps...)
	if len(codes) > 0 && w.rng.IntN(4) > 0 {
		x := w.model.codes[pick(w.rng, codes...)]
		u, a = x.User, x.Application
	}
	c := order(w, fmt.Sprintf("withdraw the consent of %s to %s", short(u), short(a)), session.WithdrawingConsent, session.WithdrawConsent{User: u, Organization: w.orgOf(u), Application: a})
	c.about = []event.ID{u}
	if w.rng.IntN(2) == 0 {
		return c.as(w, someUser(u))
	}
	return c
}
