// Package console is the pages for administrators and for people who look after
// their own account: people, organizations, projects, applications, roles,
// members, and the log with the proof of every event.
//
// It promises: it can do nothing that the API does not let the signed-in person
// do, because it calls nothing else and calls it as that person; the pages work
// without JavaScript; what a page shows can be linked to, and no address holds
// personal data (people are searched for by a form that is posted); what cannot
// be undone asks first; a form sent twice happens once, by its command id; a
// secret is shown once and kept nowhere.
//
// It decides nothing. It leaves out what the person's memberships do not allow,
// as a courtesy only.
package console

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/page"
)

//go:embed html/*.html
var files embed.FS

// Clients call the API in process. The fields are those of the API's own type,
// so that one converts to the other.
type Clients struct {
	User         connectv1.UserServiceClient
	Organization connectv1.OrganizationServiceClient
	Project      connectv1.ProjectServiceClient
	Application  connectv1.ApplicationServiceClient
	Grant        connectv1.GrantServiceClient
	Member       connectv1.MemberServiceClient
	Permission   connectv1.PermissionServiceClient
	Policy       connectv1.PolicyServiceClient
	Session      connectv1.SessionServiceClient
	Event        connectv1.EventServiceClient
	Instance     connectv1.InstanceServiceClient
	History      connectv1.HistoryServiceClient
	Me           connectv1.MeServiceClient
	Hosted       connectv1.HostedInstanceServiceClient
	Schema       connectv1.SchemaServiceClient
	Entity       connectv1.EntityServiceClient
	Subscription connectv1.SubscriptionServiceClient
	Adapter      connectv1.AdapterServiceClient
	Sync         connectv1.SyncServiceClient
}

// Sessions says who is signed in.
type Sessions interface {
	// Caller finds the person of a session's token, checked against the log
	// now. Kind Unauthenticated if the token is not good (any more).
	Caller(ctx context.Context, token string) (call.Caller, error)
}

// Config is what the console rests on. All but Hosting and ClientIP is required.
type Config struct {
	Site     *page.Site
	Sessions Sessions
	API      Clients
	// AsFault turns an error of the API's clients back into a fault.
	AsFault func(error) error
	// LoginPath returns the path of the sign-in page that leads on to an own path.
	LoginPath func(next string) string
	// Hosting says whether the instance hosts others.
	Hosting bool
	// ClientIP finds the address of a browser, where a proxy stands before the
	// server. The remote address if nil.
	ClientIP func(*http.Request) netip.Addr
}

// Console serves the pages.
type Console struct {
	c     Config
	pages *page.Pages
	mux   *http.ServeMux
}

// New parses the pages.
func New(c Config) (*Console, error) {
	if c.Site == nil || c.Sessions == nil || c.AsFault == nil || c.LoginPath == nil || c.API.Me == nil {
		return nil, fault.New(fault.Internal, "console: site, sessions, API, AsFault and LoginPath are required")
	}
	if c.ClientIP == nil {
		c.ClientIP = remoteIP
	}
	asFault := c.AsFault
	c.AsFault = func(err error) error {
		var f *fault.Error
		if errors.As(err, &f) {
			return err // one of ours already
		}
		return asFault(err)
	}
	dir, err := fs.Sub(files, "html")
	if err != nil {
		return nil, err
	}
	pages, err := c.Site.Pages(dir, page.Frame, funcs())
	if err != nil {
		return nil, fault.Wrap("parse the console's pages", err)
	}
	o := &Console{c: c, pages: pages, mux: http.NewServeMux()}
	for pattern, h := range o.routes() {
		o.mux.HandleFunc(pattern, o.enter(h))
	}
	return o, nil
}

// Patterns are those under which to mount the console in an http.ServeMux.
func (o *Console) Patterns() []string {
	return []string{"/{$}", "/console", "/console/", "/account", "/account/"}
}

// ServeHTTP serves the pages, guards included.
func (o *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.c.Site.Handler(o.mux).ServeHTTP(w, r)
}

// visit is one request of a signed-in person.
type visit struct {
	*Console
	w   http.ResponseWriter
	r   *http.Request
	ctx context.Context // carries the caller and the facts of the request
	me  *me
	names
	read *munimentv1.Read // the point of the past that the page shows; nil: now
	trip *travel          // nil for pages that have none
}

