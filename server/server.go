package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	"muniment.dev/app/appapi"
	"muniment.dev/audit"
	"muniment.dev/audit/auditapi"
	"muniment.dev/console"
	"muniment.dev/custom/customapi"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/field/datacollect"
	"muniment.dev/field/external/externalapi"
	"muniment.dev/field/fieldapi"
	"muniment.dev/grant/grantapi"
	"muniment.dev/history"
	"muniment.dev/hook/hookapi"
	"muniment.dev/hosting/hostingapi"
	"muniment.dev/instance/instanceapi"
	"muniment.dev/login"
	"muniment.dev/member/memberapi"
	"muniment.dev/oidc"
	"muniment.dev/ops"
	"muniment.dev/org/orgapi"
	"muniment.dev/page"
	"muniment.dev/policy/policyapi"
	"muniment.dev/project/projectapi"
	"muniment.dev/react"
	"muniment.dev/seal/erasure"
	"muniment.dev/session/meapi"
	"muniment.dev/session/sessionapi"
	"muniment.dev/session/signin"
	"muniment.dev/user/password"
	"muniment.dev/user/userapi"
)

// Extra is what tests and the demo inject; the zero value is production's.
type Extra struct {
	Clock     func() time.Time
	Logger    *slog.Logger
	Passwords password.Params // of argon2id
	Observe   Observe
	// Pool hashes passwords, if several instances share it; nil: one of its own.
	Pool *password.Pool
	// Hosting runs the instances that this one hosts; nil: it hosts none.
	Hosting hostingapi.Fleet
	// Hosted is set for an instance that another one hosts.
	Hosted *Hosted
	// Nodes shares logs with other processes; nil: they are not shared.
	Nodes *Nodes
	// WebhookTLS is by what receivers are known; nil: the system's roots.
	// WebhookRetry is when what failed is tried again; zero: the usual times.
	WebhookTLS   *tls.Config
	WebhookRetry react.Retry
	// AdapterRetry is when a run of an adapter that failed is tried again, and
	// AdapterTimeout how long a call of an external system may take; zero: the
	// usual times.
	AdapterRetry   react.Retry
	AdapterTimeout time.Duration
	// Store is the engine; nil: the one of the settings.
	Store eventlog.Store
}

// Server is an instance with its API, OpenID provider and pages.
type Server struct {
	Core   *Core
	API    *api.Clients // in process, as the caller in the context
	SignIn *signin.Service

	config     Config
	extra      Extra
	admin      *ops.Admin
	observe    Observe
	unobserve  func()
	started    time.Time
	broken     chan error      // the store cannot go on; the process has to end
	streams    context.Context // ends the streams of events
	endStreams context.CancelFunc
	pool       *password.Pool
	provider   *provider
	keys       *keyring
	hooks      *hookapi.Service
	adapters   *externalapi.Service
	working    sync.WaitGroup // what runs by itself until endStreams
	openid     *oidc.Provider
	handler    http.Handler
}

