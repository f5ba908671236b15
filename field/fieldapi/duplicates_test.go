package fieldapi_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/fieldapi"
	"muniment.dev/internal/instancetest"
)

// pairs are the possible duplicates in a state, each as its entities and fields.
func (s *site) pairs(t *testing.T, ctx context.Context, state string) (out []string) {
	t.Helper()
	for token := ""; ; {
		res, err := s.API.Sync.ListDuplicates(ctx, &munimentv1.ListDuplicatesRequest{State: state, PageSize: 500, PageToken: token})
		if err != nil {
			t.Fatal(api.Explain(err))
		}
		for _, d := range res.GetDuplicates() {
			out = append(out, pair(d.GetEntityId(), d.GetOtherId(), d.GetFields()...))
		}
		if token = res.GetNextPageToken(); token == "" {
			slices.Sort(out)
			return out
		}
	}
}

func pair(a, b string, fields ...string) string {
	return strings.Join(append([]string{a, b}, fields...), " ")
}

// until waits for what follows the log.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it does not come", what)
		}
	}
}

// wantPairs waits until there are these pairs in a state, and no others.
func (s *site) wantPairs(t *testing.T, state string, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if got = s.pairs(t, s.ctx, state); slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %q, want %q", state, got, want)
		}
	}
}

func (s *site) publish(t *testing.T, typ, entity, data string) {
	t.Helper()
	if _, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{{Type: typ, EntityId: entity, DataJson: data}}}); err != nil {
		t.Fatal(api.Explain(err))
	}
}

const amina = `{"name":"Amina","givenName":"Amína","familyName":"Núñez","birthDate":"1980-02-01"}`

// Issue 5, point 8: entities that devices push and that are published are
// compared by what their type declares, sealed as they are; a pair is flagged
// once, blocks nothing, and is resolved once and for all.
func TestDuplicatesAreFlagged(t *testing.T) {
	s := newSite(t)
	a, b, c := uuid(), uuid(), uuid()
	first := anEvent("create-individual", a, amina, "")
	s.push(t, uuid(), first)
	s.publish(t, "create-individual", b, `{"name":"A. Nunez","givenName":"AMINA","familyName":"nunez","birthDate":"1980-02-01","phone":"+254 700-1"}`)
	s.push(t, uuid(), anEvent("create-individual", c, `{"name":"Joseph","phone":"2547001"}`, ""), first)
	name := []string{"birthDate", "familyName", "givenName"}
	s.wantPairs(t, "open", pair(b, a, name...), pair(c, b, "phone"))

	resolve := func(x, y string, same bool) error {
		_, err := s.API.Sync.ResolveDuplicate(s.ctx, &munimentv1.ResolveDuplicateRequest{EntityId: x, OtherId: y, Same: same})
		return err
	}
	if err := resolve(a, c, true); !fault.Is(api.AsFault(err), fault.NotFound) {
		t.Errorf("two that were not flagged: %v", err)
	}
	if err := resolve(a, b, false); err != nil {
		t.Fatal(api.Explain(err))
	}
	// The event by which c gets a's name stands behind those of b in no lane, but a
	// is compared again by the same event that flags it with c.
	s.publish(t, "update-individual", a, `{"familyName":"NUNEZ"}`)
	s.publish(t, "update-individual", a, `{"phone":"254.7001"}`)
	s.wantPairs(t, "open", pair(c, b, "phone"), pair(c, a, "phone"))
	s.wantPairs(t, "different", pair(b, a, name...))

	for r, err := range s.Core.Log.Read(t.Context(), event.Query{{Types: []string{"field.duplicate.found"}}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(r.Public, []byte("unez")) || bytes.Contains(r.Public, []byte("2547001")) || r.Actor != event.System {
			t.Errorf("the record says %q by %s", r.Public, r.Actor)
		}
	}
}

// A person who keeps one of the two is heard by those who follow it; the other is
// deleted if that is asked for, and what it might be the same as is closed.
func TestResolveDuplicate(t *testing.T) {
	s := newSite(t)
	a, b, c := uuid(), uuid(), uuid()
	for _, id := range []string{a, b, c} {
		s.publish(t, "create-individual", id, `{"name":"x","phone":"1"}`)
	}
	s.wantPairs(t, "open", pair(b, a, "phone"), pair(c, a, "phone"), pair(c, b, "phone"))
	req := &munimentv1.ResolveDuplicateRequest{EntityId: a, OtherId: b, Same: true, DeleteOther: true, CommandId: event.NewID().String()}
	if _, err := s.API.Sync.ResolveDuplicate(s.ctx, req); !fault.Is(api.AsFault(err), fault.Invalid) {
		t.Errorf("without saying which is kept: %v", err)
	}
	req.KeepId = b
	res, err := s.API.Sync.ResolveDuplicate(s.ctx, req)
	if err != nil {
		t.Fatal(api.Explain(err))
	}
	again := instancetest.Must(s.API.Sync.ResolveDuplicate(s.ctx, req))
	if res.GetEventPosition() == 0 || res.GetDeletedPosition() == 0 || again.GetEventPosition() != res.GetEventPosition() || again.GetDeletedPosition() != res.GetDeletedPosition() {
		t.Errorf("it was published at %v, and again at %v", res, again)
	}
	kept := instancetest.Must(s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "individual", EntityId: b})).GetEntity()
	gone := instancetest.Must(s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "individual", EntityId: a})).GetEntity()
	if got := kept.GetDataJson(); got != `{"name":"x","phone":"1","sameAs":["`+a+`"]}` || !gone.GetDeleted() {
		t.Errorf("kept: %s; the other: %v", got, gone)
	}
	s.wantPairs(t, "same", pair(b, a, "phone"))
	s.wantPairs(t, "closed", pair(c, a, "phone"))
	s.wantPairs(t, "open", pair(c, b, "phone"))
	d := instancetest.Must(s.API.Sync.ListDuplicates(s.ctx, &munimentv1.ListDuplicatesRequest{EntityId: a, State: "same"})).GetDuplicates()
	if len(d) != 1 || d[0].GetKeptId() != b {
		t.Errorf("of the one that is gone: %v", d)
	}
}

