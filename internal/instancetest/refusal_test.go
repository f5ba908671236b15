package instancetest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Whatever changes state is denied to whoever was not given the right to it,
// and leaves nothing but the refusal (E02, S05, deny by default).
func TestDeniedByDefault(t *testing.T) {
	i := New(t)
	org, elsewhere := i.Organization(), i.Organization()
	admin := i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_ADMIN)
	locked := i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_OWNER)
	Must(i.API.User.LockUser(i.AsOwner(), &munimentv1.LockUserRequest{UserId: locked}))
	gone := i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_OWNER)
	Must(i.API.Member.RemoveMember(i.AsOwner(), &munimentv1.RemoveMemberRequest{UserId: gone, Scope: In(org), Role: munimentv1.MemberRole_MEMBER_ROLE_OWNER}))
	shut := i.Organization()
	ofShut := i.Member(shut, munimentv1.MemberRole_MEMBER_ROLE_OWNER)
	denied := map[string]string{
		"a person of the organization":     i.Person(org),
		"a viewer":                         i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER),
		"an auditor":                       i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_AUDITOR),
		"an owner of another organization": i.Member(elsewhere, munimentv1.MemberRole_MEMBER_ROLE_OWNER),
		"an owner who is locked":           locked,
		"an owner no more":                 gone,
		"somebody unknown":                 event.NewID().String(),
	}
	owner := i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_OWNER)
	for _, c := range changes {
		req := c.request(i, org)
		t.Run(strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request"), func(t *testing.T) {
			before := i.Core.Log.Mark().Size
			for who, id := range denied {
				if _, err := i.call(i.As(id), req); err == nil || Kind(t, err) != fault.Denied {
					t.Errorf("%s: %v, want denied", who, err)
				}
			}
			if _, err := i.call(call.WithFacts(t.Context(), call.Facts{}), req); err == nil || Kind(t, err) != fault.Unauthenticated {
				t.Errorf("nobody: %v, want unauthenticated", err)
			}
			application := call.WithCaller(t.Context(), call.Caller{Kind: "application", ID: event.NewID()})
			if _, err := i.call(application, req); err == nil || Kind(t, err) != fault.Denied {
				t.Errorf("an application: %v, want denied", err)
			}
			for r, err := range i.Core.Log.Read(t.Context(), event.Everything(), before) {
				if err != nil || r.Type != "access.refused" && r.Actor != event.System { // an erasure may just be completing
					t.Errorf("a refused call left %s (%v)", r.Type, err)
				}
			}
			for _, may := range []struct {
				who string
				id  string
				yes bool
			}{{"an admin", admin, c.admin}, {"an owner", owner, c.owner}} {
				if _, err := i.call(i.As(may.id), c.request(i, org)); may.yes && err != nil || !may.yes && (err == nil || Kind(t, err) != fault.Denied) {
					t.Errorf("%s of the organization: %v, allowed %v", may.who, err, may.yes)
				}
			}
			// What was changed may be what the others need.
			i.API.Organization.ReactivateOrganization(i.AsOwner(), &munimentv1.ReactivateOrganizationRequest{OrganizationId: org})
		})
	}
	Must(i.API.Organization.DeactivateOrganization(i.AsOwner(), &munimentv1.DeactivateOrganizationRequest{OrganizationId: shut}))
	_, err := i.call(i.As(ofShut), &munimentv1.RenameOrganizationRequest{OrganizationId: shut, Name: "x"})
	Want(t, err, fault.Denied, "")
}

// Refusals are recorded, with who was refused what (E01, S12).
func TestRefusalsAreRecorded(t *testing.T) {
	i := New(t)
	plain, victim := i.Person(i.Org), i.Person(i.Org)
	before := i.Core.Log.Mark().Size
	_, err := i.call(i.As(plain), &munimentv1.LockUserRequest{UserId: victim})
	Want(t, err, fault.Denied, "")
	r, err := i.Core.Log.Record(t.Context(), before+1)
	if err != nil || r.Type != "access.refused" || r.Actor.ID.String() != plain {
		t.Fatalf("%+v, %v", r, err)
	}
	for range 30 { // a flood of refusals is not a flood of records
		i.call(i.As(plain), &munimentv1.LockUserRequest{UserId: victim})
	}
	if n := i.Core.Log.Mark().Size - before; n > 21 {
		t.Errorf("31 refusals left %d records", n)
	}
}

// Who was refused in an organization is known to its own administrators and to
// nobody else's; what is refused of the instance, to those of the instance. Who
// was refused does not learn from it whose a thing is.
func TestRefusalsOfAnOrganization(t *testing.T) {
	i := New(t)
	theirs, others := i.Organization(), i.Organization()
	plain, colleague, victim := i.Person(others), i.Person(theirs), i.Person(theirs)
	for _, who := range []string{plain, colleague} {
		_, err := i.call(i.As(who), &munimentv1.LockUserRequest{UserId: victim})
		Want(t, err, fault.Denied, "")
	}
	for _, r := range []proto.Message{&munimentv1.RenameOrganizationRequest{OrganizationId: theirs, Name: "x"}, &munimentv1.ApplySchemaRequest{},
		&munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{{Type: "house-built", EntityId: event.NewID().String(), OrganizationId: theirs, DataJson: "{}"}}}} {
		_, err := i.call(i.As(plain), r)
		Want(t, err, fault.Denied, "")
	}
	for _, c := range []struct {
		who  string
		want int
	}{{i.Member(theirs, munimentv1.MemberRole_MEMBER_ROLE_ADMIN), 3}, {i.Member(others, munimentv1.MemberRole_MEMBER_ROLE_ADMIN), 0}, {i.Owner, 5}, {plain, 4}} {
		got := Must(i.API.Event.ListEvents(i.As(c.who), &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{Types: []string{"access.refused"}}})).GetEvents()
		if len(got) != c.want {
			t.Errorf("%d refusals are seen, want %d: %v", len(got), c.want, got)
		}
		for _, e := range got {
			if c.who != i.Owner && c.who != plain && e.GetOrganizationId() != theirs {
				t.Errorf("%v", e)
			}
			if of := e.GetOrganizationId(); e.GetActor().GetId() == plain && strings.Contains(e.GetSentence(), "lock") && of != "" {
				t.Errorf("somebody learns whose another is: %v", e)
			}
		}
	}
}

