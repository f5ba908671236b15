package sim

import (
	"slices"

	"muniment.dev/event"
	"muniment.dev/session"
)

// code is one authorization.
type code struct {
	session.CodeIssued
	spent, ended timeline[bool]
	cutOff       timeline[bool] // by something that ends more than this authorization
	tokens       []event.ID     // access tokens that its refresh tokens came with, the first of which has number 1
	issued       event.Position
}

// consent is what a person agreed to for an application.
type consent struct {
	scopes []string
	open   bool // something was authorized or agreed to since it was last withdrawn
	used   bool // tokens were issued, or it was agreed to, since then
}

func (m *model) consent(u, application event.ID) *consent {
	k := [2]event.ID{u, application}
	if m.consents[k] == nil {
		m.consents[k] = &consent{}
	}
	return m.consents[k]
}

// offline reports whether the authorization outlives its session.
func (c *code) offline() bool { return slices.Contains(c.Scopes, session.OfflineAccess) }

// alive reports whether tokens of an authorization are good behind a record,
// but for the time, which only the command knows.
func (m *model) alive(c *code, p event.Position) bool {
	a := m.apps[c.Application]
	switch {
	case c.issued > p || c.ended.at(p) || c.cutOff.at(p) || !m.standing(c.User, p):
		return false
	case !a.usable(p) || !m.projects[a.in].usable(p):
		return false
	}
	return c.offline() || !m.sessions[c.Session].over.at(p)
}

// aliveAt is alive at a time.
func (m *model) aliveAt(c *code, p event.Position, now event.Instant) bool {
	return m.alive(c, p) && (c.offline() || m.live(c.Session, p, now))
}

// cut ends authorizations for good.
func (m *model) cut(f event.Fact, which func(*code) bool) {
	for _, c := range m.codes {
		if which(c) && !c.cutOff.now() {
			c.cutOff.set(f.Position, true)
		}
	}
}

// evolveAuthorization takes in a record of an authorization or of a consent; ok
// is false for any other.
func (m *model) evolveAuthorization(f event.Fact) (err error, ok bool) {
	switch p := f.Payload.(type) {
	case session.CodeIssued:
		a := m.apps[p.Application]
		if !m.good(p.Session, f.Position) || !a.usable(f.Position) || !m.projects[a.in].usable(f.Position) || m.codes[p.Authorization] != nil {
			return wrong("the person is not signed in, the application is not there, or the code exists already"), true
		}
		m.codes[p.Authorization] = &code{CodeIssued: p, issued: f.Position}
		m.consent(p.User, p.Application).open = true
	case session.CodeRedeemed:
		return m.redeem(f, p), true
	case session.TokenIssued:
		if c := m.codes[p.Authorization]; c == nil || !c.spent.now() || !m.alive(c, f.Position) {
			return wrong("the authorization has ended, or its code was not redeemed"), true
		}
		m.consent(p.User, p.Application).used = true
	case session.RefreshTokenIssued:
		return m.refresh(f, p), true
	case session.AuthorizationEnded:
		c := m.codes[p.Authorization]
		if c == nil || c.ended.now() {
			return wrong("the authorization has ended already"), true
		}
		c.ended.set(f.Position, true)
	case session.ConsentGiven:
		c := m.consent(p.User, p.Application)
		if len(minus(p.Scopes, c.scopes...)) == 0 || len(minus(c.scopes, p.Scopes...)) > 0 {
			return wrong("the person had agreed to %v before", c.scopes), true
		}
		*c = consent{slices.Clone(p.Scopes), true, true}
	case session.ConsentWithdrawn:
		if c := m.consent(p.User, p.Application); !c.open {
			return wrong("the application holds nothing of the person"), true
		}
		*m.consent(p.User, p.Application) = consent{}
		m.cut(f, func(c *code) bool { return c.User == p.User && c.Application == p.Application })
	default:
		return nil, false
	}
	return nil, true
}

func (m *model) redeem(f event.Fact, p session.CodeRedeemed) error {
	c := m.codes[p.Authorization]
	switch {
	case c == nil:
		return wrong("there is no such code")
	case c.spent.now():
		return wrong("the code was redeemed before")
	case !m.alive(c, f.Position) || !m.good(p.Session, f.Position):
		return wrong("the authorization has ended")
	}
	c.spent.set(f.Position, true)
	return nil
}

// refresh takes in a refresh token: each is the next of its authorization.
func (m *model) refresh(f event.Fact, p session.RefreshTokenIssued) error {
	c := m.codes[p.Authorization]
	switch {
	case c == nil || !c.offline():
		return wrong("the authorization has no refresh tokens")
	case !m.alive(c, f.Position):
		return wrong("the authorization has ended")
	case p.Number != int64(len(c.tokens))+1:
		return wrong("it is refresh token %d, after %d", p.Number, len(c.tokens))
	}
	if spent := m.spends[p.Token]; spent != p.Number-1 {
		return wrong("it is refresh token %d, and number %d was presented", p.Number, spent)
	}
	c.tokens = append(c.tokens, p.Token)
	return nil
}

// together looks at what one command recorded, all in one.
func (m *model) together(facts []event.Fact) error {
	for _, f := range facts {
		switch p := f.Payload.(type) {
		case session.CodeIssued:
			if len(minus(p.Scopes, m.consent(p.User, p.Application).scopes...)) > 0 && (m.asks[p.Authorization] || p.Consented) {
				return wrong("the person has agreed to %v only", m.consent(p.User, p.Application).scopes)
			}
		case session.ConsentGiven:
			if !with(facts, func(c session.CodeIssued) bool {
				return c.User == p.User && c.Application == p.Application && c.Consented
			}) {
				return wrong("the person was not asked")
			}
		case session.RefreshTokenIssued:
			if !with(facts, func(t session.TokenIssued) bool { return t.Token == p.Token }) {
				return wrong("a refresh token without a token")
			}
			if first := with(facts, func(session.CodeRedeemed) bool { return true }); first != (p.Number == 1) {
				return wrong("that a code was redeemed is %v, and it is refresh token %d", first, p.Number)
			}
		case session.PasswordChecked:
			if err := m.passwordAccepted(f, facts); err != nil {
				return err
			}
		}
	}
	if err := m.lockedOut(facts); err != nil {
		return err
	}
	return m.oneSigns()
}

// with reports whether there is a fact of a kind among others.
func with[T any](facts []event.Fact, is func(T) bool) bool {
	return slices.ContainsFunc(facts, func(f event.Fact) bool {
		p, ok := f.Payload.(T)
		return ok && is(p)
	})
}
