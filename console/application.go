package console

import (
	"net/http"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// appKind is a kind of application, as its pages call it.
type appKind struct {
	Key, Word, Lede string
	Kind            munimentv1.ApplicationKind
}

// appKinds are the kinds in the order in which they are offered.
var appKinds = [...]appKind{
	{"web", "Web application", "Runs on a server and keeps a secret. People sign in by OpenID Connect, authorization code with PKCE.", munimentv1.ApplicationKind_APPLICATION_KIND_WEB},
	{"spa", "Single-page application", "Runs in the browser and can keep no secret. Its code is protected by PKCE; only its own origins may call.", munimentv1.ApplicationKind_APPLICATION_KIND_SINGLE_PAGE},
	{"native", "Native application", "Runs on telephones and computers and can keep no secret. It is returned to on loopback, with any port, or by a scheme of its own.", munimentv1.ApplicationKind_APPLICATION_KIND_NATIVE},
	{"api", "API", "Is called with tokens. Nobody signs in to it; it asks this server what a token is good for.", munimentv1.ApplicationKind_APPLICATION_KIND_API},
}

func kindOf(k munimentv1.ApplicationKind) appKind {
	for _, a := range appKinds {
		if a.Kind == k {
			return a
		}
	}
	return appKind{Word: "Application"}
}

// SignsIn reports whether people sign in to applications of the kind.
func (k appKind) SignsIn() bool { return k.Kind != munimentv1.ApplicationKind_APPLICATION_KIND_API }

// Confidential reports whether they can keep a secret.
func (k appKind) Confidential() bool {
	return k.Kind == munimentv1.ApplicationKind_APPLICATION_KIND_WEB || k.Kind == munimentv1.ApplicationKind_APPLICATION_KIND_API
}

// appForm is the data of appform.html.
type appForm struct {
	Project             *munimentv1.Project
	Kind                appKind
	Kinds               []appKind
	Name, URIs, Logout  string
	Origins, PublicKey  string
	RS256               bool
	Command             string
	Problem, NameError  string
	URIError            string
	LogoutError         string
	OriginError, KeyErr string
}

func (v *visit) appFormOf(pr *munimentv1.Project) appForm {
	f := appForm{Project: pr, Kind: appKinds[0], Kinds: appKinds[:]}
	for _, k := range appKinds {
		if k.Key == v.r.URL.Query().Get("kind") {
			f.Kind = k
		}
	}
	return f
}

func (v *visit) newApplication() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	return v.appForm(http.StatusOK, v.appFormOf(pr))
}

func (v *visit) appForm(status int, f appForm) error {
	return v.showAs(status, "appform", page.View{Nav: "projects", Title: "Add an application", Data: f})
}

// createApplication registers an application and shows its secret, once.
func (v *visit) createApplication() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	f := v.appFormOf(pr)
	f.Name, f.URIs, f.Logout, f.Origins, f.PublicKey = v.form("name"), v.form("uris"), v.form("logout"), v.form("origins"), v.form("key")
	f.RS256, f.Command = v.form("alg") == "RS256", v.command()
	id, secret, err := v.addApplication(f)
	if err == nil {
		return v.showSecret(secretPage{Heading: f.Name + " is ready", ClientID: id, Secret: secret, Hidden: f.Kind.Confidential() && f.PublicKey == "",
			Back: path("console", "applications", id), Nav: "projects"})
	}
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	v.addressErrors(err, &f.NameError, &f.URIError, &f.LogoutError, &f.OriginError, &f.KeyErr, &f.Problem)
	return v.appForm(status, f)
}