// enter finds out who is asking, and shows what a handler fails with. Whoever
// is not signed in is led to the sign-in page, and back if they only looked.
func (o *Console) enter(h func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := call.WithFacts(r.Context(), call.Facts{
			RequestID: event.NewID(), Source: "console", IP: o.c.ClientIP(r),
			UserAgent: strings.ToValidUTF8(r.UserAgent()[:min(len(r.UserAgent()), 512)], ""),
		})
		v := &visit{Console: o, w: w, r: r, ctx: ctx}
		err := v.signedIn()
		if err == nil {
			err = v.arrive()
		}
		if err == nil {
			err = h(v)
		}
		switch {
		case err == nil:
		case fault.Is(err, fault.Unauthenticated) && r.Method != http.MethodPost:
			http.Redirect(w, r, o.c.LoginPath(r.URL.RequestURI()), http.StatusSeeOther)
		case fault.Is(err, fault.Unauthenticated):
			http.Redirect(w, r, o.c.LoginPath(r.URL.Path), http.StatusSeeOther)
		default:
			v.fail(err)
		}
	}
}

// signedIn puts the caller into the context and asks the API who that is.
func (v *visit) signedIn() error {
	token := v.c.Site.Session(v.r)
	if token == "" {
		return fault.New(fault.Unauthenticated, "nobody is signed in in this browser")
	}
	caller, err := v.c.Sessions.Caller(v.ctx, token)
	if err != nil {
		return err
	}
	v.ctx = call.WithCaller(v.ctx, caller)
	got, err := v.c.API.Me.GetMe(v.ctx, &munimentv1.GetMeRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	v.me = &me{GetMeResponse: got}
	return nil
}

// show renders a page at its place in the navigation.
func (v *visit) show(name, nav, title string, data any) error {
	return v.showAs(http.StatusOK, name, v.view(nav, title, data))
}

func (v *visit) view(nav, title string, data any) page.View {
	return page.View{Nav: nav, Title: title, Data: data}
}

func (v *visit) showAs(status int, name string, view page.View) error {
	view.Menu = v.menu()
	if v.trip != nil {
		view.Travel = v.trip
		if view.Script == "" {
			view.Script = "travel.js"
		}
	}
	v.pages.Render(v.w, v.r, status, name, view)
	return nil
}

// fail shows a fault; within the frame if it is known for whom.
func (v *visit) fail(err error) {
	if v.me == nil {
		v.c.Site.Fail(v.w, v.r, err)
		return
	}
	v.pages.Fail(v.w, v.r, page.View{Menu: v.menu()}, err)
}

// done says what happened on the page that the browser is sent to.
func (v *visit) done(path string, text string) error {
	v.c.Site.Say(v.w, v.r, page.Note{Tone: page.Good, Text: text})
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// refused shows, on the page that the browser is sent to, why a change did not
// happen. Faults that are not about the request itself are passed on.
func (v *visit) refused(path string, err error) error {
	err = v.c.AsFault(err)
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Exists, fault.Conflict, fault.Refused, fault.Denied, fault.Exhausted:
		v.c.Site.Say(v.w, v.r, page.Note{Tone: page.Bad, Text: page.Sentence(fault.Public(err))})
	case fault.Unknown, fault.Unavailable:
		v.c.Site.Say(v.w, v.r, page.Note{Tone: page.Warn, Text: page.Sentence(fault.Public(err)) + " Look here whether it happened before you repeat it."})
	default:
		return err
	}
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// id returns the id in the address. It is refused as not found: no such page
// can exist.
func (v *visit) id() (string, error) {
	id, err := event.ParseID(v.r.PathValue("id"))
	if err != nil {
		return "", fault.New(fault.NotFound, "the address holds no id")
	}
	return id.String(), nil
}

// form returns a field of the posted form, without spaces around it.
func (v *visit) form(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }

// command is the command id that the form was made with, so that a form sent
// twice happens once. Made by the API if it is missing.
func (v *visit) command() string { return v.form("command_id") }

// remoteIP is the address of whoever opened the connection.
func remoteIP(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// path joins segments to an own path, each escaped.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}
