package oidc

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// serveAuthorize is the authorization endpoint, RFC 6749 §4.1.1.
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	private(w)
	ps, e := requestParams(r)
	if e != nil {
		p.errorPage(w, r, "authorize", "", PageBadRequest, e)
		return
	}
	c, e := p.knownClient(r, ps)
	if e != nil {
		p.errorPage(w, r, "authorize", "", PageUnknownClient, e)
		return
	}
	t, e := targetOf(ps, c)
	if e != nil { // RFC 6749 §4.1.2.1: MUST NOT redirect to an invalid address
		p.errorPage(w, r, "authorize", c.ID, PageRedirectURI, e)
		return
	}
	f := flow{}
	if f.Req, e = parseAuthorize(ps, c, t); e == nil {
		f.Req.Resources, e = p.requested(c, f.Req.Scopes, ps.resources)
	}
	if e == nil {
		f.Hint, e = p.hintedUser(r, f.Req.hint)
	}
	if e != nil {
		p.respondError(w, r, c.ID, t, e)
		return
	}
	if r.Method == http.MethodPost {
		// A POST from the client's site comes without our SameSite=Lax session
		// cookie; the redirect to our own page comes with it.
		p.keep(w, r, newID(), c, f, PathResume)
		return
	}
	p.advance(w, r, newID(), c, f)
}

// serveResume goes on with a flow: after the sign-in pages, or after a POST.
func (p *Provider) serveResume(w http.ResponseWriter, r *http.Request) {
	private(w)
	ps, e := requestParams(r)
	if e != nil {
		p.errorPage(w, r, "authorize", "", PageBadRequest, e)
		return
	}
	var f flow
	id := ps.get("flow")
	if err := p.jar.get(r, kindSignIn, id, &f); err != nil {
		p.errorPage(w, r, "authorize", "", PageFlowGone, refuse(codeInvalidRequest, errFlowGone.Msg))
		return
	}
	// The client may have changed since.
	c, err := p.c.Clients.Client(r.Context(), f.Req.Client)
	if err != nil {
		p.errorPage(w, r, "authorize", f.Req.Client, PageUnknownClient, refusalOf(err, codeInvalidRequest, "the application is not active any more"))
		return
	}
	if !matchRedirectURI(c, f.Req.Redirect) {
		p.errorPage(w, r, "authorize", c.ID, PageRedirectURI, refuse(codeInvalidRequest, "redirect_uri is not registered for this client any more"))
		return
	}
	p.advance(w, r, id, c, f)
}

func (p *Provider) knownClient(r *http.Request, ps params) (Client, *refusal) {
	id := ps.get("client_id")
	if id == "" || len(id) > 256 || ps.repeated["client_id"] {
		return Client{}, refuse(codeInvalidRequest, "client_id is required, once")
	}
	c, err := p.c.Clients.Client(r.Context(), id)
	if err != nil {
		return Client{}, refusalOf(err, codeInvalidRequest, "there is no active application with this client_id")
	}
	return c, nil
}

// hintedUser returns the user whom an id_token_hint names. The token may have
// expired, OpenID Connect Core §3.1.2.2.
func (p *Provider) hintedUser(r *http.Request, hint string) (string, *refusal) {
	if hint == "" {
		return "", nil
	}
	claims, err := p.verifyHint(r.Context(), hint)
	if err != nil {
		return "", refusalOf(err, codeInvalidRequest, "id_token_hint is not an ID token of this issuer")
	}
	return claims.Subject, nil
}

// advance takes the request one step: to the client with a code or an error,
// or to the sign-in pages.
func (p *Provider) advance(w http.ResponseWriter, r *http.Request, id string, c Client, f flow) {
	t := target{redirect: f.Req.Redirect, mode: f.Req.Mode, state: f.Req.State}
	s, err := p.session(r)
	if err == nil {
		err = p.recall(r.Context(), &f, s, c)
	}
	if err != nil {
		p.finishError(w, r, id, c.ID, t, refusalOf(err, codeServerError, "the session could not be found out"))
		return
	}
	f.remember(s)
	ask, e := f.next(s, c, p.c.ACRs, p.c.Now())
	if e == nil && ask == AskNothing {
		var code string
		if code, err = p.issue(r, c, f, *s); err == nil {
			p.jar.drop(w, id)
			p.respond(w, r, t, "code", code)
			return
		}
		switch {
		case fault.KindOf(err) == fault.Unauthenticated: // the session ended this moment
			_, e = f.next(nil, c, p.c.ACRs, p.c.Now())
		case errors.Is(err, ErrConsentNeeded): // it was withdrawn this moment
			f.before = nil
			_, e = f.next(s, c, p.c.ACRs, p.c.Now())
		default:
			e = refusalOf(err, codeAccessDenied, "this person may not use this application")
		}
	}
	if e != nil {
		p.finishError(w, r, id, c.ID, t, e)
		return
	}
	p.keep(w, r, id, c, f, p.c.LoginPath)
}

