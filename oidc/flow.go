package oidc

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

const (
	kindSignIn = "sign-in"
	kindLogout = "logout"
)

// flow is an authorization request on its way from the client to the answer,
// as the flow cookie keeps it.
type flow struct {
	Req  authorizeRequest `json:"r"`
	Hint string           `json:"h,omitempty"` // the user that id_token_hint names

	// Who was signed in when the request was first looked at. An
	// authentication is fresh if it is not that one. Comparing sessions, not
	// clocks, keeps this right when several machines disagree about the time.
	Seen     bool     `json:"b,omitempty"`
	Session  event.ID `json:"i,omitzero"`
	AuthTime int64    `json:"t,omitempty"` // unix microseconds

	// What the person said, and in which session.
	Chosen    event.ID `json:"k,omitzero"`
	Consented event.ID `json:"a,omitzero"`
	Declined  bool     `json:"d,omitempty"`

	before []string // scopes that the person agreed to before; found anew each time
}

// Ask is what the sign-in pages have to ask of the person. The list only grows.
type Ask uint8

const (
	AskNothing        Ask = iota // the request can be answered: go to ResumeURL
	AskSignIn                    // nobody is signed in, or not the right person
	AskReauthenticate            // signed in, but credentials must be given again
	AskAccount                   // show who is signed in; go on as that person, or as another
	AskConsent                   // show what the client wants; agree or decline
)

// Answer is what the person said on such a page. Giving credentials is no
// Answer: a new or refreshed session tells it.
type Answer uint8

const (
	AnswerAccount Answer = iota + 1 // go on as the person signed in
	AnswerConsent                   // agreed
	AnswerDecline                   // declined; the client gets access_denied
)

// Flow is what the sign-in pages may know of a request.
type Flow struct {
	ID        string
	Ask       Ask
	Client    Client
	Scopes    []string
	Agreed    []string // scopes that the person agreed to before
	LoginHint string   // to fill in; the client's word only
	User      string   // if not empty, nobody but this user will do
	ACRs      []string // levels the client would like
	Locales   []string // BCP 47, the person's preference as the client says
	// FormAction belongs into the pages' Content-Security-Policy beside 'self':
	// browsers also apply form-action to the redirects that follow a form, and
	// these lead to the client and from there wherever it likes.
	FormAction string
}

// remember notes who is signed in at first sight.
func (f *flow) remember(s *Session) {
	if f.Seen {
		return
	}
	f.Seen = true
	if s != nil {
		f.Session, f.AuthTime = s.ID, s.AuthTime.UnixMicro()
	}
}

// fresh tells whether s was authenticated after the request came in.
func (f *flow) fresh(s Session) bool {
	return f.Seen && (s.ID != f.Session || s.AuthTime.UnixMicro() > f.AuthTime)
}

// next decides what the request needs before it can be answered, OpenID
// Connect Core §3.1.2.1 and §3.1.2.3. It is pure. acrs are the levels that
// this server knows.
func (f *flow) next(s *Session, c Client, acrs []string, now time.Time) (Ask, *refusal) {
	ask := f.need(s, c, acrs, now)
	switch {
	case f.Declined:
		return 0, refuse(codeAccessDenied, "the person declined")
	case ask == AskSignIn && s != nil && f.fresh(*s):
		// §3.1.2.1 id_token_hint: another person signed in than the hint names.
		return 0, refuse(codeLoginRequired, "another person signed in than id_token_hint names")
	case ask == AskNothing || !f.Req.asks("none"):
		return ask, nil
	case ask == AskConsent: // §3.1.2.6: prompt=none shows no page
		return 0, refuse(codeConsentRequired, "the person must be asked for consent")
	}
	return 0, refuse(codeLoginRequired, "the person must sign in")
}

func (f *flow) need(s *Session, c Client, acrs []string, now time.Time) Ask {
	if s == nil || (f.Hint != "" && s.User.String() != f.Hint) {
		return AskSignIn
	}
	fresh := f.fresh(*s)
	if !fresh && (s.AskPassword || f.Req.asks("login") || f.tooOld(*s, now) || f.stepUp(*s, acrs)) {
		return AskReauthenticate
	}
	if f.Req.asks("select_account") && !fresh && f.Chosen != s.ID {
		return AskAccount
	}
	if f.Consented == s.ID {
		return AskNothing
	}
	switch {
	case f.Req.asks("consent"), c.AsksConsent && !f.agreed(), f.pretendable(c) && !fresh:
		return AskConsent
	}
	return AskNothing
}

