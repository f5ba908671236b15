package cli_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
	"muniment.dev/cli"
	"muniment.dev/event"
	"muniment.dev/fault"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"muniment": muniment})
}

// muniment is the program as scripts run it. Its browser does what a person
// would: it opens the address and follows where it leads.
func muniment() {
	env := cli.Env{
		Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ConfigDir: os.Getenv("CONFIG"),
		Browse: func(address string) error {
			u, err := url.Parse(address)
			if err != nil {
				return err
			}
			if extra := os.Getenv("BROWSE"); extra != "" {
				u.RawQuery += "&" + extra
			}
			go func() {
				resp, err := http.Get(u.String())
				if err == nil {
					resp.Body.Close()
				}
			}()
			return nil
		},
	}
	err := cli.Run(context.Background(), env, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "muniment:", err)
	}
	os.Exit(cli.ExitCode(err))
}

// Each script is one behaviour of the command line, against a server whose
// edge is real and whose services are a few lines each.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			hs := newServer(env.Defer)
			env.Setenv("MUNIMENT_URL", hs.URL)
			env.Setenv("MUNIMENT_TOKEN", "good")
			env.Setenv("CONFIG", filepath.Join(env.WorkDir, "config"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode": func(ts *testscript.TestScript, _ bool, args []string) {
				info, err := os.Stat(ts.MkAbs(args[1]))
				ts.Check(err)
				if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
					ts.Fatalf("mode %s, want %s", got, args[0])
				}
			},
		},
	})
}

type tokens struct{}

func (tokens) Authenticate(_ context.Context, bearer string) (call.Caller, error) {
	if bearer != "good" && bearer != "from-login" {
		return call.Caller{}, fault.New(fault.Unauthenticated, "the access token is not good")
	}
	return call.Caller{Kind: "user", ID: event.MustID(strings.Repeat("ad", 16))}, nil
}

const someLog = "fedcba9876543210fedcba9876543210"

// users keeps users in memory, so far as scripts need it.
type users struct {
	connectv1.UnimplementedUserServiceHandler
	mu   sync.Mutex
	all  []*munimentv1.User
	done map[string]*munimentv1.CreateUserResponse // by command id
	pass string
}

func (u *users) CreateUser(ctx context.Context, r *munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, _ := call.FactsOf(ctx)
	if f.Source != "cli" {
		return nil, fault.New(fault.Refused, "source %q", f.Source)
	}
	if resp := u.done[r.CommandId]; resp != nil {
		return resp, nil
	}
	if r.Email == "" {
		return nil, fault.Field("email", "an e-mail address is missing")
	}
	id := fmt.Sprintf("%032x", len(u.all)+1)
	user := &munimentv1.User{
		Id: id, State: munimentv1.UserState_USER_STATE_ACTIVE, Email: &munimentv1.Text{Value: r.Email},
		Created: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)),
	}
	if r.DisplayName != "" {
		user.DisplayName = &munimentv1.Text{Value: r.DisplayName}
	}
	u.all = append(u.all, user)
	resp := &munimentv1.CreateUserResponse{
		Change: &munimentv1.Change{LogId: someLog, Position: uint64(len(u.all)), Time: user.Created}, UserId: id,
	}
	if r.Password == nil {
		resp.SetupLink = &munimentv1.SetupLink{Url: "https://id.example.org/setup#" + id}
	} else {
		u.pass = *r.Password
	}
	u.done[r.CommandId] = resp
	if r.Email == "lost@example.org" { // it happened, but nobody is told
		return nil, fault.New(fault.Unknown, "the outcome is not known")
	}
	return resp, nil
}

func (u *users) ListUsers(_ context.Context, r *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	from := 0
	fmt.Sscan(r.PageToken, &from)
	to := len(u.all)
	if r.PageSize > 0 {
		to = min(to, from+int(r.PageSize))
	}
	resp := &munimentv1.ListUsersResponse{Users: u.all[from:to]}
	if r.GetFilter().GetState() == munimentv1.UserState_USER_STATE_LOCKED {
		resp.Users = nil
	}
	if to < len(u.all) {
		resp.NextPageToken = fmt.Sprint(to)
	}
	return resp, nil
}

func (u *users) LockUser(_ context.Context, r *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
	return nil, &fault.Error{Kind: fault.Refused, Msg: "the user is locked already"}
}

func (u *users) EraseUser(_ context.Context, r *munimentv1.EraseUserRequest) (*munimentv1.EraseUserResponse, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, user := range u.all {
		if user.Id == r.UserId {
			user.State = munimentv1.UserState_USER_STATE_ERASED
			user.Email, user.DisplayName = &munimentv1.Text{Erased: true}, nil
		}
	}
	return &munimentv1.EraseUserResponse{Change: &munimentv1.Change{LogId: someLog, Position: 9}}, nil
}

func (u *users) ChangePassword(_ context.Context, r *munimentv1.ChangePasswordRequest) (*munimentv1.ChangePasswordResponse, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.OldPassword != u.pass {
		return nil, fault.New(fault.Denied, "the old password is wrong")
	}
	u.pass = r.NewPassword
	return &munimentv1.ChangePasswordResponse{Change: &munimentv1.Change{LogId: someLog, Position: 10}}, nil
}

// events has two of them, told by a stream.
type events struct {
	connectv1.UnimplementedEventServiceHandler
}