// keep puts the flow into the browser and sends it to path.
func (p *Provider) keep(w http.ResponseWriter, r *http.Request, id string, c Client, f flow, path string) {
	if err := p.jar.put(w, r, kindSignIn, id, f); err != nil {
		e := refusalOf(err, codeServerError, "the request could not be kept")
		if errors.Is(err, errFlowTooLarge) {
			e = refuse(codeInvalidRequest, "the request is too large; shorten state, nonce or redirect_uri")
		}
		p.respondError(w, r, c.ID, target{redirect: f.Req.Redirect, mode: f.Req.Mode, state: f.Req.State}, e)
		return
	}
	http.Redirect(w, r, path+"?flow="+id, http.StatusSeeOther)
}

// issue records a grant with a new code and returns the code.
func (p *Provider) issue(r *http.Request, c Client, f flow, s Session) (string, error) {
	code := newCode()
	now := p.c.Now()
	err := p.c.Grants.IssueCode(r.Context(), CodeGrant{
		Grant: event.NewID(), CodeHash: sha256.Sum256([]byte(code)),
		Client: c.ID, RedirectURI: f.Req.Redirect, Challenge: f.Req.Challenge, Nonce: f.Req.Nonce, Scopes: f.Req.Scopes, Resources: f.Req.Resources,
		User: s.User, Session: s.ID, AuthTime: s.AuthTime, AMR: s.AMR, ACR: s.ACR,
		Consented: f.Consented == s.ID, Needs: c.AsksConsent, Issued: now, Expires: now.Add(p.c.CodeLife),
	})
	if err != nil {
		return "", err
	}
	return code, nil
}

func (p *Provider) finishError(w http.ResponseWriter, r *http.Request, id, client string, t target, e *refusal) {
	p.jar.drop(w, id)
	p.respondError(w, r, client, t, e)
}

// respondError sends an error to the client, RFC 6749 §4.1.2.1.
func (p *Provider) respondError(w http.ResponseWriter, r *http.Request, client string, t target, e *refusal) {
	p.note(r.Context(), "authorize", client, e)
	p.respond(w, r, t, "error", e.code, "error_description", e.desc)
}

// respond sends the browser back to the client with name and value pairs,
// RFC 6749 §4.1.2, adding state and iss (RFC 9207 §2).
func (p *Provider) respond(w http.ResponseWriter, r *http.Request, t target, pairs ...string) {
	if t.state != "" {
		pairs = append(pairs, "state", t.state)
	}
	pairs = append(pairs, "iss", p.c.Issuer)
	if t.mode == modeFormPost {
		p.formPost(w, r, t.redirect, pairs)
		return
	}
	// RFC 9700 §4.12: 303, so that no browser repeats a POST there.
	w.Header().Set("Location", withQuery(t.redirect, pairs))
	w.WriteHeader(http.StatusSeeOther)
}

// withQuery adds parameters to an address, leaving every byte of it as it is:
// a query of its own must be retained, RFC 6749 §3.1.2.
func withQuery(uri string, pairs []string) string {
	b := []byte(uri)
	sep := byte('?')
	for i := range b {
		if b[i] == '?' {
			sep = '&'
		}
	}
	if n := len(b); sep == '&' && (b[n-1] == '?' || b[n-1] == '&') {
		sep = 0
	}
	for i := 0; i < len(pairs); i += 2 {
		if sep != 0 {
			b = append(b, sep)
		}
		b = append(b, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1])...)
		sep = '&'
	}
	return string(b)
}

// private keeps an answer out of caches and its address from other sites. Not
// no-referrer: browsers then send "Origin: null" with our own forms, which
// looks like forgery.
func private(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 §5.1
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}
