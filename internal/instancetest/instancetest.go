// Package instancetest is a whole instance for tests: the server as it is
// assembled for production, on the embedded engine in a temporary folder, with
// passwords that are cheap to hash, an owner, and callers of every role. Tests
// call its API in process.
package instancetest

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/react"
	"muniment.dev/seal"
	"muniment.dev/server"
	"muniment.dev/session/signin"
	"muniment.dev/user"
	"muniment.dev/user/password"
)

// Password is that of everybody who has one.
const Password = "correct horse battery"

// Instance is an instance with an owner and one organization.
type Instance struct {
	*server.Server
	Owner string // id of the owner
	Org   string // id of the organization that the owner belongs to

	t testing.TB
	n atomic.Int64

	reopen func() *server.Server
	define sync.Once // of what Entity publishes
}

// New makes an instance that ends with the test.
func New(t testing.TB) *Instance { return NewAt(t, nil) }

// NewAt is New with a clock of the test's own; nil is the machine's.
func NewAt(t testing.TB, clock func() time.Time) *Instance {
	t.Helper()
	c := settings(t.TempDir())
	if log, keys, ok := postgres.Chosen(t); ok {
		c.Database, c.Keys, c.Register = log, keys, filepath.Join(c.Data, "register.json")
	}
	i := setUp(t, open(t, c, clock))
	i.reopen = func() *server.Server { return open(t, c, clock) }
	t.Cleanup(i.close)
	return i
}

// Restart closes the instance and opens it again where it was.
func (i *Instance) Restart() {
	i.t.Helper()
	i.close()
	i.Server = i.reopen()
}

func (i *Instance) close() {
	if err := i.Server.Close(); err != nil {
		i.t.Errorf("close the instance: %v", err)
	}
}

// openIn opens or makes an instance in a data directory, whatever the engine that
// was chosen: tests of directories do. Close it.
func openIn(t testing.TB, dir string, clock func() time.Time) *server.Server {
	t.Helper()
	return open(t, settings(dir), clock)
}

func settings(dir string) server.Config {
	return server.Config{Data: dir, Listen: "127.0.0.1:8300", ExternalURL: "https://id.example.org", Name: "Test", WebhookNetworks: "127.0.0.0/8, ::1"}
}