// addApplication asks the API for a new application.
func (v *visit) addApplication(f appForm) (id, secret string, err error) {
	pr, uris, logout := f.Project.GetId(), lines(f.URIs), lines(f.Logout)
	switch f.Kind.Key {
	case "spa":
		got, err := v.c.API.Application.CreateSinglePageApplication(v.ctx, &munimentv1.CreateSinglePageApplicationRequest{ProjectId: pr, Name: f.Name,
			RedirectUris: uris, PostLogoutRedirectUris: logout, AllowedOrigins: lines(f.Origins), CommandId: f.Command})
		return got.GetClientId(), "", err
	case "native":
		got, err := v.c.API.Application.CreateNativeApplication(v.ctx, &munimentv1.CreateNativeApplicationRequest{ProjectId: pr, Name: f.Name,
			RedirectUris: uris, PostLogoutRedirectUris: logout, CommandId: f.Command})
		return got.GetClientId(), "", err
	case "api":
		got, err := v.c.API.Application.CreateApiApplication(v.ctx, &munimentv1.CreateApiApplicationRequest{ProjectId: pr, Name: f.Name, PublicKey: f.PublicKey, CommandId: f.Command})
		return got.GetClientId(), got.GetClientSecret(), err
	}
	req := &munimentv1.CreateWebApplicationRequest{ProjectId: pr, Name: f.Name, RedirectUris: uris, PostLogoutRedirectUris: logout, PublicKey: f.PublicKey, CommandId: f.Command}
	if f.RS256 {
		req.IdTokenAlg = munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_RS256
	}
	got, err := v.c.API.Application.CreateWebApplication(v.ctx, req)
	return got.GetClientId(), got.GetClientSecret(), err
}

// addressErrors puts what is wrong beside the field that it is about.
func (v *visit) addressErrors(err error, name, uris, logout, origins, key, problem *string) {
	to := problem
	switch field := faultField(err); {
	case field == "name" || fault.Is(err, fault.Exists):
		to = name
	case strings.HasPrefix(field, "redirect_uris"):
		to = uris
	case strings.HasPrefix(field, "post_logout_redirect_uris"):
		to = logout
	case strings.HasPrefix(field, "allowed_origins"):
		to = origins
	case field == "public_key":
		to = key
	}
	*to = page.Sentence(fault.Public(err))
}

// appPage is the data of application.html.
type appPage struct {
	Curl        same
	App         *munimentv1.Application
	Kind        appKind
	Secrets     []*munimentv1.ClientSecret
	Keys        []*munimentv1.ClientKey
	Project     string
	Issuer      string
	URIs        string
	Logout      string
	Origins     string
	URIError    string
	LogoutError string
	OriginError string
	Problem     string
	Command     string
	Events      []*munimentv1.Event
	CanWrite    bool
	CanBack     bool // it was removed, and may be restored
	CanOpenAPI  bool // administers the instance
}

func (v *visit) getApplication() (*munimentv1.GetApplicationResponse, error) {
	id, err := v.id()
	if err != nil {
		return nil, err
	}
	got, err := v.c.API.Application.GetApplication(v.ctx, &munimentv1.GetApplicationRequest{ApplicationId: id, Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got, nil
}

func (v *visit) application() error {
	got, err := v.getApplication()
	if err != nil {
		return err
	}
	return v.showApplication(http.StatusOK, got, appPage{})
}

func (v *visit) showApplication(status int, got *munimentv1.GetApplicationResponse, p appPage) error {
	a := got.GetApplication()
	p.App, p.Secrets, p.Keys, p.Kind = a, got.GetSecrets(), got.GetKeys(), kindOf(a.GetKind())
	p.Issuer, p.CanWrite, p.CanOpenAPI = v.c.Site.Origin(), v.me.Writes(a.GetOrganizationId()), v.me.Writes("")
	if a.GetState() == munimentv1.ApplicationState_APPLICATION_STATE_REMOVED {
		p.CanWrite, p.CanBack = false, p.CanWrite
	}
	if p.Command == "" { // else what was typed is shown again
		p.URIs, p.Logout, p.Origins = strings.Join(a.GetRedirectUris(), "\n"), strings.Join(a.GetPostLogoutRedirectUris(), "\n"), strings.Join(a.GetAllowedOrigins(), "\n")
	}
	p.Project = v.projectOf(a.GetProjectId()).GetName()
	if v.me.audits() {
		events, err := v.c.API.Event.ListEvents(v.ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{Streams: []string{"application:" + a.GetId()}}, Descending: true, PageSize: 12, Read: v.read})
		if err = v.unlessDenied(err); err != nil {
			return err
		}
		p.Events = events.GetEvents()
	}
	p.Curl = v.same("application get "+a.GetId(), "/v1/applications/"+a.GetId())
	if err := v.travels("object", "application:"+a.GetId()); err != nil {
		return err
	}
	return v.showAs(status, "application", page.View{Nav: "projects", Title: a.GetName(), Data: p})
}
