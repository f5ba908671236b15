package oidc

import (
	"net/http"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// logout is a request to sign out that was found good, as the flow cookie
// keeps it. OpenID Connect RP-Initiated Logout 1.0 §2.
type logout struct {
	Client     string   `json:"c,omitempty"`
	ClientName string   `json:"n,omitempty"`
	Redirect   string   `json:"r,omitempty"`
	State      string   `json:"s,omitempty"`
	Hinted     string   `json:"h,omitempty"` // sid of a valid id_token_hint
	Asked      event.ID `json:"a,omitzero"`  // the session that the person was asked about
}

// serveLogout is the end_session endpoint.
func (p *Provider) serveLogout(w http.ResponseWriter, r *http.Request) {
	private(w)
	ps, e := requestParams(r)
	if e == nil {
		e = ps.once()
	}
	if e != nil {
		p.errorPage(w, r, "logout", "", PageBadRequest, e)
		return
	}
	l, page, e := p.parseLogout(r, ps)
	if e != nil {
		p.errorPage(w, r, "logout", l.Client, page, e)
		return
	}
	if r.Method == http.MethodPost {
		// As for authorization requests: our session cookie does not come with
		// a POST from another site, but does with the redirect.
		id := newID()
		if err := p.jar.put(w, r, kindLogout, id, l); err != nil {
			p.errorPage(w, r, "logout", l.Client, PageBadRequest, refuse(codeInvalidRequest, "the request is too large; shorten state"))
			return
		}
		http.Redirect(w, r, PathLogoutResume+"?flow="+id, http.StatusSeeOther)
		return
	}
	p.advanceLogout(w, r, newID(), l)
}

// serveLogoutResume goes on with a sign-out that came as a POST.
func (p *Provider) serveLogoutResume(w http.ResponseWriter, r *http.Request) {
	private(w)
	ps, e := requestParams(r)
	if e == nil {
		var l logout
		if p.jar.get(r, kindLogout, ps.get("flow"), &l) == nil {
			p.advanceLogout(w, r, ps.get("flow"), l)
			return
		}
	}
	p.errorPage(w, r, "logout", "", PageFlowGone, refuse(codeInvalidRequest, "this sign-out has expired or was completed"))
}

// parseLogout checks a request, RP-Initiated Logout §2, §3 and §4.
func (p *Provider) parseLogout(r *http.Request, ps params) (logout, PageCode, *refusal) {
	l := logout{State: ps.get("state")}
	clientID := ps.get("client_id")
	if hint := ps.get("id_token_hint"); hint != "" {
		claims, err := p.verifyHint(r.Context(), hint)
		switch {
		case err != nil && fault.KindOf(err) != fault.Unauthenticated:
			return l, PageUnavailable, refusalOf(err, codeServerError, "the hint could not be checked")
		case err != nil:
			// §4: what failed to validate is not used; the person is asked.
		case clientID != "" && clientID != string(claims.Audience):
			return l, PageBadRequest, refuse(codeInvalidRequest, "client_id is not the one that id_token_hint was issued to")
		default:
			l.Hinted, clientID = claims.Session, string(claims.Audience)
		}
	}
	uri := ps.get("post_logout_redirect_uri")
	if clientID == "" {
		if uri != "" {
			return l, PagePostLogoutURI, refuse(codeInvalidRequest, "post_logout_redirect_uri needs a good id_token_hint, or client_id")
		}
		return l, "", nil
	}
	c, err := p.c.Clients.Client(r.Context(), clientID)
	if err != nil && (uri != "" || fault.KindOf(err) != fault.NotFound) {
		return l, PageUnknownClient, refusalOf(err, codeInvalidRequest, "there is no active application with this client_id")
	}
	l.Client, l.ClientName = c.ID, c.Name
	if uri != "" && !slices.Contains(c.PostLogoutURIs, uri) {
		return l, PagePostLogoutURI, refuse(codeInvalidRequest, "post_logout_redirect_uri is not registered for this client; it must match exactly")
	}
	l.Redirect = uri
	return l, "", nil
}

// advanceLogout ends the session if the hint names it, and asks the person
// otherwise, RP-Initiated Logout §2 and §6: any site can send a browser here.
func (p *Provider) advanceLogout(w http.ResponseWriter, r *http.Request, id string, l logout) {
	s, err := p.session(r)
	switch {
	case err != nil:
		p.notSignedOut(w, r, l, err)
	case s == nil:
		p.signedOut(w, r, id, l)
	case l.Hinted == s.ID.String():
		p.endSession(w, r, id, l, *s)
	default:
		l.Asked = s.ID
		if err := p.jar.put(w, r, kindLogout, id, l); err != nil {
			p.errorPage(w, r, "logout", l.Client, PageBadRequest, refuse(codeInvalidRequest, "the request is too large; shorten state"))
			return
		}
		// The redirect that follows the form leads to the client.
		action := "'self'"
		if l.Redirect != "" {
			action += " " + formAction(l.Redirect)
		}
		p.page(w, action)
		p.c.Pages.ConfirmLogout(w, r, LogoutPage{Status: http.StatusOK, Client: l.ClientName, Action: PathLogoutConfirm, Fields: []Field{{"flow", id}}})
	}
}

// serveLogoutConfirm hears the person's yes. No other site can say it: it
// knows neither the flow's id nor has it the cookie.
func (p *Provider) serveLogoutConfirm(w http.ResponseWriter, r *http.Request) {
	private(w)
	ps, e := formParams(r)
	if e == nil {
		e = ps.once()
	}
	if e != nil {
		p.errorPage(w, r, "logout", "", PageBadRequest, e)
		return
	}
	var l logout
	id := ps.get("flow")
	if err := p.jar.get(r, kindLogout, id, &l); err != nil || l.Asked.IsZero() {
		p.errorPage(w, r, "logout", "", PageFlowGone, refuse(codeInvalidRequest, "this sign-out has expired or was completed"))
		return
	}
	s, err := p.session(r)
	switch {
	case err != nil:
		p.notSignedOut(w, r, l, err)
	case s == nil:
		p.signedOut(w, r, id, l)
	case s.ID != l.Asked: // another person signed in meanwhile
		p.advanceLogout(w, r, id, l)
	default:
		p.endSession(w, r, id, l, *s)
	}
}

func (p *Provider) endSession(w http.ResponseWriter, r *http.Request, id string, l logout, s Session) {
	if err := p.c.Sessions.End(w, r, s, l.Client); err != nil {
		p.notSignedOut(w, r, l, err)
		return
	}
	p.signedOut(w, r, id, l)
}

// signedOut sends the browser on, RP-Initiated Logout §3.
func (p *Provider) signedOut(w http.ResponseWriter, r *http.Request, id string, l logout) {
	p.jar.drop(w, id)
	if l.Redirect == "" {
		p.page(w, "'none'")
		p.c.Pages.SignedOut(w, r, SignedOutPage{Status: http.StatusOK, Client: l.ClientName})
		return
	}
	var pairs []string
	if l.State != "" {
		pairs = []string{"state", l.State}
	}
	w.Header().Set("Location", withQuery(l.Redirect, pairs))
	w.WriteHeader(http.StatusSeeOther)
}

// notSignedOut never lets a person believe that a session has ended that may
// go on.
func (p *Provider) notSignedOut(w http.ResponseWriter, r *http.Request, l logout, err error) {
	e := refusalOf(err, codeServerError, "you are still signed in")
	e.desc = "it is not certain that you are signed out; reload this page to try again"
	p.note(r.Context(), "logout", l.Client, e)
	p.page(w, "'none'")
	p.c.Pages.Error(w, r, ErrorPage{Status: http.StatusServiceUnavailable, Code: PageNotSignedOut, Text: e.desc})
}
