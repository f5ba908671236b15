package api_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// ada is whom the token "good" belongs to.
var ada = call.Caller{Kind: "user", ID: event.MustID(strings.Repeat("ad", 16)), SessionID: event.MustID(strings.Repeat("5e", 16))}

const (
	someID  = "0123456789abcdef0123456789abcdef"
	someLog = "fedcba9876543210fedcba9876543210"
)

// tokens is an Authenticator that knows some tokens.
type tokens map[string]call.Caller

func (k tokens) Authenticate(_ context.Context, bearer string) (call.Caller, error) {
	c, ok := k[bearer]
	if !ok {
		return call.Caller{}, fault.New(fault.Unauthenticated, "the access token is not good")
	}
	return c, nil
}

// users answers what the test says; everything else is unimplemented.
type users struct {
	connectv1.UnimplementedUserServiceHandler
	lock   func(context.Context, *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error)
	list   func(context.Context, *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error)
	create func(context.Context, *munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error)
}

func (u *users) LockUser(ctx context.Context, r *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
	return u.lock(ctx, r)
}

func (u *users) ListUsers(ctx context.Context, r *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error) {
	return u.list(ctx, r)
}

func (u *users) CreateUser(ctx context.Context, r *munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error) {
	return u.create(ctx, r)
}

type events struct {
	connectv1.UnimplementedEventServiceHandler
	watch func(context.Context, *munimentv1.WatchEventsRequest, *connect.ServerStream[munimentv1.WatchEventsResponse]) error
	get   func(context.Context, *munimentv1.GetEventRequest) (*munimentv1.GetEventResponse, error)
	list  func(context.Context, *munimentv1.ListEventsRequest) (*munimentv1.ListEventsResponse, error)
}

func (e *events) WatchEvents(ctx context.Context, r *munimentv1.WatchEventsRequest, s *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
	return e.watch(ctx, r, s)
}

func (e *events) GetEvent(ctx context.Context, r *munimentv1.GetEventRequest) (*munimentv1.GetEventResponse, error) {
	return e.get(ctx, r)
}

func (e *events) ListEvents(ctx context.Context, r *munimentv1.ListEventsRequest) (*munimentv1.ListEventsResponse, error) {
	return e.list(ctx, r)
}

// options are those of a server whose services do nothing but what u and e do.
func options(u *users, e *events) api.Options {
	return api.Options{
		Services: api.Services{
			User:         u,
			Organization: connectv1.UnimplementedOrganizationServiceHandler{},
			Project:      connectv1.UnimplementedProjectServiceHandler{},
			Application:  connectv1.UnimplementedApplicationServiceHandler{},
			Grant:        connectv1.UnimplementedGrantServiceHandler{},
			Member:       connectv1.UnimplementedMemberServiceHandler{},
			Permission:   connectv1.UnimplementedPermissionServiceHandler{},
			Policy:       connectv1.UnimplementedPolicyServiceHandler{},
			Session:      connectv1.UnimplementedSessionServiceHandler{},
			Event:        e,
			Instance:     connectv1.UnimplementedInstanceServiceHandler{},
			History:      connectv1.UnimplementedHistoryServiceHandler{},
			Me:           connectv1.UnimplementedMeServiceHandler{},
			Hosted:       connectv1.UnimplementedHostedInstanceServiceHandler{},
			Schema:       connectv1.UnimplementedSchemaServiceHandler{},
			Entity:       connectv1.UnimplementedEntityServiceHandler{},
			Subscription: connectv1.UnimplementedSubscriptionServiceHandler{},
			Adapter:      connectv1.UnimplementedAdapterServiceHandler{},
			Sync:         connectv1.UnimplementedSyncServiceHandler{},
		},
		Authenticator: tokens{"good": ada, "nobody": {Kind: "user"}},
		Log:           slog.New(slog.DiscardHandler),
	}
}

// serve starts a server that speaks HTTP/1.1 and HTTP/2 in clear.
func serve(t testing.TB, o api.Options) (*api.Server, *httptest.Server) {
	t.Helper()
	s, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewUnstartedServer(s)
	hs.Config.Protocols = new(http.Protocols)
	hs.Config.Protocols.SetHTTP1(true)
	hs.Config.Protocols.SetUnencryptedHTTP2(true)
	hs.Start()
	t.Cleanup(hs.Close)
	return s, hs
}

// bearing is an HTTP client that sends an access token and headers, over
// HTTP/2 if asked.
type bearing struct {
	token string
	h2    bool
	h     http.Header
}

func (b bearing) Do(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	for k, v := range b.h {
		r.Header[k] = v
	}
	p := new(http.Protocols)
	p.SetHTTP1(!b.h2)
	p.SetUnencryptedHTTP2(b.h2)
	return (&http.Client{Transport: &http.Transport{Protocols: p, DisableKeepAlives: !b.h2}, Timeout: 20 * time.Second}).Do(r)
}

// send makes one request of plain HTTP and answers status, header and body.
func send(t testing.TB, method, url string, h http.Header, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range h {
		r.Header[k] = v
	}
	resp, err := bearing{}.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// good are the headers of a REST call with a good token.
func good() http.Header {
	return http.Header{"Authorization": {"Bearer good"}, "Content-Type": {"application/json"}}
}

// services are all services of the sources, whether served or not.
func services() []protoreflect.ServiceDescriptor {
	var out []protoreflect.ServiceDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("muniment.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			out = append(out, f.Services().Get(i))
		}
		return true
	})
	return out
}

func locked(ctx context.Context, r *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
	return &munimentv1.LockUserResponse{Change: &munimentv1.Change{LogId: someLog, Position: 42}}, nil
}
