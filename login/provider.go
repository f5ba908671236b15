package login

import (
	"net/http"

	"muniment.dev/oidc"
	"muniment.dev/page"
)

// ProviderPages are the pages that the OpenID provider shows.
type ProviderPages struct{ pages *page.Pages }

// Provider returns the pages for the OpenID provider. Site alone is needed, so
// that the provider can be made before the rest of the sign-in pages, which
// need it.
func Provider(s *page.Site) (*ProviderPages, error) {
	pages, err := parse(s)
	return &ProviderPages{pages}, err
}

var _ oidc.Pages = (*ProviderPages)(nil)

// errorPage is the data of error.html.
type errorPage struct {
	Heading, Text, Hint string
	Status              int
}

// Error implements oidc.Pages.
func (p *ProviderPages) Error(w http.ResponseWriter, r *http.Request, e oidc.ErrorPage) {
	d := errorPage{Heading: "This did not work", Text: page.Sentence(e.Text), Status: e.Status}
	switch e.Code {
	case oidc.PageUnknownClient, oidc.PageRedirectURI, oidc.PagePostLogoutURI, oidc.PageBadRequest:
		d.Heading = "The application asked for something impossible"
		d.Hint = "You did nothing wrong. Tell whoever looks after the application; nothing was sent to it."
	case oidc.PageFlowGone:
		d.Heading = "This sign-in is over"
		d.Hint = "Go back to the application and begin again."
	case oidc.PageNotSignedOut:
		d.Heading = "You may still be signed in"
		d.Hint = "Try again, and close the browser if it stays."
	case oidc.PageUnavailable:
		d.Heading = "Not now"
		d.Hint = "Try again in a moment."
	}
	p.pages.Render(w, r, e.Status, "error", page.View{Title: d.Heading, Data: d})
}

// ConfirmLogout implements oidc.Pages.
func (p *ProviderPages) ConfirmLogout(w http.ResponseWriter, r *http.Request, l oidc.LogoutPage) {
	d := logoutPage{App: l.Client, Action: l.Action, Fields: map[string]string{}}
	for _, f := range l.Fields {
		d.Fields[f.Name] = f.Value
	}
	p.pages.Render(w, r, l.Status, "logout", page.View{Title: "Sign out", Data: d})
}

// SignedOut implements oidc.Pages.
func (p *ProviderPages) SignedOut(w http.ResponseWriter, r *http.Request, l oidc.SignedOutPage) {
	p.pages.Render(w, r, l.Status, "signedout", page.View{Title: "Signed out", Data: 0})
}

// FormPost implements oidc.Pages: OAuth 2.0 Form Post Response Mode §2.
func (p *ProviderPages) FormPost(w http.ResponseWriter, r *http.Request, f oidc.FormPostPage) {
	p.pages.Render(w, r, f.Status, "formpost", page.View{Title: "One moment", Data: f})
}
