package console

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// backend is an in-memory stand-in for the services behind the API. It is
// strict about what it is sent and simple about everything else.
type backend struct {
	connectv1.UnimplementedUserServiceHandler
	connectv1.UnimplementedOrganizationServiceHandler
	connectv1.UnimplementedProjectServiceHandler
	connectv1.UnimplementedApplicationServiceHandler
	connectv1.UnimplementedGrantServiceHandler
	connectv1.UnimplementedMemberServiceHandler
	connectv1.UnimplementedPermissionServiceHandler
	connectv1.UnimplementedPolicyServiceHandler
	connectv1.UnimplementedSessionServiceHandler
	connectv1.UnimplementedEventServiceHandler
	connectv1.UnimplementedInstanceServiceHandler
	connectv1.UnimplementedHistoryServiceHandler
	connectv1.UnimplementedMeServiceHandler
	connectv1.UnimplementedHostedInstanceServiceHandler
	connectv1.UnimplementedSchemaServiceHandler
	connectv1.UnimplementedEntityServiceHandler
	connectv1.UnimplementedSyncServiceHandler
	connectv1.UnimplementedSubscriptionServiceHandler
	connectv1.UnimplementedAdapterServiceHandler

	t  *testing.T
	mu sync.Mutex

	users    []*munimentv1.User
	orgs     []*munimentv1.Organization
	projects []*munimentv1.Project
	roles    []*munimentv1.Role
	apps     []*munimentv1.Application
	grants   []*munimentv1.Grant
	members  []*munimentv1.Member
	sessions []*munimentv1.Session
	used     []*munimentv1.UserApplication
	events   []*munimentv1.GetEventResponse // by position
	erasure  *munimentv1.GetErasureResponse
	asked    []*munimentv1.Read // how old answers were to be

	commands map[string]int      // how often each command id came
	calls    []string            // methods that changed something, with what matters of them
	deny     map[string]error    // method → error
	tokens   map[string]event.ID // session token → user
	added    chan struct{}       // closed and made anew when an event is added
	cutShort bool                // an export cannot be finished
	noPoint  bool                // there is no checkpoint yet
}

// now is when everything in these tests happens.
var now = time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }

func text(s string) *munimentv1.Text { return &munimentv1.Text{Value: s} }

func gone() *munimentv1.Text { return &munimentv1.Text{Erased: true} }

