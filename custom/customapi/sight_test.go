package customapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// visits are definitions of what is about a person, who can be erased.
func visits() []*munimentv1.SchemaDocument {
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	return []*munimentv1.SchemaDocument{
		{File: "visit.json", Text: `{` + dialect + `, "x-entity-type": "visit", "title": "Visit", "type": "object", "properties": {
			"patient": {"type": "string", "format": "uuid", "x-public": true}, "ward": {"type": "string", "x-public": true, "x-search": "exact"},
			"household": {"type": "string", "format": "uuid", "x-public": true, "x-ref": "household"},
			"finding": {"type": "string", "x-subject": "/patient", "x-search": "exact"}, "internal": {"type": "string", "x-search": "exact"}}}`},
		{File: "visit-made.json", Text: `{` + dialect + `, "x-event": "visit-made", "x-entity": "visit", "title": "A visit", "type": "object", "x-creates": true, "additionalProperties": false, "properties": {
			"patient": {"type": "string", "format": "uuid", "x-public": true}, "ward": {"type": "string", "x-public": true},
			"household": {"type": "string", "format": "uuid", "x-public": true, "x-ref": "household"},
			"finding": {"type": "string", "x-subject": "/patient"}, "internal": {"type": "string"}}, "required": ["patient"]}`},
		{File: "visit-corrected.json", Text: `{` + dialect + `, "x-event": "visit-corrected", "x-entity": "visit", "title": "Another patient", "type": "object", "additionalProperties": false, "properties": {
			"patient": {"type": "string", "format": "uuid", "x-public": true}, "finding": {"type": "string", "x-subject": "/patient"}}, "required": ["patient"]}`},
	}
}

func (s *site) permit(user, org string, right munimentv1.EventRight, types string) {
	instancetest.Must(s.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: user, Right: right, EventTypes: types, Scope: instancetest.In(org)}))
}

// dashed writes an id of the API as a UUID.
func dashed(id string) string {
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// Who sees an entity, and what of it, in each way that it can be read.
func TestSight(t *testing.T) {
	s := newSite(t)
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: visits()}))
	mine, other := s.Organization(), s.Organization()
	patient, stranger := s.Person(mine), s.Person(other)
	id := uuid()
	e := anEvent("visit-made", id, fmt.Sprintf(`{"patient":%q,"ward":"3B","finding":"measles","internal":"rude"}`, dashed(patient)))
	e.OrganizationId = mine
	s.publish(t, e)
	reader, unsealer, half := s.Machine(mine), s.Machine(mine), s.Machine(mine)
	elsewhere := s.Machine(other)
	for _, u := range []string{reader, unsealer} {
		s.permit(u, mine, munimentv1.EventRight_EVENT_RIGHT_READ, "visit-*")
	}
	s.permit(unsealer, mine, munimentv1.EventRight_EVENT_RIGHT_UNSEAL, "visit-*")
	s.permit(half, mine, munimentv1.EventRight_EVENT_RIGHT_READ, "visit-made")
	s.permit(half, mine, munimentv1.EventRight_EVENT_RIGHT_UNSEAL, "visit-*")
	for _, r := range []munimentv1.EventRight{munimentv1.EventRight_EVENT_RIGHT_READ, munimentv1.EventRight_EVENT_RIGHT_UNSEAL} {
		s.permit(elsewhere, other, r, "*")
	}
	const all = "finding internal patient ward"
	for name, c := range map[string]struct {
		who          string
		sees, finds  string // the fields that are shown; by which it is found in lists
		listed, none bool   // none: it is as if there were no such entity
	}{
		"the owner":                  {who: s.Owner, sees: all, finds: "ward finding", listed: true},
		"an owner of it":             {who: s.Member(mine, munimentv1.MemberRole_MEMBER_ROLE_OWNER), sees: all, finds: "ward finding", listed: true},
		"who may read":               {who: reader, sees: "patient ward", finds: "ward", listed: true},
		"who may unseal":             {who: unsealer, sees: all, finds: "ward finding", listed: true},
		"who may read some types":    {who: half, none: true},
		"who may elsewhere":          {who: elsewhere, none: true},
		"an owner elsewhere":         {who: s.Member(other, munimentv1.MemberRole_MEMBER_ROLE_OWNER), none: true},
		"the patient":                {who: patient, sees: "finding patient ward"},
		"somebody":                   {who: stranger, none: true},
		"somebody of the same place": {who: s.Person(mine), none: true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := s.As(c.who)
			got, err := s.API.Entity.GetEntity(ctx, &munimentv1.GetEntityRequest{Type: "visit", EntityId: id})
			if c.none {
				instancetest.Want(t, err, fault.NotFound, "")
				for _, err := range s.others(ctx, id) {
					instancetest.Want(t, err, fault.NotFound, "")
				}
			} else if fields := names(got.GetEntity()); fields != c.sees {
				t.Errorf("%v: sees %q, want %q", err, fields, c.sees)
			}
			if list, err := s.API.Entity.ListEntities(ctx, &munimentv1.ListEntitiesRequest{Type: "visit"}); err != nil || (len(list.GetEntities()) == 1) != c.listed {
				t.Errorf("listed: %v, %v", list, api.Explain(err))
			}
			for field, value := range map[string]string{"ward": "3B", "finding": "measles"} {
				list, _ := s.API.Entity.ListEntities(ctx, &munimentv1.ListEntitiesRequest{Type: "visit", PageSize: 1, Filters: []*munimentv1.FieldFilter{{Field: field, Equals: value}}})
				if (len(list.GetEntities()) == 1) != strings.Contains(c.finds, field) || list.GetNextPageToken() != "" {
					t.Errorf("by %s: %v", field, list)
				}
			}
		})
	}
}

