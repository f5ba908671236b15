package customapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/publish"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// shops are definitions of shops with a code, which is unique as it says, and a
// street, which is public and searched for as it says.
func shops(unique, search, apply string) []*munimentv1.SchemaDocument {
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	quoted := func(name, v string) string {
		if v == "" {
			return ""
		}
		return fmt.Sprintf(`, %q: %q`, name, v)
	}
	if apply != "" {
		apply = `, "x-apply": ` + apply
	}
	return []*munimentv1.SchemaDocument{
		{File: "shop.json", Text: `{` + dialect + `, "x-entity-type": "shop", "title": "Shop", "type": "object", "properties": {
			"code": {"type": "string"` + quoted("x-unique", unique) + `}, "street": {"type": "string", "x-public": true` + quoted("x-search", search) + `}, "floor": {"type": "integer", "x-public": true}}}`},
		{File: "shop-opened.json", Text: `{` + dialect + `, "x-event": "shop-opened", "x-entity": "shop", "title": "A shop was opened", "type": "object", "x-creates": true,
			"properties": {"code": {"type": "string"}, "street": {"type": "string", "x-public": true}}, "additionalProperties": false` + apply + `}`},
		{File: "shop-moved.json", Text: `{` + dialect + `, "x-event": "shop-moved", "x-entity": "shop", "title": "A shop moved", "type": "object",
			"properties": {"street": {"type": "string", "x-public": true}}, "additionalProperties": false}`},
		{File: "shop-renamed.json", Text: `{` + dialect + `, "x-event": "shop-renamed", "x-entity": "shop", "title": "A shop got another code", "type": "object",
			"properties": {"code": {"type": ["string", "null"]}}, "additionalProperties": false}`},
		{File: "shop-closed.json", Text: `{` + dialect + `, "x-event": "shop-closed", "x-entity": "shop", "title": "A shop was closed", "type": "object",
			"properties": {"why": {"type": "string"}}, "additionalProperties": false, "x-apply": {"delete": true}}`},
	}
}

func newShops(t *testing.T, docs []*munimentv1.SchemaDocument) *site {
	t.Helper()
	s := &site{Instance: instancetest.New(t)}
	s.ctx = s.AsOwner()
	instancetest.Must(s.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: s.Owner, Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*", Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	if err := s.apply(docs); err != nil {
		t.Fatal(api.Explain(err))
	}
	return s
}

// apply applies definitions; it answers the refusal.
func (s *site) apply(docs []*munimentv1.SchemaDocument, acknowledge ...string) error {
	_, err := s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: docs, Acknowledge: acknowledge})
	return err
}

func (s *site) try(events ...*munimentv1.NewEvent) error {
	_, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: events})
	return err
}

