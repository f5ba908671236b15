package customapi_test

import (
	"strings"
	"testing"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// A condition rests on what its publisher may know: it is no way to ask what
// happened to others.
func TestConditionsTellNothing(t *testing.T) {
	s := newSite(t)
	mine, other := s.Organization(), s.Organization()
	shop := s.Machine(mine)
	s.permit(shop, mine, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "household-*")
	before := uint64(s.Core.Log.Mark().Size)
	theirs, person := uuid(), s.Person(other)
	e := anEvent("household-registered", theirs, `{"name":"of others","village":"Ockham"}`)
	e.OrganizationId = other
	s.publish(t, e)
	h := uuid()
	check := func(q *munimentv1.FactQuery) error {
		e := anEvent("household-registered", h, `{"name":"x"}`)
		e.OrganizationId = mine
		_, err := s.API.Entity.PublishEvents(s.As(shop), &munimentv1.PublishEventsRequest{CheckOnly: true, Events: []*munimentv1.NewEvent{e},
			Condition: &munimentv1.FactCondition{AfterPosition: before, Queries: []*munimentv1.FactQuery{q}}})
		return err
	}
	for name, q := range map[string]*munimentv1.FactQuery{
		"a type":       {Types: []string{"household-registered"}},
		"an entity":    {Entity: "household:" + theirs},
		"a person":     {Entity: "user:" + person},
		"a tag":        {Tags: []string{"org:" + other}},
		"a person's":   {Tags: []string{"user:" + person}},
		"type and tag": {Types: []string{"household-registered"}, Tags: []string{"org:" + other}},
	} {
		if err := check(q); err != nil {
			t.Errorf("%s of others: %v", name, api.Explain(err))
		}
	}
	for _, typ := range []string{"user.registered", "individual-registered", "no-such-type"} {
		instancetest.Want(t, check(&munimentv1.FactQuery{Types: []string{typ}}), fault.Denied, "")
	}
	e = anEvent("household-registered", h, `{"name":"mine"}`)
	e.OrganizationId = mine
	s.publish(t, e)
	h = uuid()
	instancetest.Want(t, check(&munimentv1.FactQuery{Types: []string{"household-registered"}}), fault.Conflict, "condition")
	instancetest.Want(t, check(&munimentv1.FactQuery{Tags: []string{"org:" + mine}}), fault.Conflict, "condition")
	instancetest.Want(t, check(&munimentv1.FactQuery{Types: make([]string, 51)}), fault.Invalid, "condition.queries[0]")
}

// Sending an event again is no way to guess what somebody else's says.
func TestRepetitionTellsNothing(t *testing.T) {
	s := newSite(t)
	mine, other := s.Organization(), s.Organization()
	secret := anEvent("household-registered", uuid(), `{"name":"measles","village":"Ockham"}`)
	secret.OrganizationId = other
	s.publish(t, secret)
	sent := func(who, name, village string) (*munimentv1.PublishEventsResponse, error) {
		return s.API.Entity.PublishEvents(s.As(who), &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{
			{Id: secret.GetId(), Type: secret.GetType(), EntityId: secret.GetEntityId(), DataJson: `{"name":"` + name + `","village":"` + village + `"}`}}})
	}
	elsewhere, colleague, trusted := s.Machine(mine), s.Machine(other), s.Machine(other)
	s.permit(elsewhere, mine, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "*")
	for _, u := range []string{colleague, trusted} {
		s.permit(u, other, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "*")
	}
	s.permit(trusted, other, munimentv1.EventRight_EVENT_RIGHT_UNSEAL, "*")
	for _, guess := range []string{"measles", "mumps"} {
		_, err := sent(elsewhere, guess, "Ockham")
		instancetest.Want(t, err, fault.Exists, "events[0].id")
		if res, err := sent(colleague, guess, "Ockham"); err != nil || !res.GetEvents()[0].GetRepeated() {
			t.Errorf("%s, by a colleague: %v, %v", guess, res, err)
		}
	}
	_, err := sent(colleague, "measles", "London")
	instancetest.Want(t, err, fault.Exists, "events[0].id")
	for _, who := range []string{s.Owner, trusted} {
		_, err = sent(who, "mumps", "Ockham")
		instancetest.Want(t, err, fault.Exists, "events[0].id")
		instancetest.Must(sent(who, "measles", "Ockham"))
	}
}