// agreed reports whether the person agreed before to all that is asked for.
func (f *flow) agreed() bool {
	return !slices.ContainsFunc(f.Req.Scopes, func(s string) bool { return !slices.Contains(f.before, s) })
}

// pretendable reports whether anybody can pretend to be the client: it is
// public, and its answer goes to a loopback address or a scheme that any program
// on the machine can take. Such a client gets no answer that the person did not
// take part in, whatever they agreed to before (RFC 8252 §8.6).
func (f *flow) pretendable(c Client) bool {
	return c.Type.Public() && !strings.HasPrefix(f.Req.Redirect, "https://")
}

// recall finds out what the person agreed to before.
func (p *Provider) recall(ctx context.Context, f *flow, s *Session, c Client) error {
	if s == nil || p.c.Consents == nil {
		return nil
	}
	var err error
	f.before, err = p.c.Consents.Consented(ctx, s.User, c)
	return fault.Wrap("find what the person agreed to", err)
}

// tooOld is max_age, OpenID Connect Core §3.1.2.1.
func (f *flow) tooOld(s Session, now time.Time) bool {
	return f.Req.MaxAge != nil && now.Sub(s.AuthTime) > time.Duration(*f.Req.MaxAge)*time.Second
}

// stepUp tells whether another authentication could reach a level that the
// client asked for. acr_values are a wish (OpenID Connect Core §5.5.1.1): with
// prompt=none, or if we know none of them, the request goes on without.
func (f *flow) stepUp(s Session, acrs []string) bool {
	known := slices.ContainsFunc(f.Req.ACRs, func(v string) bool { return slices.Contains(acrs, v) })
	return known && !f.Req.asks("none") && !slices.Contains(f.Req.ACRs, s.ACR)
}

// Flow returns what the sign-in pages need for the flow with this id in r's
// browser. Kind NotFound if there is none: expired, finished, or of another
// browser.
func (p *Provider) Flow(r *http.Request, id string) (Flow, error) {
	var f flow
	if err := p.jar.get(r, kindSignIn, id, &f); err != nil {
		return Flow{}, err
	}
	c, err := p.c.Clients.Client(r.Context(), f.Req.Client)
	if err != nil {
		return Flow{}, fault.Wrap("find the application", err)
	}
	s, err := p.session(r)
	if err != nil {
		return Flow{}, err
	}
	if err := p.recall(r.Context(), &f, s, c); err != nil {
		return Flow{}, err
	}
	ask, no := f.next(s, c, p.c.ACRs, p.c.Now())
	if no != nil {
		ask = AskNothing // resuming tells the client
	}
	return Flow{ID: id, Ask: ask, Client: c, Scopes: f.Req.Scopes, Agreed: f.before, LoginHint: f.Req.LoginHint, User: f.Hint,
		ACRs: f.Req.ACRs, Locales: f.Req.Locales, FormAction: formAction(f.Req.Redirect)}, nil
}

func formAction(redirect string) string {
	o := originOf(redirect)
	if isHTTP(redirect) {
		return o + " https:"
	}
	return o
}

// Answer notes what the person said and returns the address to send the
// browser to (303). The caller has checked that the person said it: method,
// CSRF token. Kinds: NotFound as for Flow, Unauthenticated if nobody is signed
// in who could have said it.
func (p *Provider) Answer(w http.ResponseWriter, r *http.Request, id string, a Answer) (string, error) {
	var f flow
	if err := p.jar.get(r, kindSignIn, id, &f); err != nil {
		return "", err
	}
	if a == AnswerDecline {
		f.Declined = true
	} else {
		s, err := p.c.Sessions.Current(r)
		if err != nil {
			return "", fault.Wrap("answer the sign-in page", err)
		}
		switch a {
		case AnswerAccount:
			f.Chosen = s.ID
		case AnswerConsent:
			f.Consented = s.ID
		default:
			return "", fault.New(fault.Invalid, "no such answer")
		}
	}
	if err := p.jar.put(w, r, kindSignIn, id, f); err != nil {
		return "", err
	}
	return p.ResumeURL(id), nil
}

// ResumeURL is where the browser goes on with a flow after the person signed
// in. A flow that still needs something comes back to the sign-in page.
func (p *Provider) ResumeURL(id string) string { return PathResume + "?flow=" + id }

// session is the browser's session, nil if nobody is signed in.
func (p *Provider) session(r *http.Request) (*Session, error) {
	s, err := p.c.Sessions.Current(r)
	switch {
	case err == nil:
		return &s, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return nil, nil
	}
	return nil, fault.Wrap("find the session", err)
}
