package console

import (
	"net/http"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// appForm is the data of appform.html.
type appForm struct {
	Project               *munimentv1.Project
	Name, URIs, Logout    string
	RS256                 bool
	Command               string
	Problem, NameError    string
	URIError, LogoutError string
}

func (v *visit) newApplication() error {
	pr, err := v.getProject()
	if err != nil {
		return err
	}
	return v.appForm(http.StatusOK, appForm{Project: pr})
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
	f := appForm{Project: pr, Name: v.form("name"), URIs: v.form("uris"), Logout: v.form("logout"), RS256: v.form("alg") == "RS256", Command: v.command()}
	req := &munimentv1.CreateWebApplicationRequest{ProjectId: pr.GetId(), Name: f.Name, RedirectUris: lines(f.URIs), PostLogoutRedirectUris: lines(f.Logout), CommandId: f.Command}
	if f.RS256 {
		req.IdTokenAlg = munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_RS256
	}
	got, err := v.c.API.Application.CreateWebApplication(v.ctx, req)
	if err == nil {
		return v.showSecret(got.GetApplicationId(), f.Name, got.GetClientId(), got.GetClientSecret())
	}
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	msg := page.Sentence(fault.Public(err))
	switch field := faultField(err); {
	case field == "name" || fault.Is(err, fault.Exists):
		f.NameError = msg
	case strings.HasPrefix(field, "redirect_uris"):
		f.URIError = msg
	case strings.HasPrefix(field, "post_logout_redirect_uris"):
		f.LogoutError = msg
	default:
		f.Problem = msg
	}
	return v.appForm(status, f)
}

// secretPage is the data of secret.html: a secret, shown once.
type secretPage struct {
	Name, ClientID, Secret, Issuer, Back string
}

func (v *visit) showSecret(id, name, clientID, secret string) error {
	return v.show("secret", "projects", "The secret of "+name, secretPage{Name: name, ClientID: clientID, Secret: secret,
		Issuer: v.c.Site.Origin(), Back: path("console", "applications", id)})
}

// appPage is the data of application.html.
type appPage struct {
	Curl        same
	App         *munimentv1.Application
	Project     string
	Issuer      string
	URIs        string
	Logout      string
	URIError    string
	LogoutError string
	Problem     string
	Command     string
	Events      []*munimentv1.Event
	CanWrite    bool
}

func (v *visit) getApplication() (*munimentv1.Application, error) {
	id, err := v.id()
	if err != nil {
		return nil, err
	}
	got, err := v.c.API.Application.GetApplication(v.ctx, &munimentv1.GetApplicationRequest{ApplicationId: id, Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got.GetApplication(), nil
}

func (v *visit) application() error {
	a, err := v.getApplication()
	if err != nil {
		return err
	}
	return v.showApplication(http.StatusOK, a, appPage{URIs: strings.Join(a.GetRedirectUris(), "\n"), Logout: strings.Join(a.GetPostLogoutRedirectUris(), "\n")})
}

func (v *visit) showApplication(status int, a *munimentv1.Application, p appPage) error {
	p.App, p.Issuer, p.CanWrite = a, v.c.Site.Origin(), v.me.Writes(a.GetOrganizationId())
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

func (v *visit) changeAddresses() error {
	a, err := v.getApplication()
	if err != nil {
		return err
	}
	p := appPage{URIs: v.form("uris"), Logout: v.form("logout"), Command: v.command()}
	_, err = v.c.API.Application.ChangeRedirectUris(v.ctx, &munimentv1.ChangeRedirectUrisRequest{ApplicationId: a.GetId(),
		RedirectUris: lines(p.URIs), PostLogoutRedirectUris: lines(p.Logout), CommandId: p.Command})
	if err == nil {
		return v.done(path("console", "applications", a.GetId()), "The addresses are changed. They are compared exactly.")
	}
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	msg := page.Sentence(fault.Public(err))
	switch field := faultField(err); {
	case strings.HasPrefix(field, "redirect_uris"):
		p.URIError = msg
	case strings.HasPrefix(field, "post_logout_redirect_uris"):
		p.LogoutError = msg
	default:
		p.Problem = msg
	}
	return v.showApplication(status, a, p)
}

// applicationQuestion is what is asked before an action on an application.
func applicationQuestion(action string, a *munimentv1.Application) (q question, ok bool) {
	q = question{Nav: "projects", Back: path("console", "applications", a.GetId()), Reason: true}
	switch action {
	case "rotate":
		q.Heading, q.Button = "A new secret for "+a.GetName()+"?", "Make a new secret"
		q.Points = []string{"The present secret stops working at once: the application lets nobody in until it has the new one.", "You will see the new one once."}
	case "remove":
		q.Heading, q.Button, q.Danger = "Remove "+a.GetName()+"?", "Remove", true
		q.Points = []string{"Nobody can sign in to it, and its secret stops working at once.", "Its history stays in the log."}
		q.Type, q.Typed = a.GetName(), "the application's name"
	default:
		return q, false
	}
	return q, true
}

func (v *visit) askApplication() error {
	a, err := v.getApplication()
	if err != nil {
		return err
	}
	q, ok := applicationQuestion(v.r.PathValue("a"), a)
	if !ok {
		return v.nothing()
	}
	return v.ask(q)
}

func (v *visit) actApplication() error {
	a, err := v.getApplication()
	if err != nil {
		return err
	}
	q, ok := applicationQuestion(v.r.PathValue("a"), a)
	if !ok {
		return v.nothing()
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	if v.r.PathValue("a") == "rotate" {
		got, err := v.c.API.Application.RotateSecret(v.ctx, &munimentv1.RotateSecretRequest{ApplicationId: a.GetId(), CommandId: v.command(), Reason: v.form("reason")})
		if err != nil {
			return v.refused(q.Back, err)
		}
		return v.showSecret(a.GetId(), a.GetName(), a.GetClientId(), got.GetClientSecret())
	}
	if _, err := v.c.API.Application.RemoveApplication(v.ctx, &munimentv1.RemoveApplicationRequest{ApplicationId: a.GetId(), CommandId: v.command(), Reason: v.form("reason")}); err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(path("console", "projects", a.GetProjectId()), "The application is removed.")
}