// New opens the data directory that c names and assembles the server.
func New(ctx context.Context, c Config, x Extra) (_ *Server, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if x.Logger == nil {
		x.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	x.Logger = x.Observe.logger(x.Logger)
	u, _ := url.Parse(c.ExternalURL) // Check parsed it
	broken := make(chan error, 1)
	store, copies, err := openStore(ctx, c, x, func(err error) { broken <- err }, x.Logger)
	if err != nil {
		return nil, err
	}
	admin, err := ops.ListenAdmin(layout(c), copies, x.Logger)
	if err != nil {
		store.Close()
		return nil, err
	}
	core, err := Open(ctx, Options{Data: c.Data, Store: store, Keys: layout(c).Keys, Views: layout(c).Views, Host: u.Hostname(), Name: c.Name, Register: c.Register, RootKey: c.RootKey,
		Clock: x.Clock, Logger: x.Logger, Observer: x.Observe.log(), Hosted: x.Hosted, Nodes: x.Nodes, Forget: []erasure.Forget{{Name: "snapshots", Do: admin.Withdraw}}})
	if err != nil {
		admin.Close()
		return nil, err
	}
	if err := ops.Admitted(layout(c)); err != nil {
		x.Logger.Warn("the note that this directory was restored cannot be removed", "error", err)
	}
	s := &Server{Core: core, config: c, extra: x, admin: admin, started: time.Now(), broken: broken, observe: x.Observe}
	admin.HandleViews(core.Views)
	admin.Handle(ops.AskStatus, s.answerStatus)
	s.streams, s.endStreams = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.pool = x.Pool; s.pool == nil {
		s.pool = password.NewPool(x.Passwords, 0, 0)
	}
	s.SignIn = signin.New(core.Runner, s.pool)
	if err := s.assemble(x); err != nil {
		return s, err
	}
	if m := x.Observe.Metrics; m != nil {
		s.unobserve = m.Add(s.sample)
	}
	return s, nil
}

// URL is the address under which browsers reach the server.
func (s *Server) URL() string { return s.config.ExternalURL }

// Handler serves everything.
func (s *Server) Handler() http.Handler { return s.handler }

// EndStreams ends the streams of events: they would go on for as long as
// somebody reads them.
func (s *Server) EndStreams() { s.endStreams() }

// Broken gives the error with which the store cannot go on. The process has to
// end then: only a new one can open the store again.
func (s *Server) Broken() <-chan error { return s.broken }

// Close stops everything in order.
func (s *Server) Close() error {
	s.endStreams()
	if s.unobserve != nil {
		s.unobserve()
	}
	s.admin.Close()
	s.working.Wait()
	return s.Core.Close()
}

// key derives a key of its own for one use.
func (s *Server) key(use string) ([]byte, error) { return s.Core.key(use) }

// assemble builds what serves requests, from the inside out.
func (s *Server) assemble(x Extra) error {
	forms, err := s.key("forms")
	if err != nil {
		return err
	}
	u, _ := url.Parse(s.URL())
	site, err := page.New(page.Settings{Origin: s.URL(), PlainLoopback: u.Scheme == "http", Key: forms,
		NameOf: s.name, Log: x.Logger, Now: s.Core.Log.Now})
	if err != nil {
		return err
	}
	s.provider = &provider{core: s.Core, signin: s.SignIn, site: site}
	if err := s.openProvider(site, x.Logger); err != nil {
		return err
	}
	address := clientAddress(s.behindProxy())
	server, err := s.openAPI(address, x.Logger)
	if err != nil {
		return err
	}
	fromRequest := func(r *http.Request) netip.Addr { return address(r.RemoteAddr, r.Header) }
	signIn, err := login.New(login.Config{Site: site, Sessions: people{s.SignIn}, Setups: people{s.SignIn}, Flows: s.openid, ClientIP: fromRequest, Links: s.links, Home: "/console"})
	if err != nil {
		return err
	}
	con, err := console.New(console.Config{Site: site, Sessions: people{s.SignIn}, API: console.Clients(*s.API), AsFault: api.AsFault, Hosting: s.extra.Hosting != nil,
		LoginPath: func(next string) string { return login.PathLogin + "?return=" + url.QueryEscape(next) }, ClientIP: fromRequest})
	if err != nil {
		return err
	}
	s.handler = s.observe.handler(patient(patience, s.fresh(site, s.route(site, server, signIn, con, address))))
	return nil
}

func (s *Server) openProvider(site *page.Site, logger *slog.Logger) error {
	flows, err := s.key("flows")
	if err != nil {
		return err
	}
	pages, err := login.Provider(site)
	if err != nil {
		return err
	}
	p := s.provider
	s.keys = &keyring{core: s.Core}
	s.working.Go(func() { s.keys.run(s.streams, logger) })
	s.openid, err = oidc.New(oidc.Config{Issuer: s.URL(), LoginPath: login.PathLogin, Clients: p, Sessions: p, Grants: grants{p}, Refresh: p, Tokens: p, Users: p, Consents: p, Machines: p, Origins: p, Assertions: p,
		Keys: s.keys, Pages: pages, FlowKeys: [][32]byte{[32]byte(flows)}, ACRs: []string{signin.ACR}, Now: s.Core.Log.Now, Log: logger})
	return err
}

func (s *Server) openAPI(address func(string, http.Header) netip.Addr, logger *slog.Logger) (*api.Server, error) {
	c := adapter.Core{Runner: s.Core.Runner, Views: s.Core.Views}
	services := s.services(c)
	var others []api.Other
	if entities, ok := services.Entity.(*customapi.EntityService); ok {
		read := func(ctx context.Context, h http.Header, body []byte) (proto.Message, error) {
			return entities.ReadCloudEvents(ctx, h, body)
		}
		others = append(others, api.Other{Path: customapi.CloudEventsPath, Method: customapi.PublishMethod, Read: read, Field: customapi.CloudEventsField})
	}
	server, err := api.New(api.Options{Services: services, Others: others, Authenticator: s, ClientIP: address, Log: logger, Observer: s.observe.api()})
	if err != nil {
		return nil, err
	}
	s.API = server.Clients()
	return server, nil
}

// Authenticate implements api.Authenticator: only access tokens that were
// issued for this API open it.
func (s *Server) Authenticate(ctx context.Context, bearer string) (call.Caller, error) {
	return s.provider.authenticate(ctx, s.openid, bearer)
}

// route puts everything under its addresses.
func (s *Server) route(site *page.Site, a *api.Server, signIn *login.Login, con *console.Console, address func(string, http.Header) netip.Addr) http.Handler {
	mux := http.NewServeMux()
	openid := http.NewServeMux()
	s.openid.Register(openid)
	protocol := withFacts("oidc", address, openid)
	mux.Handle("/oauth/", protocol)
	mux.Handle("/.well-known/", protocol)
	for _, p := range a.Paths() {
		mux.Handle(p, s.openid.Scripts(apiScripts, a))
	}
	for _, p := range signIn.Patterns() {
		mux.Handle(p, s.canonical(signIn))
	}
	for _, p := range con.Patterns() {
		mux.Handle(p, s.canonical(con))
	}
	if s.config.DataCollect == "on" {
		engine := &fieldapi.Engine{Catalog: s.Core.Catalog, Publisher: s.Core.Customs, Runner: s.Core.Runner}
		mux.Handle("/api/", withFacts("datacollect", address, datacollect.New(engine, s.SignIn)))
	}
	mux.Handle("GET /assets/", site.Assets())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("/", site.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site.Fail(w, r, fault.New(fault.NotFound, "there is nothing under this address"))
	})))
	return mux
}