// others are what the other ways to read an entity say.
func (s *site) others(ctx context.Context, id string) []error {
	_, a := s.API.Entity.ListEntityChanges(ctx, &munimentv1.ListEntityChangesRequest{Type: "visit", EntityId: id})
	_, b := s.API.Entity.CompareEntity(ctx, &munimentv1.CompareEntityRequest{Type: "visit", EntityId: id, FromPosition: uint64(s.Core.Log.Mark().Size) - 1})
	_, c := s.API.Entity.ListRelatedEntities(ctx, &munimentv1.ListRelatedEntitiesRequest{Type: "visit", EntityId: id})
	return []error{a, b, c}
}

func names(e *munimentv1.Entity) string {
	var out []string
	for _, f := range []string{"finding", "internal", "patient", "ward"} {
		if _, ok := e.GetData().GetFields()[f]; ok {
			out = append(out, f)
		}
	}
	return strings.Join(out, " ")
}

// How pages end tells nothing of what may not be seen.
func TestPagesHide(t *testing.T) {
	s := newSite(t)
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: visits()}))
	mine, other := s.Organization(), s.Organization()
	h := uuid()
	home := anEvent("household-registered", h, `{"name":"x"}`)
	home.OrganizationId = mine
	s.publish(t, home)
	var batch []*munimentv1.NewEvent
	for n := range 60 {
		e := anEvent("visit-made", uuid(), fmt.Sprintf(`{"patient":%q,"household":%q,"ward":"1","finding":"flu","internal":"i%d"}`, uuid(), h, n))
		if e.OrganizationId = other; n == 30 {
			e.OrganizationId = mine
		}
		batch = append(batch, e)
	}
	s.publish(t, batch...)
	u := s.Machine(mine)
	for _, r := range []munimentv1.EventRight{munimentv1.EventRight_EVENT_RIGHT_READ, munimentv1.EventRight_EVENT_RIGHT_UNSEAL} {
		s.permit(u, mine, r, "*")
	}
	s.permit(u, "", munimentv1.EventRight_EVENT_RIGHT_READ, "visit-*") // sees all of them, opens one
	ctx := s.As(u)
	list := instancetest.Must(s.API.Entity.ListEntities(ctx, &munimentv1.ListEntitiesRequest{Type: "visit", PageSize: 1, Filters: []*munimentv1.FieldFilter{{Field: "finding", Equals: "flu"}}}))
	if len(list.GetEntities()) != 1 || list.GetNextPageToken() != "" {
		t.Errorf("%d found, token %q", len(list.GetEntities()), list.GetNextPageToken())
	}
	instancetest.Must(s.API.Permission.WithdrawPermission(s.ctx, &munimentv1.WithdrawPermissionRequest{UserId: u, Right: munimentv1.EventRight_EVENT_RIGHT_READ, EventTypes: "visit-*", Scope: instancetest.In("")}))
	related := instancetest.Must(s.API.Entity.ListRelatedEntities(ctx, &munimentv1.ListRelatedEntitiesRequest{Type: "household", EntityId: h, PageSize: 1}))
	if len(related.GetEntities()) != 1 || related.GetNextPageToken() != "" {
		t.Errorf("%d related, token %q", len(related.GetEntities()), related.GetNextPageToken())
	}
}

// When an entity comes to be about somebody else, neither sees what it held of
// the other, and what it held is gone from it.
func TestAnotherSubject(t *testing.T) {
	s := newSite(t)
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: visits()}))
	ada, bob := s.Person(s.Org), s.Person(s.Org)
	id := uuid()
	s.publish(t, anEvent("visit-made", id, fmt.Sprintf(`{"patient":%q,"finding":"measles"}`, dashed(ada))))
	from := s.Core.Log.Mark().Size
	s.publish(t, anEvent("visit-corrected", id, fmt.Sprintf(`{"patient":%q,"finding":"mumps"}`, dashed(bob))))
	for who, want := range map[string][2]string{s.Owner: {`"measles"`, `"mumps"`}, bob: {"", `"mumps"`}} {
		trail := instancetest.Must(s.API.Entity.ListEntityChanges(s.As(who), &munimentv1.ListEntityChangesRequest{Type: "visit", EntityId: id, Descending: true, PageSize: 1}))
		c := trail.GetChanges()[0].GetChanges()[0]
		if c.GetField() != "finding" || c.GetBefore() != want[0] || c.GetAfter() != want[1] {
			t.Errorf("%v, want %q", c, want)
		}
	}
	s.publish(t, anEvent("visit-corrected", id, fmt.Sprintf(`{"patient":%q}`, dashed(ada))))
	if e := s.get(t, "visit", id, 0); strings.Contains(e.GetDataJson(), "finding") {
		t.Errorf("of Bob, in what is about Ada: %v", e)
	}
	if e := s.get(t, "visit", id, uint64(from)); !strings.Contains(e.GetDataJson(), "measles") {
		t.Errorf("as it was: %v", e)
	}
	instancetest.Must(s.API.User.EraseUser(s.ctx, &munimentv1.EraseUserRequest{UserId: ada}))
	s.Erased(ada)
	if e := s.get(t, "visit", id, uint64(from)); strings.Contains(e.GetDataJson(), "measles") || strings.Join(e.GetErased(), " ") != "finding" {
		t.Errorf("as it was, Ada erased: %v", e)
	}
	if c := instancetest.Must(s.API.Entity.CheckEntities(s.ctx, &munimentv1.CheckEntitiesRequest{})); len(c.GetDifferent()) > 0 {
		t.Errorf("%v", c)
	}
}