func (events) WatchEvents(_ context.Context, r *munimentv1.WatchEventsRequest, s *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
	for p := uint64(1); p <= 2; p++ {
		if err := s.Send(&munimentv1.WatchEventsResponse{Position: p}); err != nil { // a sign of life
			return err
		}
		if err := s.Send(&munimentv1.WatchEventsResponse{Position: p, Event: &munimentv1.Event{
			Position: p, Type: r.GetFilter().GetTypes()[0], Sentence: "Something happened.", Actor: &munimentv1.Actor{Kind: "user", Name: &munimentv1.Text{Value: "Ada"}},
		}}); err != nil {
			return err
		}
	}
	return nil
}

// ExportEvents answers a file in two parts; of the type user.gone only the first.
func (events) ExportEvents(_ context.Context, r *munimentv1.ExportEventsRequest, s *connect.ServerStream[munimentv1.ExportEventsResponse]) error {
	first := fmt.Sprintf("%s from %d since %v\n", r.GetFormat(), r.GetFilter().GetAfterPosition(), r.GetFilter().GetFrom().AsTime().Format(time.DateOnly))
	if err := s.Send(&munimentv1.ExportEventsResponse{Chunk: []byte(first), Count: 1, Position: 7}); err != nil {
		return err
	}
	if len(r.GetFilter().GetTypes()) > 0 {
		return fault.New(fault.Unavailable, "the server stops")
	}
	return s.Send(&munimentv1.ExportEventsResponse{Chunk: []byte("end\n"), Count: 2, Position: 9, Complete: true})
}

func (events) GetEvent(_ context.Context, r *munimentv1.GetEventRequest) (*munimentv1.GetEventResponse, error) {
	return &munimentv1.GetEventResponse{Event: &munimentv1.Event{Position: r.GetPosition(), EventId: r.GetEventId()}}, nil
}

func (events) ListEvents(_ context.Context, r *munimentv1.ListEventsRequest) (*munimentv1.ListEventsResponse, error) {
	return &munimentv1.ListEventsResponse{Events: []*munimentv1.Event{{Position: r.GetRead().GetAtPosition(), Time: r.GetRead().GetAtTime()}}}, nil
}

func (events) GetStatistics(context.Context, *munimentv1.GetStatisticsRequest) (*munimentv1.GetStatisticsResponse, error) {
	return &munimentv1.GetStatisticsResponse{TotalEvents: 200, Counted: 100, EventsPerSecond: 1.5, TreeDepth: 8,
		Types: []*munimentv1.TypeCount{{Type: "session.begun", Events: 75}, {Type: "signin\x1b.failed", Events: 25}}}, nil
}

func newServer(clean func(func())) *httptest.Server {
	u := &users{done: map[string]*munimentv1.CreateUserResponse{}}
	s, err := api.New(api.Options{
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
			Event:        events{},
			Instance:     connectv1.UnimplementedInstanceServiceHandler{},
			History:      connectv1.UnimplementedHistoryServiceHandler{},
			Me:           connectv1.UnimplementedMeServiceHandler{},
			Hosted:       connectv1.UnimplementedHostedInstanceServiceHandler{},
			Schema:       schemas{},
			Entity:       entities{},
			Subscription: connectv1.UnimplementedSubscriptionServiceHandler{},
			Adapter:      connectv1.UnimplementedAdapterServiceHandler{},
			Sync:         connectv1.UnimplementedSyncServiceHandler{},
		},
		Authenticator: tokens{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", s)
	hs := httptest.NewServer(mux)
	p := &provider{issuer: hs.URL, challenges: map[string]string{}}
	mux.HandleFunc("/.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("/authorize", p.authorize)
	mux.HandleFunc("/token", p.token)
	clean(hs.Close)
	return hs
}

// provider is as much of an OpenID provider as login needs, for a person who
// always agrees. It checks what a provider checks.
type provider struct {
	issuer     string
	mu         sync.Mutex
	challenges map[string]string // by code
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(map[string]string{
		"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token",
	})
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || back.Hostname() != "127.0.0.1" || back.Path != "/callback" || q.Get("client_id") != "muniment-cli" ||
		q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 32 || q.Get("scope") != "openid urn:muniment:scope:api" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}, "iss": {p.issuer}}
	switch q.Get("test") {
	case "deny":
		answer.Set("error", "access_denied")
		answer.Set("error_description", "not\x1b[2Jtoday")
	case "mixup":
		answer.Set("iss", "https://evil.example")
		answer.Set("code", "x")
	case "noise": // somebody else knocks first, without the state
		back.RawQuery = url.Values{"code": {"forged"}, "state": {"guess"}, "iss": {p.issuer}}.Encode()
		if resp, err := http.Get(back.String()); err == nil {
			resp.Body.Close()
		}
		fallthrough
	default:
		p.mu.Lock()
		p.challenges["the-code"] = q.Get("code_challenge")
		p.mu.Unlock()
		answer.Set("code", "the-code")
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	p.mu.Lock()
	want := p.challenges[r.PostFormValue("code")]
	p.mu.Unlock()
	if want == "" || base64.RawURLEncoding.EncodeToString(sum[:]) != want || r.PostFormValue("grant_type") != "authorization_code" {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"invalid_grant"}`)
		return
	}
	io.WriteString(w, `{"access_token":"from-login","token_type":"Bearer","expires_in":300}`)
}