// Ids are read strictly, and the fault names the field.
func TestMalformedIDs(t *testing.T) {
	i := New(t)
	bad := []string{"", "x", strings.Repeat("0", 32), strings.Repeat("A", 32), strings.Repeat("a", 31), strings.Repeat("a", 33),
		"0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a", " " + strings.Repeat("a", 31), strings.Repeat("ä", 16)}
	tried := 0
	requests := map[protoreflect.FullName]proto.Message{}
	for _, c := range changes {
		r := c.request(i, i.Org)
		requests[r.ProtoReflect().Descriptor().FullName()] = r
	}
	f := i.furnish()
	for _, r := range append(append(gets(f), lists()...), &munimentv1.CompareEntityRequest{Type: "house", EntityId: f.entity, FromPosition: 1}, &munimentv1.GetEntityErasureRequest{Type: "house", EntityId: f.entity},
		&munimentv1.ResolveDuplicateRequest{EntityId: f.entity, OtherId: f.entity}) {
		requests[r.ProtoReflect().Descriptor().FullName()] = r
	}
	i.eachMethod(func(name string, empty proto.Message) {
		req, ok := requests[empty.ProtoReflect().Descriptor().FullName()]
		if !ok {
			req = empty
		}
		for _, field := range ids(req) {
			for _, text := range bad {
				uuid := field == "entity_id" || field == "other_id" || field == "keep_id" || name == "SettleConflict" // made by others, who write them in all forms
				if id, err := event.ParseID(strings.ToLower(text)); uuid && (err == nil && !id.IsZero() || name == "CheckEntities") || text == "" && (field == "keep_id" || slices.Contains([]string{"ListEntities", "ListDuplicates", "ListKeptEvents"}, name)) {
					continue // all are meant if none is named
				}
				if _, err := i.call(i.AsOwner(), with(req, field, text)); err == nil || Kind(t, err) != fault.Invalid || api.Explain(err).GetField() != field {
					t.Errorf("%s, %s %q: %v, field %q", name, field, text, err, api.Explain(err).GetField())
				}
				tried++
			}
		}
	})
	if tried < 250 {
		t.Errorf("only %d were tried", tried)
	}
}

// What there is not, is not found by those who may see everything; to others it
// looks as what is not theirs.
func TestUnknownAndForeign(t *testing.T) {
	i := New(t)
	org, elsewhere := i.Organization(), i.Organization()
	admin := i.As(i.Member(org, munimentv1.MemberRole_MEMBER_ROLE_ADMIN))
	for _, c := range changes {
		req := c.request(i, elsewhere)
		name := strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request")
		unknown := proto.Clone(req)
		for _, field := range ids(req) {
			one := with(req, field, event.NewID().String())
			if _, err := i.call(i.AsOwner(), one); err == nil || Kind(t, err) != fault.NotFound && !c.silent {
				t.Errorf("%s with an unknown %s: %v, want not found", name, field, err)
			}
			unknown = with(unknown, field, event.NewID().String())
		}
		if len(ids(req)) == 0 {
			continue
		}
		if m, ok := unknown.(interface{ GetScope() *munimentv1.Scope }); ok {
			m.GetScope().Level = In(event.NewID().String()).Level
		}
		same(t, name, i, admin, req, unknown)
	}
}

// same checks that two requests are refused in the same words.
func same(t *testing.T, name string, i *Instance, ctx context.Context, a, b proto.Message) {
	t.Helper()
	_, errA := i.call(ctx, a)
	_, errB := i.call(ctx, b)
	fa, fb := api.Explain(errA), api.Explain(errB)
	if fa == nil || fb == nil || fa.GetKind() != fb.GetKind() || fa.GetMessage() != fb.GetMessage() || fa.GetField() != fb.GetField() {
		t.Errorf("%s: what is foreign: %v; what there is not: %v", name, errA, errB)
	}
}

// Statistics are of the whole instance: who may see less sees none, and that
// they were refused is recorded.
func TestStatisticsAreForThoseWhoSeeAll(t *testing.T) {
	i := New(t)
	plain := i.Person(i.Org)
	before := i.Core.Log.Mark().Size
	_, err := i.call(i.As(plain), &munimentv1.GetStatisticsRequest{})
	Want(t, err, fault.Denied, "")
	if r, err := i.Core.Log.Record(t.Context(), before+1); err != nil || r.Type != "access.refused" {
		t.Errorf("%+v, %v", r, err)
	}
	if err := i.Core.Stats.Wait(t.Context(), i.Core.Log.Mark().Size); err != nil {
		t.Fatal(err)
	}
	got := Must(i.API.Event.GetStatistics(i.AsOwner(), &munimentv1.GetStatisticsRequest{}))
	if got.TotalEvents != uint64(i.Core.Log.Mark().Size) || got.Counted != got.TotalEvents || got.Refusals != 1 || len(got.Types) == 0 || got.Hours[0].Failures != 1 {
		t.Errorf("%v", got)
	}
}