// tried repeats what cannot be answered yet.
func (s *site) tried(events ...*munimentv1.NewEvent) error {
	for n := 0; ; n++ {
		if err := s.try(events...); !fault.Is(api.AsFault(err), fault.Unavailable) || n > 1000 {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *site) indexing(field string) *munimentv1.FieldIndexing {
	for _, t := range instancetest.Must(s.API.Schema.GetSchema(s.ctx, &munimentv1.GetSchemaRequest{})).GetTypes() {
		for _, f := range t.GetFields() {
			if t.GetName() == "shop" && f.GetName() == field {
				return f.GetIndexing()
			}
		}
	}
	return nil
}

// indexed waits until the older values of a field are claimed.
func (s *site) indexed(t *testing.T, field string) *munimentv1.FieldIndexing {
	t.Helper()
	for range 3000 {
		if x := s.indexing(field); x.GetComplete() {
			if len(x.GetHeldEntityIds()) > 0 {
				t.Errorf("held by others: %v", x)
			}
			return x
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the values of %s are not claimed: %v", field, s.indexing(field))
	return nil
}

func opened(id, code string) *munimentv1.NewEvent {
	return anEvent("shop-opened", id, fmt.Sprintf(`{"code":%q,"street":"High %s"}`, code, code))
}

// Requirement E05: a field that becomes unique is unique for what is there
// already: equal values are refused with the entities that have them, those of
// older entities are claimed in the background, and no moment is between in
// which another could take one. A field that is not unique any more keeps
// nobody out, and one that becomes unique again starts anew.
func TestOlderValuesBecomeUnique(t *testing.T) {
	none, unique := shops("", "", ""), shops("instance", "", "")
	s := newShops(t, none)
	const n = 2*publish.IndexBatch + 7
	ids := make([]string, n)
	var events []*munimentv1.NewEvent
	for i := range ids {
		ids[i] = uuid()
		events = append(events, opened(ids[i], fmt.Sprint("c", i)))
	}
	s.publish(t, events...)
	twin := uuid()
	s.publish(t, opened(twin, "C5"))

	plan := instancetest.Must(s.API.Schema.PlanSchema(s.ctx, &munimentv1.PlanSchemaRequest{Documents: unique}))
	i := slices.IndexFunc(plan.GetSteps(), func(x *munimentv1.SchemaStep) bool { return x.GetVerdict() == "refused" })
	if i < 0 || plan.GetSteps()[i].GetEntities() != 2 || !strings.Contains(plan.GetSteps()[i].GetText(), twin) {
		t.Fatalf("two with one code: %v", plan)
	}
	for _, x := range plan.GetSteps()[i].GetExamples() {
		if !slices.Contains([]string{twin, ids[5]}, x.GetEntityId()) || len(x.GetFields()) != 1 {
			t.Errorf("named is %v", x)
		}
	}
	if err := s.apply(unique); !fault.Is(api.AsFault(err), fault.Refused) || !strings.Contains(api.Explain(err).GetMessage(), twin) {
		t.Fatalf("applied all the same: %v", api.Explain(err))
	}
	s.publish(t, anEvent("shop-renamed", twin, `{"code":"other"}`))
	if err := s.apply(unique); err != nil {
		t.Fatal(api.Explain(err))
	}
	if err := s.tried(opened(uuid(), "C7")); !fault.Is(api.AsFault(err), fault.Exists) {
		t.Fatalf("taken from an older one: %v %v", err, instancetest.Must(s.API.Schema.GetSchema(s.ctx, &munimentv1.GetSchemaRequest{})).GetRebuilding())
	}
	if err := s.tried(anEvent("shop-renamed", ids[0], `{"code":"c200"}`)); !fault.Is(api.AsFault(err), fault.Exists) {
		t.Errorf("taken by an older one: %v", err)
	}
	if err := s.tried(anEvent("shop-renamed", ids[206], `{"code":"new"}`)); err != nil {
		t.Errorf("another: %v", api.Explain(err))
	}
	if err := s.tried(opened(uuid(), "c206")); err != nil {
		t.Errorf("what an older one released: %v", api.Explain(err))
	}
	if x := s.indexed(t, "code"); x.GetIndexed() != n+1 || x.GetOf() != n+1 {
		t.Errorf("%v of %d", x, n+1)
	}
	for _, code := range []string{"c0", "C100", "new", "c206", "other"} {
		if err := s.try(opened(uuid(), code)); !fault.Is(api.AsFault(err), fault.Exists) {
			t.Errorf("%s: %v", code, err)
		}
	}
	s.publish(t, anEvent("shop-closed", ids[1], `{}`), anEvent("shop-renamed", ids[2], `{"code":null}`))
	s.publish(t, opened(uuid(), "c1"), opened(uuid(), "c2"))

	if err := s.apply(none); err != nil {
		t.Fatal(api.Explain(err))
	}
	s.publish(t, anEvent("shop-renamed", ids[3], `{"code":"free"}`), opened(uuid(), "c4"), anEvent("shop-renamed", ids[4], `{"code":"c3"}`))
	if err := s.apply(unique); err != nil {
		t.Fatal(api.Explain(err))
	}
	s.indexed(t, "code")
	for code, kind := range map[string]fault.Kind{"c3": fault.Exists, "c4": fault.Exists, "free": fault.Exists} {
		if err := s.try(opened(uuid(), code)); !fault.Is(api.AsFault(err), kind) {
			t.Errorf("again, %s: %v", code, err)
		}
	}
	s.publish(t, anEvent("shop-renamed", ids[4], `{"code":"d"}`))
	s.publish(t, opened(uuid(), "c3"))
}

// Requirement E05: what becomes searchable is found in older entities, and a
// search says that it cannot tell yet rather than answering too little.
func TestOlderValuesBecomeSearchable(t *testing.T) {
	s := newShops(t, shops("", "", ""))
	var events []*munimentv1.NewEvent
	for i := range 50 {
		events = append(events, opened(uuid(), fmt.Sprint("c", i%25)))
	}
	s.publish(t, events...)
	search := &munimentv1.ListEntitiesRequest{Type: "shop", Filters: []*munimentv1.FieldFilter{{Field: "street", Equals: "high C3"}}}
	if err := s.apply(shops("", "exact", "")); err != nil {
		t.Fatal(api.Explain(err))
	}
	for n := 0; ; n++ {
		got, err := s.API.Entity.ListEntities(s.ctx, search)
		if err == nil && len(got.GetEntities()) != 2 {
			t.Fatalf("found %d of 2", len(got.GetEntities()))
		}
		if err == nil {
			break
		}
		if f := api.AsFault(err); !fault.Is(f, fault.Unavailable) || n > 1000 {
			t.Fatal(f)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Requirements E22, E25: a replaced applier is computed beside what is served:
// the plan names entities that come out otherwise, and those whose applier fails
// then, which must be meant; what is served stays until it is replaced.
func TestReplacedApplierIsCompared(t *testing.T) {
	s := newShops(t, shops("instance", "", ""))
	short, long, other := uuid(), uuid(), uuid()
	s.publish(t, opened(short, "ab"), opened(long, "abcdef"), opened(other, "xyz"))
	broken := shops("instance", "", `{"set": {"code": "/code", "street": "/street", "floor": {"cel": "event.street == 'High ab' ? 1 / 0 : 7"}}}`)
	plan := instancetest.Must(s.API.Schema.PlanSchema(s.ctx, &munimentv1.PlanSchemaRequest{Documents: broken}))
	differ, fail := stepOf(plan, "changed"), stepOf(plan, "asked")
	if plan.GetCompared() != 3 || differ.GetEntities() != 3 || fail.GetEntities() != 1 || fail.GetAcknowledge() != "fail:shop" {
		t.Fatalf("%v", plan)
	}
	if x := fail.GetExamples()[0]; x.GetEntityId() != short || x.GetFailedPosition() == 0 || x.GetProblem() == "" {
		t.Errorf("fails: %v", x)
	}
	for _, x := range differ.GetExamples() {
		if x.GetEntityId() == long && !slices.Equal(x.GetFields(), []string{"floor"}) || strings.Contains(x.String(), "abcdef") {
			t.Errorf("otherwise: %v", x)
		}
	}
	if err := s.apply(broken); !fault.Is(api.AsFault(err), fault.Refused) {
		t.Fatalf("not acknowledged: %v", err)
	}
	if err := s.apply(broken, "fail:shop"); err != nil {
		t.Fatal(api.Explain(err))
	}
	got := s.rebuilt(t)
	if c := got.GetComparison(); c.GetCompared() != 3 || c.GetDiffer() != 3 || c.GetFail() != 1 {
		t.Errorf("%v", c)
	}
	wantData(t, s.get(t, "shop", long, 0), `{"code":"abcdef","street":"High abcdef","floor":7}`)
	if e := s.get(t, "shop", short, 0); e.GetFailedPosition() == 0 {
		t.Errorf("%v", e)
	}

	// An applier that makes one value of two is refused, as a field is that
	// becomes unique.
	same := shops("instance", "", `{"set": {"code": {"cel": "event.code.size() > 2 ? 'long' : event.code"}, "street": "/street"}}`)
	if x := stepOf(instancetest.Must(s.API.Schema.PlanSchema(s.ctx, &munimentv1.PlanSchemaRequest{Documents: same})), "refused"); x.GetEntities() != 2 {
		t.Errorf("two that become equal: %v", x)
	}
	// One that moves the values claims them anew.
	if err := s.apply(shops("instance", "", `{"set": {"code": {"cel": "event.code + '!'"}, "street": "/street"}}`)); err != nil {
		t.Fatal(api.Explain(err))
	}
	if err := s.tried(anEvent("shop-renamed", short, `{"code":"xyz!"}`)); !fault.Is(api.AsFault(err), fault.Exists) {
		t.Errorf("a value that moved: %v", err)
	}
	if x := s.indexed(t, "code"); x.GetIndexed() != 3 {
		t.Errorf("%v", x)
	}
	if err := s.try(anEvent("shop-renamed", short, `{"code":"abcdef"}`)); err != nil {
		t.Errorf("a value that moved away: %v", api.Explain(err))
	}
	if c := instancetest.Must(s.API.Entity.CheckEntities(s.ctx, &munimentv1.CheckEntitiesRequest{})); len(c.GetDifferent()) > 0 {
		t.Errorf("%v", c)
	}
}

// stepOf is the last step of a verdict that is about entities.
func stepOf(p *munimentv1.PlanSchemaResponse, verdict string) (last *munimentv1.SchemaStep) {
	for _, st := range p.GetSteps() {
		if st.GetVerdict() == verdict && st.GetEntities() > 0 {
			last = st
		}
	}
	return last
}

// rebuilt waits until what is served follows from the definitions.
func (s *site) rebuilt(t *testing.T) *munimentv1.GetSchemaResponse {
	t.Helper()
	for range 2000 {
		if got := instancetest.Must(s.API.Schema.GetSchema(s.ctx, &munimentv1.GetSchemaRequest{})); got.GetRebuilding() == nil {
			return got
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("entities are not computed anew")
	return nil
}