func open(t testing.TB, c server.Config, clock func() time.Time) *server.Server {
	t.Helper()
	f := &fleet{made: map[event.ID]bool{}}
	s, err := server.New(t.Context(), c,
		server.Extra{Clock: clock, Passwords: password.Params{Memory: 64, Time: 1, Threads: 1}, Hosting: f,
			WebhookRetry: react.Retry{First: 5 * time.Millisecond, Most: 20 * time.Millisecond}, AdapterRetry: react.Retry{First: 5 * time.Millisecond, Most: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	f.runner = s.Core.Runner
	return s
}

// setUp gives an instance its owner and its organization.
func setUp(t testing.TB, s *server.Server) *Instance {
	t.Helper()
	secret, owner, err := s.Core.SetUp(t.Context(), server.Owner{Email: "owner@example.org", Names: user.Names{Given: "Olga"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SignIn.UseSetup(t.Context(), secret, Password); err != nil {
		t.Fatal(err)
	}
	i := &Instance{Server: s, t: t, Owner: owner.String()}
	i.Org = Must(i.API.Organization.ListOrganizations(i.AsOwner(), &munimentv1.ListOrganizationsRequest{})).GetOrganizations()[0].GetId()
	return i
}

// Of is an instance that a test opened itself, and closes.
func Of(t testing.TB, s *server.Server, owner string) *Instance {
	return &Instance{Server: s, t: t, Owner: owner}
}

// Must answers v. It panics on an error: what a test prepares is not what it
// tests.
func Must[T any](v T, err error) T {
	if err != nil {
		f := api.Explain(err)
		panic(fmt.Sprintf("%s: %s (field %q)", f.GetKind(), f.GetMessage(), f.GetField()))
	}
	return v
}

// As is the context of a person who calls.
func (i *Instance) As(user string) context.Context {
	return call.WithCaller(call.WithFacts(i.t.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: event.MustID(user)})
}

// AsOwner is the context of the owner who calls.
func (i *Instance) AsOwner() context.Context { return i.As(i.Owner) }

// Seen is ctx with a place that the caller has seen the log reach.
func Seen(ctx context.Context, c *munimentv1.Change) context.Context {
	f, _ := call.FactsOf(ctx)
	f.Seen = call.Place{Log: event.LogID{ID: event.MustID(c.GetLogId())}, Position: event.Position(c.GetPosition())}
	return call.WithFacts(ctx, f)
}

// Name makes a text that nothing else in the instance has.
func (i *Instance) Name(prefix string) string { return fmt.Sprintf("%s-%d", prefix, i.n.Add(1)) }

// Organization makes an organization and answers its id.
func (i *Instance) Organization() string {
	return Must(i.API.Organization.CreateOrganization(i.AsOwner(), &munimentv1.CreateOrganizationRequest{Name: i.Name("Org")})).GetOrganizationId()
}

// Person registers a person of an organization, without rights, and answers
// their id. Their address is Email(id).
func (i *Instance) Person(org string) string {
	return Must(i.API.User.CreateUser(i.AsOwner(), i.NewPerson(org))).GetUserId()
}

// NewPerson is a request to register a person whom there is not yet.
func (i *Instance) NewPerson(org string) *munimentv1.CreateUserRequest {
	name := i.Name("person")
	pass := Password
	return &munimentv1.CreateUserRequest{OrganizationId: org, Email: name + "@example.org", GivenName: strings.ToUpper(name[:1]) + name[1:], FamilyName: "Smith", Password: &pass}
}

// Email is a person's address.
func (i *Instance) Email(user string) string {
	return Must(i.API.User.GetUser(i.AsOwner(), &munimentv1.GetUserRequest{UserId: user})).GetUser().GetEmail().GetValue()
}

// LockedOut registers a person of an organization who is locked out after wrong
// passwords, and answers their id.
func (i *Instance) LockedOut(org string) string {
	id := i.Person(org)
	e := user.LockoutBegun{User: event.MustID(id), Organization: event.MustID(org), Until: event.Instant(i.Core.Log.Now().Add(time.Hour).UnixMicro())}
	drafts := Must(i.Core.Sealer.Seal(i.t.Context(), event.System, []event.New{{Stream: user.Stream(e.User), Payload: e}}, seal.Context{}))
	Must(i.Core.Log.Append(i.t.Context(), eventlog.Request{Actor: event.System, Command: event.NewID(), Events: drafts}))
	return id
}

// Member registers a person of an organization who has a role there, or in the
// whole instance if org is empty, and answers their id.
func (i *Instance) Member(org string, role munimentv1.MemberRole) string {
	id := i.Person(cmp.Or(org, i.Org))
	Must(i.API.Member.AddMember(i.AsOwner(), &munimentv1.AddMemberRequest{UserId: id, Role: role, Scope: In(org)}))
	return id
}

// In is the scope of an organization; of the instance if it is empty.
func In(org string) *munimentv1.Scope {
	if org == "" {
		return &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}
	}
	return &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: org}}
}

// house are the definitions of a type of entity.
var house = []string{
	`{"$schema": "https://json-schema.org/draft/2020-12/schema", "x-entity-type": "house", "title": "House", "type": "object",
		"properties": {"name": {"type": "string", "x-search": "prefix"}, "street": {"type": "string", "x-public": true, "x-search": "exact"}}}`,
	`{"$schema": "https://json-schema.org/draft/2020-12/schema", "x-event": "house-built", "x-entity": "house", "title": "A house was built", "type": "object", "additionalProperties": false, "x-creates": true,
		"properties": {"name": {"type": "string"}, "street": {"type": "string", "x-public": true}}}`,
}

// Entity defines a type of entity, house, and publishes one of an organization;
// it answers its id.
func (i *Instance) Entity(org string) string {
	i.define.Do(func() {
		Must(i.API.Schema.ApplySchema(i.AsOwner(), &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{{File: "house.json", Text: house[0]}, {File: "house-built.json", Text: house[1]}}}))
		Must(i.API.Permission.GrantPermission(i.AsOwner(), &munimentv1.GrantPermissionRequest{UserId: i.Owner, Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "house-*", Scope: In("")}))
	})
	id := event.NewID().String()
	Must(i.API.Entity.PublishEvents(i.AsOwner(), &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{{Id: event.NewID().String(), Type: "house-built", EntityId: id, OrganizationId: org,
		DataJson: `{"name":"` + i.Name("House") + `","street":"Main Street"}`}}}))
	return id
}

// Project makes a project with the role "editor" and answers its id.
func (i *Instance) Project(org string) string {
	id := Must(i.API.Project.CreateProject(i.AsOwner(), &munimentv1.CreateProjectRequest{OrganizationId: org, Name: i.Name("Project")})).GetProjectId()
	Must(i.API.Project.AddRole(i.AsOwner(), &munimentv1.AddRoleRequest{ProjectId: id, Key: "editor", Name: "Editor"}))
	return id
}

// Application makes a web application and answers its id.
func (i *Instance) Application(project string) string {
	return Must(i.API.Application.CreateWebApplication(i.AsOwner(), i.NewApplication(project))).GetApplicationId()
}

// NewApplication is a request to make a web application.
func (i *Instance) NewApplication(project string) *munimentv1.CreateWebApplicationRequest {
	return &munimentv1.CreateWebApplicationRequest{ProjectId: project, Name: i.Name("App"), RedirectUris: []string{"https://app.example.org/callback"}}
}

// SinglePage makes a single-page application and answers its id.
func (i *Instance) SinglePage(project string) string {
	return Must(i.API.Application.CreateSinglePageApplication(i.AsOwner(), &munimentv1.CreateSinglePageApplicationRequest{ProjectId: project, Name: i.Name("App"),
		RedirectUris: []string{"https://spa.example.org/"}})).GetApplicationId()
}

// Machine makes a machine user of an organization and answers its id.
func (i *Instance) Machine(org string) string {
	return Must(i.API.User.CreateMachineUser(i.AsOwner(), &munimentv1.CreateMachineUserRequest{OrganizationId: org, Name: i.Name("robot")})).GetUserId()
}

// NewSubscription is a request to have events of an organization sent to a
// webhook. There are none of the type.
func (i *Instance) NewSubscription(org string) *munimentv1.CreateSubscriptionRequest {
	return &munimentv1.CreateSubscriptionRequest{Name: i.Name("hook"), Scope: In(org), Delivery: munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK,
		EndpointUrl: "https://example.org/hooks", Filter: &munimentv1.SubscribedEvents{Types: []string{"user.vanished"}}}
}

// Subscription makes a webhook of an organization and answers its id.
func (i *Instance) Subscription(org string) string {
	return Must(i.API.Subscription.CreateSubscription(i.AsOwner(), i.NewSubscription(org))).GetSubscriptionId()
}

// NewAdapter is a request to have the houses of an organization pushed to an
// address that nothing can be sent to.
func (i *Instance) NewAdapter(org string) *munimentv1.CreateAdapterRequest {
	i.Entity(i.Org) // for the definitions
	return &munimentv1.CreateAdapterRequest{Name: i.Name("adapter"), Scope: In(org), Direction: munimentv1.AdapterDirection_ADAPTER_DIRECTION_PUSH,
		EndpointUrl: "https://192.0.2.1/events", EntityTypes: []string{"house"}, AfterPosition: new(uint64(i.Core.Log.Mark().Size))}
}

// Adapter sets an adapter of an organization up and answers its id.
func (i *Instance) Adapter(org string) string {
	return Must(i.API.Adapter.CreateAdapter(i.AsOwner(), i.NewAdapter(org))).GetAdapterId()
}

// PublicKey is the P-256 key of RFC 7517 appendix A.1.
const PublicKey = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"}`

// SignedIn signs a person in and answers their session.
func (i *Instance) SignedIn(user string) signin.Session {
	return Must(i.SignIn.SignIn(call.WithFacts(i.t.Context(), call.Facts{}), signin.Attempt{Email: i.Email(user), Password: Password}))
}

// Uses lets a person sign in to an application.
func (i *Instance) Uses(user, application string) {
	i.t.Helper()
	if err := i.Visit(call.WithFacts(i.t.Context(), call.Facts{}), i.SignedIn(user), application); err != nil {
		i.t.Fatal(err)
	}
}

// Settled waits until what a request erased is erased: a check of the views
// cannot tell an erasure under way from a difference.
func (i *Instance) Settled(req proto.Message) {
	i.t.Helper()
	switch r := req.(type) {
	case *munimentv1.EraseUserRequest:
		i.Erased(r.GetUserId())
	case *munimentv1.EraseEntityRequest:
		i.Erased(r.GetEntityId())
	}
}

// Erased waits until the erasure of a person or an entity is complete.
func (i *Instance) Erased(subject string) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), 2*time.Minute)
	defer cancel()
	if err := i.Core.Erasure.Wait(ctx, event.SubjectID{ID: event.MustID(subject)}); err != nil {
		st, _ := i.Core.Erasure.Status(event.SubjectID{ID: event.MustID(subject)})
		i.t.Fatalf("the erasure stands at %q: %v; %v", st.Step, st.Err, err)
	}
}

// Secret is the last part of a set-up link's address.
func Secret(link *munimentv1.SetupLink) string {
	u, err := url.Parse(link.GetUrl())
	if err != nil {
		return ""
	}
	return u.Path[strings.LastIndexByte(u.Path, '/')+1:]
}

// Kind is the kind of an error that the API gave; it fails the test if there is
// none.
func Kind(t testing.TB, err error) fault.Kind {
	t.Helper()
	if err == nil {
		t.Fatal("allowed")
	}
	return fault.KindOf(api.AsFault(err))
}

// Want fails the test unless err is a fault of the kind, and of the field if one
// is named.
func Want(t testing.TB, err error, kind fault.Kind, field string) {
	t.Helper()
	if got := Kind(t, err); got != kind || field != "" && api.Explain(err).GetField() != field {
		t.Errorf("got %v, field %q (%v); want %v, field %q", got, api.Explain(err).GetField(), err, kind, field)
	}
}
