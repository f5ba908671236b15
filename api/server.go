package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"connectrpc.com/connect"

	"muniment.dev/api/call"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
)

// Services are the implementations behind the API. None may be nil.
type Services struct {
	User         connectv1.UserServiceHandler
	Organization connectv1.OrganizationServiceHandler
	Project      connectv1.ProjectServiceHandler
	Application  connectv1.ApplicationServiceHandler
	Grant        connectv1.GrantServiceHandler
	Member       connectv1.MemberServiceHandler
	Permission   connectv1.PermissionServiceHandler
	Policy       connectv1.PolicyServiceHandler
	Session      connectv1.SessionServiceHandler
	Event        connectv1.EventServiceHandler
	Instance     connectv1.InstanceServiceHandler
	History      connectv1.HistoryServiceHandler
	Me           connectv1.MeServiceHandler
	Hosted       connectv1.HostedInstanceServiceHandler
	Schema       connectv1.SchemaServiceHandler
	Entity       connectv1.EntityServiceHandler
	Subscription connectv1.SubscriptionServiceHandler
	Adapter      connectv1.AdapterServiceHandler
	Sync         connectv1.SyncServiceHandler
}

// Authenticator finds out who sent an access token.
type Authenticator interface {
	// Authenticate answers whose token it is and that it is good now: not
	// expired, not revoked, the session not ended, the account active. An
	// Unauthenticated fault if it is not; Unavailable if that cannot be known.
	// It is asked for every call, and again during a stream.
	Authenticate(ctx context.Context, bearer string) (call.Caller, error)
}

// Options say how the API is served. Services and Authenticator are required.
type Options struct {
	Services      Services
	Authenticator Authenticator
	// Log receives defects and unknown outcomes; slog.Default() if nil.
	Log *slog.Logger
	// ClientIP finds the address of a caller, where a proxy stands before the
	// server. The remote address if nil.
	ClientIP func(remoteAddr string, h http.Header) netip.Addr
	// MaxMessage bounds a request's message, in bytes; 1 MiB if 0.
	MaxMessage int
	// Timeout bounds a call that is not a stream; 30 seconds if 0.
	Timeout time.Duration
	// Others are requests in protocols of others.
	Others []Other
	// Observer is told of calls; nobody if nil.
	Observer Observer
	// Recheck is how often the caller of a stream is authenticated again;
	// 15 seconds if 0.
	Recheck time.Duration
}

// Observer is told what is called, for those who operate the server. Methods
// are full names of our sources, answers "ok" or kinds of errors.
type Observer interface {
	Called(method, answer string, took time.Duration)
	Streaming(delta int) // so many more streams are open
}

type nobody struct{}

func (nobody) Called(string, string, time.Duration) {}
func (nobody) Streaming(int)                        {}

// Server is the API as an http.Handler.
type Server struct {
	opts  Options
	rpc   *http.ServeMux
	rest  *transcoder
	paths []string
	impls map[string]any // by path: what is mounted there
}

// New makes the API. It fails if something required is missing, or if the
// annotations of the services contradict each other.
func New(o Options) (*Server, error) {
	if o.Authenticator == nil {
		return nil, errors.New("api: no Authenticator")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.ClientIP == nil {
		o.ClientIP = remoteIP
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	o.MaxMessage = cmp.Or(o.MaxMessage, 1<<20)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Recheck = cmp.Or(o.Recheck, 15*time.Second)
	s := &Server{opts: o, rpc: http.NewServeMux(), impls: map[string]any{}}
	if err := s.register(); err != nil {
		return nil, err
	}
	rest, err := newTranscoder(s)
	s.rest = rest
	return s, err
}

// register puts every service behind the same gate and interceptor.
func (s *Server) register() error {
	opts := []connect.HandlerOption{
		connect.WithRequestGate(s.gate),
		connect.WithInterceptors(&interceptor{s}),
		connect.WithCodec(strictJSON{"json"}),
		connect.WithCodec(strictJSON{"json; charset=utf-8"}),
		connect.WithReadMaxBytes(s.opts.MaxMessage),
	}
	v := s.opts.Services
	return errors.Join(
		mount(s, "user", v.User, connectv1.NewUserServiceHandler, opts),
		mount(s, "organization", v.Organization, connectv1.NewOrganizationServiceHandler, opts),
		mount(s, "project", v.Project, connectv1.NewProjectServiceHandler, opts),
		mount(s, "application", v.Application, connectv1.NewApplicationServiceHandler, opts),
		mount(s, "grant", v.Grant, connectv1.NewGrantServiceHandler, opts),
		mount(s, "member", v.Member, connectv1.NewMemberServiceHandler, opts),
		mount(s, "permission", v.Permission, connectv1.NewPermissionServiceHandler, opts),
		mount(s, "policy", v.Policy, connectv1.NewPolicyServiceHandler, opts),
		mount(s, "session", v.Session, connectv1.NewSessionServiceHandler, opts),
		mount(s, "event", v.Event, connectv1.NewEventServiceHandler, opts),
		mount(s, "instance", v.Instance, connectv1.NewInstanceServiceHandler, opts),
		mount(s, "history", v.History, connectv1.NewHistoryServiceHandler, opts),
		mount(s, "me", v.Me, connectv1.NewMeServiceHandler, opts),
		mount(s, "schema", v.Schema, connectv1.NewSchemaServiceHandler, opts),
		mount(s, "entity", v.Entity, connectv1.NewEntityServiceHandler, opts),
		mount(s, "subscription", v.Subscription, connectv1.NewSubscriptionServiceHandler, opts),
		mount(s, "sync", v.Sync, connectv1.NewSyncServiceHandler, opts),
		mount(s, "adapter", v.Adapter, connectv1.NewAdapterServiceHandler, opts),
		mount(s, "hosted instance", v.Hosted, connectv1.NewHostedInstanceServiceHandler, opts),
	)
}

func mount[H comparable](s *Server, name string, h H, handler func(H, ...connect.HandlerOption) (string, http.Handler), opts []connect.HandlerOption) error {
	var none H
	if h == none {
		return errors.New("api: no implementation of the " + name + " service")
	}
	path, hh := handler(h, opts...)
	s.rpc.Handle(path, hh)
	s.paths = append(s.paths, path)
	s.impls[path] = h
	return nil
}

// Paths are the patterns under which to mount the Server in an http.ServeMux.
func (s *Server) Paths() []string {
	return append([]string{"/v1/", "/openapi.json", "/api"}, s.paths...)
}

// ServeHTTP serves a request of any of the protocols.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if serveReference(w, r) {
		return
	}
	if _, pattern := s.rpc.Handler(r); pattern != "" {
		s.rpc.ServeHTTP(w, r)
		return
	}
	s.rest.ServeHTTP(w, r)
}

// remoteIP is the address of whoever opened the connection.
func remoteIP(remoteAddr string, _ http.Header) netip.Addr {
	a, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}