// ready says whether requests are served, and if not, why.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.readable(r.Context()); err != nil {
		http.Error(w, "log: "+fault.Public(err), http.StatusServiceUnavailable)
		return
	}
	if store, can := s.Core.Log.Store().(eventlog.Readiness); can {
		if err := store.Ready(r.Context()); err != nil {
			http.Error(w, "changes: "+fault.Public(err), http.StatusServiceUnavailable)
			return
		}
	}
	if err := s.Core.Log.Lost(); err != nil {
		http.Error(w, "changes: "+fault.Public(err), http.StatusServiceUnavailable)
		return
	}
	if err := s.Core.Publisher.Err(); err != nil {
		http.Error(w, "checkpoints: "+fault.Public(err), http.StatusServiceUnavailable)
		return
	}
	switch st := s.Core.Views.Status(); {
	case st.Stopped != nil:
		http.Error(w, "views have stopped: "+fault.Public(st.Stopped)+"; the server's log says at which event", http.StatusServiceUnavailable)
		return
	case st.Retrying != nil:
		http.Error(w, "views are being tried again: "+fault.Public(st.Retrying), http.StatusServiceUnavailable)
		return
	}
	if lag := s.Core.Views.Lag(); lag > 5*time.Second {
		http.Error(w, "views are "+lag.Round(time.Second).String()+" behind", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}

// readable says why what other nodes recorded cannot be read here, or nobody
// may append. That there is no holder for the moment is no reason: reads go on.
func (s *Server) readable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpFor)
	defer cancel()
	if r := s.Core.Log.Role(); r.Refused != nil && !r.Leads && r.Left <= 0 {
		return r.Refused
	}
	return s.caughtUp(ctx)
}

