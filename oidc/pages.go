package oidc

import (
	_ "embed"
	"html/template"
	"net/http"
)

// Pages shows what the provider has to say to a person. The status and a
// strict Content-Security-Policy are in the header already when a method is
// called, the status line is not; an implementation calls WriteHeader(status)
// and may replace the policy by one as strict, except for FormPost.
type Pages interface {
	Error(w http.ResponseWriter, r *http.Request, e ErrorPage)
	ConfirmLogout(w http.ResponseWriter, r *http.Request, l LogoutPage)
	SignedOut(w http.ResponseWriter, r *http.Request, l SignedOutPage)
	FormPost(w http.ResponseWriter, r *http.Request, f FormPostPage)
}

// PageCode says what an error page is about, for pages in other languages.
// The list only grows.
type PageCode string

const (
	PageBadRequest    PageCode = "bad_request"
	PageUnknownClient PageCode = "unknown_client"
	PageRedirectURI   PageCode = "redirect_uri"
	PageFlowGone      PageCode = "flow_gone"
	PagePostLogoutURI PageCode = "post_logout_redirect_uri"
	PageNotSignedOut  PageCode = "not_signed_out" // or not known whether
	PageUnavailable   PageCode = "unavailable"
)

// ErrorPage is an error that cannot be sent to a client.
type ErrorPage struct {
	Status int
	Code   PageCode
	Text   string // one sentence, in English, for the person or the client's developer
}

// LogoutPage asks whether to sign out. Its form POSTs Fields to Action.
type LogoutPage struct {
	Status int
	Client string // name of the application that asks; may be empty
	Action string
	Fields []Field
}

// SignedOutPage says that the person is signed out.
type SignedOutPage struct {
	Status int
	Client string // name of the application that asked; may be empty
}

// FormPostPage sends an answer to a client by a form, OAuth 2.0 Form Post
// Response Mode §2: a form with the id "respond" that POSTs Fields to Action,
// with a button for those without JavaScript, and the script at Script, which
// presses it.
type FormPostPage struct {
	Status int
	Action string
	Fields []Field
	Script string
}

// Field is a hidden form field.
type Field struct{ Name, Value string }

const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "

func (p *Provider) page(w http.ResponseWriter, formAction string) {
	private(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy+formAction)
	w.Header().Set("X-Frame-Options", "DENY")
}

func (p *Provider) errorPage(w http.ResponseWriter, r *http.Request, endpoint, client string, code PageCode, e *refusal) {
	p.note(r.Context(), endpoint, client, e)
	status := http.StatusBadRequest
	if e.code == codeServerError || e.code == codeUnavailable {
		status, code = e.status(), PageUnavailable
	}
	p.page(w, "'none'")
	p.c.Pages.Error(w, r, ErrorPage{Status: status, Code: code, Text: e.desc})
}

func (p *Provider) formPost(w http.ResponseWriter, r *http.Request, uri string, pairs []string) {
	f := FormPostPage{Status: http.StatusOK, Action: uri, Script: PathFormPost}
	for i := 0; i < len(pairs); i += 2 {
		f.Fields = append(f.Fields, Field{pairs[i], pairs[i+1]})
	}
	p.page(w, formAction(uri))
	p.c.Pages.FormPost(w, r, f)
}

//go:embed form_post.js
var formPostScript []byte

func serveFormPostScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(formPostScript) // the client went away: nobody to tell
}

// PlainPages are pages without any design, complete and usable.
type PlainPages struct{}

func plain(w http.ResponseWriter, status int, t *template.Template, v any) {
	w.WriteHeader(status)
	_ = t.Execute(w, v) // the client went away: nobody to tell
}

// Error implements Pages.
func (PlainPages) Error(w http.ResponseWriter, _ *http.Request, e ErrorPage) {
	plain(w, e.Status, plainError, e)
}

// ConfirmLogout implements Pages.
func (PlainPages) ConfirmLogout(w http.ResponseWriter, _ *http.Request, l LogoutPage) {
	plain(w, l.Status, plainConfirm, l)
}

// SignedOut implements Pages.
func (PlainPages) SignedOut(w http.ResponseWriter, _ *http.Request, l SignedOutPage) {
	plain(w, l.Status, plainSignedOut, l)
}

// FormPost implements Pages.
func (PlainPages) FormPost(w http.ResponseWriter, _ *http.Request, f FormPostPage) {
	plain(w, f.Status, plainFormPost, f)
}

const plainHead = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">`

var (
	plainError = template.Must(template.New("error").Parse(plainHead +
		`<title>Not possible</title><main><h1>This did not work</h1><p>{{.Text}}.</p></main></html>`))
	plainConfirm = template.Must(template.New("confirm").Parse(plainHead +
		`<title>Sign out?</title><main><h1>Sign out?</h1>{{with .Client}}<p>{{.}} asks you to sign out.</p>{{end}}` +
		`<form method="post" action="{{.Action}}">{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">{{end}}` +
		`<button>Sign out</button></form></main></html>`))
	plainSignedOut = template.Must(template.New("signed out").Parse(plainHead +
		`<title>Signed out</title><main><h1>You are signed out</h1></main></html>`))
	plainFormPost = template.Must(template.New("form post").Parse(plainHead +
		`<title>Continue</title><main><form id="respond" method="post" action="{{.Action}}">` +
		`{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">{{end}}` +
		`<button>Continue</button></form></main><script src="{{.Script}}"></script></html>`))
)