// Checking tells of an entity what publishing would, and nothing of others'.
func TestCheckOfOthers(t *testing.T) {
	s := newSite(t)
	mine, other := s.Organization(), s.Organization()
	shop, theirs := s.Machine(mine), uuid()
	for _, org := range []string{mine, s.Organization()} { // in two, so that one has to be named
		s.permit(shop, org, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "*")
	}
	e := anEvent("household-registered", theirs, `{"name":"x"}`)
	e.OrganizationId = other
	s.publish(t, e)
	for _, check := range []bool{true, false} {
		_, err := s.API.Entity.PublishEvents(s.As(shop), &munimentv1.PublishEventsRequest{CheckOnly: check, Events: []*munimentv1.NewEvent{anEvent("household-moved", theirs, `{"village":"y"}`)}})
		instancetest.Want(t, err, fault.Denied, "events[0]")
		if text := api.Explain(err).GetMessage(); strings.Contains(text, other) {
			t.Errorf("it says whose the entity is: %s", text)
		}
		_, err = s.API.Entity.PublishEvents(s.As(shop), &munimentv1.PublishEventsRequest{CheckOnly: check, Events: []*munimentv1.NewEvent{anEvent("household-registered", uuid(), `{"name":"y"}`)}})
		instancetest.Want(t, err, fault.Denied, "events[0]")
		if text := api.Explain(err).GetMessage(); !strings.Contains(text, "organization_id") {
			t.Errorf("it does not say what is missing: %s", text)
		}
	}
}

// Which types there are, and what of them can be searched for, is not for those
// who have nothing to do with them.
func TestTypesTellNothing(t *testing.T) {
	s := newSite(t)
	s.publish(t, anEvent("household-registered", uuid(), `{"name":"x","village":"y"}`))
	ctx := s.As(s.Person(s.Org))
	for _, typ := range []string{"household", "no-such-type"} {
		_, err := s.API.Entity.GetEntity(ctx, &munimentv1.GetEntityRequest{Type: typ, EntityId: uuid()})
		instancetest.Want(t, err, fault.NotFound, "")
		for _, field := range []string{"", "name", "village", "nothing"} {
			req := &munimentv1.ListEntitiesRequest{Type: typ}
			if field != "" {
				req.OrderBy, req.Filters = field, []*munimentv1.FieldFilter{{Field: field, Equals: "y"}}
			}
			if res, err := s.API.Entity.ListEntities(ctx, req); err != nil || len(res.GetEntities()) > 0 {
				t.Errorf("%s by %q: %v, %v", typ, field, res, api.Explain(err))
			}
		}
	}
}

// Who may publish in one organization only need not name it: clients that know
// nothing of organizations can be permitted in one.
func TestTheOnlyOrganization(t *testing.T) {
	s := newSite(t)
	mine, other := s.Organization(), s.Organization()
	shop, both, free := s.Machine(mine), s.Machine(mine), s.Machine(mine)
	s.permit(shop, mine, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "household-*")
	s.permit(shop, mine, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "household-registered")
	s.permit(shop, other, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "individual-*")
	for _, org := range []string{mine, other} {
		s.permit(both, org, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "*")
	}
	for _, org := range []string{mine, ""} {
		s.permit(free, org, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "*")
	}
	for who, want := range map[string]string{shop: mine, both: "refused", free: ""} {
		e := anEvent("household-registered", uuid(), `{"name":"x"}`)
		for range 2 { // sent again as well
			_, err := s.API.Entity.PublishEvents(s.As(who), &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{e, anEvent("household-moved", e.GetEntityId(), `{"village":"y"}`)}})
			if want == "refused" {
				instancetest.Want(t, err, fault.Denied, "events[0]")
				continue
			}
			if err != nil {
				t.Fatal(api.Explain(err))
			}
			if got := s.get(t, "household", e.GetEntityId(), 0).GetOrganizationId(); got != want {
				t.Errorf("it belongs to %q, want %q", got, want)
			}
		}
	}
}
