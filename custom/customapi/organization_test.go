package customapi_test

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// Events belong to organizations that are there and in use: to no other, by
// whichever door they come, and the refusal names the field.
func TestOrganizationsInUse(t *testing.T) {
	s := newSite(t)
	acme, house := s.Organization(), uuid()
	of := func(org string) *munimentv1.NewEvent {
		e := anEvent("household-registered", uuid(), `{"name":"Lovelace"}`)
		e.OrganizationId = org
		return e
	}
	refused := func(e *munimentv1.NewEvent, kind fault.Kind) {
		t.Helper()
		_, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{anEvent("individual-registered", uuid(), `{"name":"Ada"}`), e}})
		instancetest.Want(t, err, kind, "events[1].organization_id")
	}
	first := of(acme)
	first.EntityId = house
	s.publish(t, first)
	refused(of("00000000000000000000000000000001"), fault.Refused)
	url := s.serve(t, s.ctx)
	cloud := `{"specversion":"1.0","id":"1","source":"/x","type":"household-registered","subject":"` + uuid() + `","munimentorganization":"00000000000000000000000000000001","data":{"name":"Lovelace"}}`
	if status, problem := post(t, url, "application/cloudevents+json", cloud); status != 409 || problem["field"] != "events[0].munimentorganization" {
		t.Errorf("a CloudEvent: %d %v", status, problem)
	}

	instancetest.Must(s.API.Organization.DeactivateOrganization(s.ctx, &munimentv1.DeactivateOrganizationRequest{OrganizationId: acme}))
	refused(of(acme), fault.Refused)
	instancetest.Must(s.API.Organization.ReactivateOrganization(s.ctx, &munimentv1.ReactivateOrganizationRequest{OrganizationId: acme}))
	s.publish(t, of(acme))
	instancetest.Must(s.API.Organization.RemoveOrganization(s.ctx, &munimentv1.RemoveOrganizationRequest{OrganizationId: acme}))
	refused(of(acme), fault.Refused)
	refused(anEvent("household-moved", house, `{"village":"Ockham"}`), fault.Refused)
	if r := s.publish(t, first); !r.GetEvents()[0].GetRepeated() {
		t.Errorf("what was recorded before is not answered: %v", r)
	}
	instancetest.Must(s.API.Organization.RestoreOrganization(s.ctx, &munimentv1.RestoreOrganizationRequest{OrganizationId: acme}))
	s.publish(t, anEvent("household-moved", house, `{"village":"Ockham"}`))
}