// What a device says about two entities counts, before they are flagged and
// after.
func TestDevicesResolve(t *testing.T) {
	s := newSite(t)
	a, b, c := uuid(), uuid(), uuid()
	for _, id := range []string{a, b} {
		s.publish(t, "create-individual", id, `{"name":"x","phone":"1"}`)
	}
	s.wantPairs(t, "open", pair(b, a, "phone"))
	s.publish(t, "create-individual", c, `{"name":"Ada"}`)
	s.push(t, uuid(), anEvent("resolve-duplicate", a, `{"other":"`+b+`","same":true}`, ""), anEvent("resolve-duplicate", c, `{"other":"`+a+`","same":false}`, ""),
		anEvent("update-individual", c, `{"phone":"1"}`, ""))
	s.wantPairs(t, "same", pair(b, a, "phone"))
	s.wantPairs(t, "open", pair(c, b, "phone"))
	s.wantPairs(t, "different", pair(c, a))
}

// Erasing one of two leaves nothing by which the other could be found to be like
// it, and nothing to be resolved.
func TestErasingADuplicate(t *testing.T) {
	s := newSite(t)
	a, b, c, d := uuid(), uuid(), uuid(), uuid()
	all := []string{"birthDate", "familyName", "givenName", "name"}
	s.publish(t, "create-individual", a, amina)
	s.publish(t, "create-individual", b, amina)
	s.publish(t, "create-individual", c, `{"name":"x","phone":"7"}`)
	s.wantPairs(t, "open", pair(b, a, all...))
	for _, id := range []string{a, c} {
		if _, err := s.API.Entity.EraseEntity(s.ctx, &munimentv1.EraseEntityRequest{Type: "individual", EntityId: id}); err != nil {
			t.Fatal(api.Explain(err))
		}
	}
	s.wantPairs(t, "closed", pair(b, a, all...))
	s.publish(t, "create-individual", d, `{"name":"x","phone":"7"}`)
	s.publish(t, "update-individual", d, amina)
	s.wantPairs(t, "open", pair(d, b, all...))
}

// Many entities that are alike stay few pairs.
func TestManyAlike(t *testing.T) {
	s := newSite(t)
	const n = 1000
	var events []*munimentv1.NewEvent
	for range n {
		events = append(events, &munimentv1.NewEvent{Type: "create-individual", EntityId: uuid(), DataJson: amina})
	}
	for batch := range slices.Chunk(events, 500) {
		if _, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: batch}); err != nil {
			t.Fatal(api.Explain(err))
		}
	}
	x, y := uuid(), uuid()
	s.publish(t, "create-individual", x, `{"name":"x","nationalId":"8"}`)
	s.publish(t, "create-individual", y, `{"name":"x","nationalId":"8"}`)
	most := 0
	for i := range fieldapi.MaxAlike + 1 {
		most += min(i, fieldapi.MaxPairs)
	}
	until(t, "the pairs", func() bool { return len(s.pairs(t, s.ctx, "open")) >= most+1 })
	got := s.pairs(t, s.ctx, "")
	if len(got) != most+1 || !slices.Contains(got, pair(y, x, "nationalId")) {
		t.Errorf("%d pairs, want %d and that of others", len(got), most)
	}
}

