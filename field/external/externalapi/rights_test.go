package externalapi_test

import (
	"context"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// Nobody has pushed what they may not read: who lost the right has the adapter
// stopped, with the reason, before anything else goes out.
func TestPushRights(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	admin := s.Member(s.Org, munimentv1.MemberRole_MEMBER_ROLE_ADMIN)
	req := &munimentv1.CreateAdapterRequest{Name: "x", Scope: instancetest.In(""), Direction: push, EndpointUrl: x.URL, EntityTypes: []string{"individual"}}
	_, err := s.API.Adapter.CreateAdapter(s.As(admin), req)
	instancetest.Want(t, err, fault.Denied, "")
	req.Scope = instancetest.In(s.Org)
	id := instancetest.Must(s.API.Adapter.CreateAdapter(s.As(admin), req)).GetAdapterId()
	s.publish(t, [3]string{"create-individual", uuid(), `{"name":"of nobody"}`})
	if s.run(t, id); len(x.taken()) != 0 {
		t.Errorf("what is of no organization was pushed to one: %v", x.taken())
	}
	instancetest.Must(s.API.Member.RemoveMember(s.ctx, &munimentv1.RemoveMemberRequest{UserId: admin, Scope: instancetest.In(s.Org), Role: munimentv1.MemberRole_MEMBER_ROLE_ADMIN}))
	if a := s.run(t, id); a.GetState() != munimentv1.AdapterState_ADAPTER_STATE_STOPPED || !strings.Contains(a.GetStoppedBecause(), "owner") {
		t.Errorf("with an owner who may nothing any more: %v", a)
	}
	_, err = s.API.Adapter.ResumeAdapter(s.As(admin), &munimentv1.ResumeAdapterRequest{AdapterId: id})
	instancetest.Want(t, err, fault.Denied, "")
	instancetest.Must(s.API.Adapter.ResumeAdapter(s.ctx, &munimentv1.ResumeAdapterRequest{AdapterId: id}))
	if a := s.get(id); a.GetOwnerId() != s.Owner || a.GetState() != munimentv1.AdapterState_ADAPTER_STATE_ACTIVE {
		t.Errorf("resumed: %v", a)
	}
}

// Requests that say two things at once, or nothing, are refused by the field;
// secrets are shown nowhere, and the address only to those who manage adapters.
func TestRequests(t *testing.T) {
	s := newSite(t)
	good := func() *munimentv1.CreateAdapterRequest {
		return &munimentv1.CreateAdapterRequest{Name: "x", Scope: instancetest.In(""), Direction: push, EndpointUrl: "https://192.0.2.1/s3cr3t-path", EntityTypes: []string{"individual"},
			Credential: munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BEARER, BearerToken: "s3cr3t-token"}
	}
	far := uint64(1 << 40)
	for field, change := range map[string]func(*munimentv1.CreateAdapterRequest){
		"entity_types":     func(r *munimentv1.CreateAdapterRequest) { r.EntityTypes = []string{"unicorn"} },
		"direction":        func(r *munimentv1.CreateAdapterRequest) { r.Direction = 0 },
		"endpoint_url":     func(r *munimentv1.CreateAdapterRequest) { r.EndpointUrl = "http://example.com" },
		"interval_seconds": func(r *munimentv1.CreateAdapterRequest) { r.IntervalSeconds = 1 },
		"username":         func(r *munimentv1.CreateAdapterRequest) { r.Username = "x" },
		"credential":       func(r *munimentv1.CreateAdapterRequest) { r.Credential = 0 },
		"after_position":   func(r *munimentv1.CreateAdapterRequest) { r.AfterPosition = &far },
	} {
		req := good()
		change(req)
		_, err := s.API.Adapter.CreateAdapter(s.ctx, req)
		instancetest.Want(t, err, fault.Invalid, field)
	}
	id := instancetest.Must(s.API.Adapter.CreateAdapter(s.ctx, good())).GetAdapterId()
	auditor := s.As(s.Member("", munimentv1.MemberRole_MEMBER_ROLE_AUDITOR))
	until(t, "it has tried", func() bool { return s.get(id).GetProgress().GetLastRun() != nil })
	for who, ctx := range map[string]context.Context{"owner": s.ctx, "auditor": auditor} {
		a := instancetest.Must(s.API.Adapter.GetAdapter(ctx, &munimentv1.GetAdapterRequest{AdapterId: id})).GetAdapter()
		if strings.Contains(a.String(), "s3cr3t-token") || (a.GetEndpointUrl() != "") != (who == "owner") {
			t.Errorf("the %s sees %v", who, a)
		}
	}
	_, err := s.API.Adapter.RunAdapter(auditor, &munimentv1.RunAdapterRequest{AdapterId: id})
	instancetest.Want(t, err, fault.Denied, "")
}

// An address that leads where it must not is not called, whatever names it: it
// is said so, and tried no less patiently than any other.
func TestForbidden(t *testing.T) {
	s := newSite(t)
	s.publish(t, [3]string{"create-individual", uuid(), `{"name":"Ada"}`})
	id, _ := s.adapter(t, "https://169.254.169.254/latest/meta-data", both)
	until(t, "it is refused", func() bool {
		p := s.get(id).GetProgress()
		return p.GetPushFailure() == "forbidden" && p.GetPullFailure() == "forbidden"
	})
}

// How far an event has come is told only to those who may read it.
func TestLevelRights(t *testing.T) {
	s, x := newSite(t), newSystem(t)
	id := s.publish(t, [3]string{"create-individual", uuid(), `{"name":"Ada"}`})[0]
	s.adapter(t, x.URL, push)
	until(t, "it is pushed", func() bool { l, _ := s.level(id); return l == external })
	stranger := s.As(s.Person(s.Org))
	d := instancetest.Must(s.API.Sync.GetDeliveryLevels(stranger, &munimentv1.GetDeliveryLevelsRequest{EventIds: []string{id}})).GetDeliveries()[0]
	if d.GetLevel() != local || len(d.GetAdapterIds()) != 0 {
		t.Errorf("a stranger sees %v", d)
	}
	_, err := s.API.Sync.GetDeliveryLevels(s.ctx, &munimentv1.GetDeliveryLevelsRequest{})
	instancetest.Want(t, err, fault.Invalid, "event_ids")
}