const (
	adaID   = "0f3a9c1e5b7d4f60a1b2c3d4e5f60718"
	graceID = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
	alanID  = "2b3c4d5e6f708192a3b4c5d6e7f8091a"
	goneID  = "3c4d5e6f708192a3b4c5d6e7f8091a2b"
	acmeID  = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
	babbID  = "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
	booksID = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
	appID   = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
	hereID  = "e0e1e2e3e4e5e6e7e8e9eaebecedeeef"
	phoneID = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
	logID   = "9a8b7c6d5e4f30210a1b2c3d4e5f6071"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"

// newBackend holds a small company: Ada owns the instance, Grace and Alan work
// there, somebody was erased.
func newBackend(t *testing.T) *backend {
	user := func(id, given, family string, s munimentv1.UserState, changed time.Duration) *munimentv1.User {
		return &munimentv1.User{Id: id, OrganizationId: acmeID, State: s, Email: text(strings.ToLower(given) + "@analytical.example"),
			GivenName: text(given), FamilyName: text(family), DisplayName: text(given + " " + family), PasswordSet: true,
			Created: ago(30 * 24 * time.Hour), Changed: ago(changed), Version: 7, Position: 12}
	}
	alan := user(alanID, "Alan", "Turing", munimentv1.UserState_USER_STATE_LOCKED, 3*time.Hour)
	alan.PasswordSet = false
	forgotten := &munimentv1.User{Id: goneID, OrganizationId: acmeID, State: munimentv1.UserState_USER_STATE_ERASED, Email: gone(),
		GivenName: gone(), FamilyName: gone(), DisplayName: gone(), Created: ago(29 * 24 * time.Hour), Changed: ago(26 * time.Hour), Version: 9, Position: 9}
	b := &backend{t: t, commands: map[string]int{}, deny: map[string]error{}, tokens: map[string]event.ID{}, added: make(chan struct{}),
		users: []*munimentv1.User{user(adaID, "Ada", "Lovelace", munimentv1.UserState_USER_STATE_ACTIVE, 40*time.Minute),
			user(graceID, "Grace", "Hopper", munimentv1.UserState_USER_STATE_ACTIVE, 5*24*time.Hour), alan, forgotten,
			{Id: robotID, OrganizationId: acmeID, Kind: machineKind, State: munimentv1.UserState_USER_STATE_ACTIVE, DisplayName: text("Nightly backup"), Description: "every night", Created: ago(time.Hour), Changed: ago(time.Hour), Version: 2, Position: 13}},
		orgs: []*munimentv1.Organization{
			{Id: acmeID, Name: "Analytical Engines", State: munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE, Created: ago(31 * 24 * time.Hour), Changed: ago(31 * 24 * time.Hour), Version: 1, Position: 2},
			{Id: babbID, Name: "Babbage & Sons", State: munimentv1.OrganizationState_ORGANIZATION_STATE_DEACTIVATED, Created: ago(20 * 24 * time.Hour), Changed: ago(2 * 24 * time.Hour), Version: 2, Position: 8},
		},
		projects: []*munimentv1.Project{{Id: booksID, OrganizationId: acmeID, Name: "Ledger Books", Created: ago(25 * 24 * time.Hour), Changed: ago(7 * 24 * time.Hour), Version: 3, Position: 5}},
		roles:    []*munimentv1.Role{{ProjectId: booksID, Key: "auditor", Name: "Auditor"}, {ProjectId: booksID, Key: "editor", Name: "Editor"}},
		apps: []*munimentv1.Application{{Id: appID, ProjectId: booksID, OrganizationId: acmeID, Name: "Bookkeeping", Kind: munimentv1.ApplicationKind_APPLICATION_KIND_WEB,
			ClientId: "bookkeeping-4f60a1b2", RedirectUris: []string{"https://books.analytical.example/callback"}, IdTokenAlg: munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_ES256, Created: ago(24 * 24 * time.Hour),
			State: munimentv1.ApplicationState_APPLICATION_STATE_ACTIVE, ClientAuthMethod: munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_CLIENT_SECRET,
			GrantTypes: []munimentv1.GrantType{munimentv1.GrantType_GRANT_TYPE_AUTHORIZATION_CODE, munimentv1.GrantType_GRANT_TYPE_REFRESH_TOKEN}},
			{Id: spaID, ProjectId: booksID, OrganizationId: acmeID, Name: "Till", Kind: munimentv1.ApplicationKind_APPLICATION_KIND_SINGLE_PAGE, ClientId: spaID, State: munimentv1.ApplicationState_APPLICATION_STATE_DEACTIVATED,
				RedirectUris: []string{"https://till.analytical.example/"}, AllowedOrigins: []string{"https://till.analytical.example"}, ClientAuthMethod: munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_NONE, Created: ago(time.Hour)},
			{Id: apiID, ProjectId: booksID, OrganizationId: acmeID, Name: "Ledger API", Kind: munimentv1.ApplicationKind_APPLICATION_KIND_API, ClientId: apiID, State: munimentv1.ApplicationState_APPLICATION_STATE_ACTIVE, Created: ago(time.Hour)}},
		grants: []*munimentv1.Grant{{UserId: graceID, ProjectId: booksID, OrganizationId: acmeID, RoleKeys: []string{"editor"}, Created: ago(9 * 24 * time.Hour)}},
		members: []*munimentv1.Member{
			{UserId: adaID, Scope: scopeOf(""), Role: owner, Created: ago(31 * 24 * time.Hour), Position: 3},
			{UserId: graceID, Scope: scopeOf(acmeID), Role: auditor, Created: ago(9 * 24 * time.Hour), Position: 6},
		},
		sessions: []*munimentv1.Session{
			{Id: hereID, UserId: adaID, State: munimentv1.SessionState_SESSION_STATE_ACTIVE, Started: ago(40 * time.Minute), Expires: ago(-11 * time.Hour), Methods: []string{"pwd"}, Ip: text("198.51.100.23"), UserAgent: text(firefox)},
			{Id: phoneID, UserId: adaID, State: munimentv1.SessionState_SESSION_STATE_ACTIVE, Started: ago(3 * 24 * time.Hour), Expires: ago(-9 * time.Hour), Methods: []string{"pwd"}, Ip: text("2001:db8::7"), UserAgent: text("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 Version/19.0 Mobile Safari/604.1")},
		},
		used: []*munimentv1.UserApplication{{ApplicationId: appID, Name: "Bookkeeping", ConsentedScopes: []string{"openid", "offline_access"}, Consented: ago(9 * 24 * time.Hour),
			Scopes: []string{"openid", "email"}, Used: ago(2 * time.Hour)}},
		erasure: &munimentv1.GetErasureResponse{State: munimentv1.ErasureState_ERASURE_STATE_PENDING, Position: 9, Steps: []*munimentv1.ErasureStep{
			{Name: "event", Done: true, DoneAt: ago(26 * time.Hour)}, {Name: "key", Done: true, DoneAt: ago(26 * time.Hour)},
			{Name: "ciphertexts", Done: true, DoneAt: ago(26 * time.Hour)}, {Name: "compaction"}}},
	}
	b.tokens["0123456789abcdef-ada"] = event.MustID(adaID)
	b.tokens["0123456789abcdef-grace"] = event.MustID(graceID)
	b.history()
	return b
}

// Caller implements Sessions.
func (b *backend) Caller(_ context.Context, token string) (call.Caller, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id, ok := b.tokens[token]
	if !ok {
		return call.Caller{}, fault.New(fault.Unauthenticated, "nobody is signed in")
	}
	return call.Caller{Kind: "user", ID: id, SessionID: event.MustID(hereID)}, nil
}

// Authenticate implements api.Authenticator; the console never sends a token.
func (b *backend) Authenticate(context.Context, string) (call.Caller, error) {
	b.t.Error("the console called the API over a token")
	return call.Caller{}, fault.New(fault.Unauthenticated, "no")
}

// change notes a call that changes something. It fails the test unless the call
// came from the console, in the name of somebody.
func (b *backend) change(ctx context.Context, what ...string) (*munimentv1.Change, error) {
	facts, _ := call.FactsOf(ctx)
	if c, err := call.CallerOf(ctx); err != nil || c.SessionID.IsZero() || facts.Source != "console" || !facts.IP.IsValid() {
		b.t.Errorf("%s: caller %+v, facts %+v", what[0], c, facts)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.deny[what[0]]; err != nil {
		return nil, err
	}
	b.calls = append(b.calls, strings.Join(what, " "))
	id := facts.CommandID.String()
	b.commands[id]++
	return &munimentv1.Change{LogId: logID, Position: uint64(len(b.events)), Time: timestamppb.New(now), Replayed: b.commands[id] > 1}, nil
}

func (b *backend) read(what string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deny[what]
}

// find returns the first of a list that fits.
func find[T any](list []T, fits func(T) bool) (T, error) {
	for _, v := range list {
		if fits(v) {
			return v, nil
		}
	}
	var none T
	return none, fault.New(fault.NotFound, "there is no such thing, or you may not see it")
}

// only returns those of a list that fit.
func only[T any](list []T, fits func(T) bool) []T {
	var out []T
	for _, v := range list {
		if fits(v) {
			out = append(out, v)
		}
	}
	return out
}

func (b *backend) user(id string) (*munimentv1.User, error) {
	return find(b.users, func(u *munimentv1.User) bool { return u.GetId() == id })
}

func (b *backend) GetMe(ctx context.Context, _ *munimentv1.GetMeRequest) (*munimentv1.GetMeResponse, error) {
	c, err := call.CallerOf(ctx)
	if err != nil {
		return nil, err
	}
	u, err := b.user(c.ID.String())
	return &munimentv1.GetMeResponse{User: u, SessionId: c.SessionID.String(),
		Memberships: only(b.members, func(m *munimentv1.Member) bool { return m.GetUserId() == c.ID.String() }),
		Permissions: only(permissions(), func(p *munimentv1.Permission) bool { return p.GetUserId() == c.ID.String() }),
		Grants:      only(b.grants, func(g *munimentv1.Grant) bool { return g.GetUserId() == c.ID.String() })}, err
}

// at answers one page of a list: its lines from the token on.
func at[T any](list []T, size int32, token string) ([]T, string) {
	from := len(token) // as many x as lines to skip
	from = min(from, len(list))
	to := min(from+int(size), len(list))
	next := ""
	if to < len(list) {
		next = strings.Repeat("x", to)
	}
	return list[from:to], next
}