// What is declared later finds those who are there already.
func TestDeclaredLater(t *testing.T) {
	s := newSite(t)
	doc := func(duplicates string) {
		t.Helper()
		_, err := s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{
			{File: "h.json", Text: `{"x-entity-type": "household", ` + duplicates + `"type": "object", "properties": {"name": {"type": "string"}, "village": {"type": "string", "x-public": true}}}`},
			{File: "r.json", Text: `{"x-event": "household-registered", "x-entity": "household", "type": "object", "properties": {"name": {"type": "string"}, "village": {"type": "string", "x-public": true}}}`}}})
		if err != nil {
			t.Fatal(api.Explain(err))
		}
	}
	doc("")
	a, b := uuid(), uuid()
	s.publish(t, "household-registered", a, `{"name":"Ada","village":"Ockham"}`)
	s.publish(t, "household-registered", b, `{"name":"ada","village":"ockham"}`)
	s.wantPairs(t, "open")
	doc(`"x-duplicates": [["name"]], `)
	s.wantPairs(t, "open", pair(b, a, "name"))
	c := uuid()
	s.publish(t, "household-registered", c, `{"name":"Grace","village":"OCKHAM"}`)
	doc(`"x-duplicates": [["name"], ["village"]], `)
	s.wantPairs(t, "open", pair(b, a, "name"), pair(c, a, "village"), pair(c, b, "village"))
}

// S13: pairs are told only to those who may read what was compared; kept events
// to those who may read the events of their type.
func TestWhoSeesDuplicates(t *testing.T) {
	s := newSite(t)
	org := s.Organization()
	robot := s.Machine(org)
	ctx := s.As(robot)
	grant := func(right munimentv1.EventRight, types, in string) {
		instancetest.Must(s.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: robot, Right: right, EventTypes: types, Scope: instancetest.In(in)}))
	}
	for _, in := range []string{org, s.Organization()} {
		var ids []string
		for i := range 2 {
			ids = append(ids, uuid())
			if _, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{{Type: "create-individual", EntityId: ids[i], OrganizationId: in, DataJson: `{"name":"x","phone":"1"}`}}}); err != nil {
				t.Fatal(api.Explain(err))
			}
		}
		until(t, "the pair", func() bool { return slices.Contains(s.pairs(t, s.ctx, "open"), pair(ids[1], ids[0], "phone")) })
		s.push(t, uuid(), anEvent("delete-individual", ids[0], `{}`, ""), anEvent("update-individual", ids[0], `{"phone":"2"}`, ""))
		s.publish(t, "create-group", uuid(), fmt.Sprintf(`{"name":"of %s"}`, in))
	}
	until(t, "the pairs", func() bool { return len(s.pairs(t, s.ctx, "closed")) == 2 })
	kept := func() int {
		res, err := s.API.Sync.ListKeptEvents(ctx, &munimentv1.ListKeptEventsRequest{})
		if err != nil {
			t.Fatal(api.Explain(err))
		}
		return len(res.GetEvents())
	}
	if n, k := len(s.pairs(t, ctx, "")), kept(); n != 0 || k != 0 {
		t.Errorf("without a permission: %d pairs, %d kept", n, k)
	}
	grant(munimentv1.EventRight_EVENT_RIGHT_READ, "create-individual", org)
	if k := kept(); k != 0 {
		t.Errorf("with the permission to read others: %d kept", k)
	}
	grant(munimentv1.EventRight_EVENT_RIGHT_READ, "*", org)
	if n, k := len(s.pairs(t, ctx, "")), kept(); n != 0 || k != 1 {
		t.Errorf("with the permission to read: %d pairs, %d kept", n, k)
	}
	grant(munimentv1.EventRight_EVENT_RIGHT_UNSEAL, "*", org)
	if n, k := len(s.pairs(t, ctx, "")), kept(); n != 1 || k != 1 {
		t.Errorf("with the permission to unseal: %d pairs, %d kept", n, k)
	}
}