// Visit is an application's sign-in for a person who is signed in: a code,
// issued and redeemed. The demo tells its history with it.
func (s *Server) Visit(ctx context.Context, live signin.Session, client string) error {
	now := s.Core.Log.Now()
	code := sha256.Sum256([]byte(event.NewID().String()))
	c, err := s.provider.Client(ctx, client)
	if err != nil {
		return err
	}
	g := oidc.CodeGrant{Grant: event.NewID(), CodeHash: code, Client: client, RedirectURI: c.RedirectURIs[0], Scopes: []string{"openid"},
		User: live.User, Session: live.Begun.Session, AuthTime: live.AuthTime, AMR: live.AMR, ACR: live.ACR, Issued: now, Expires: now.Add(time.Minute)}
	if err := s.provider.IssueCode(ctx, g); err != nil {
		return err
	}
	return s.provider.Redeem(ctx, oidc.Redemption{CodeHash: code, Access: oidc.AccessToken{ID: event.NewID(), Grant: g.Grant, Session: g.Session, User: g.User, Client: client,
		Scopes: g.Scopes, Audience: []string{s.URL()}, Issued: now, Expires: now.Add(5 * time.Minute)}})
}

// reader reads records for people.
func (s *Server) reader() *audit.Reader {
	return &audit.Reader{Log: s.Core.Log, Sealer: s.Core.Sealer, Names: &names{s.Core}}
}

// services are the implementations behind the API.
func (s *Server) services(c adapter.Core) api.Services {
	users := userapi.New(c, userapi.Needs{Choose: s.SignIn.Choose, CheckPassword: s.SignIn.CheckPassword, SamePassword: s.SignIn.SamePassword, NewLink: signin.NewLink, LinkLife: signin.LinkLife,
		LinkURL: func(secret string) string { return s.URL() + login.PathSetup + "/" + secret }, Erasure: s.Core.Erasure.Status, DefaultOrganization: s.defaultOrganization})
	members, permissions, grants := memberapi.New(c), memberapi.NewPermissions(c), grantapi.New(c)
	events := &auditapi.Service{Runner: s.Core.Runner, Reader: s.reader(), Checkpoints: s.Core.Publisher, Prover: s.Core.Prover, VerifierKey: s.Core.VerifierKey, Statistics: s.Core.Stats, URL: s.URL(), Streams: s.streams}
	sessions := sessionapi.New(c)
	schemas, entities := customapi.New(c, customapi.Needs{Catalog: s.Core.Catalog, Publisher: s.Core.Customs, Erasure: s.Core.Erasure.Status,
		Reader: s.reader(), Checkpoints: s.Core.Publisher, Prover: s.Core.Prover, Record: events.Recorded})
	s.openHooks(c, events)
	engine := &fieldapi.Engine{Catalog: s.Core.Catalog, Publisher: s.Core.Customs, Runner: c.Runner}
	s.findDuplicates(engine)
	s.openAdapters(c, engine, entities)
	return api.Services{
		User: users, Organization: orgapi.New(c, net.DefaultResolver), Project: projectapi.New(c), Application: appapi.New(c), Grant: grants, Member: members, Permission: permissions, Policy: policyapi.New(c),
		Session: sessions, Event: events, History: history.New(c, events), Me: &meapi.Service{Users: users, Sessions: sessions, Members: members, Permits: permissions, Grants: grants, Events: events},
		Instance: instanceapi.New(c, instanceapi.Needs{Instance: s.Core.Instance, URL: s.URL(), Version: Version(), Checkpoints: s.Core.Publisher, Prover: s.Core.Prover, VerifierKey: s.Core.VerifierKey, NewKey: newKey}),
		Schema:   schemas, Entity: entities,
		Sync:   fieldapi.New(c, fieldapi.Needs{Engine: engine, Levels: s.adapters.Delivered, Schemas: schemas, Entities: entities, Record: events.Recorded}),
		Hosted: hostingapi.New(c, s.extra.Hosting), Subscription: s.hooks, Adapter: s.adapters,
	}
}
