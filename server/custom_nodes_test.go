package server

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/user"
	"muniment.dev/view"
)

// onPostgres is a crew whose nodes are set up as an operator would set them up,
// over one PostgreSQL that holds log, keys and views.
func onPostgres(t *testing.T) *crew {
	cluster := postgres.Shared(t)
	c := newCrew(t)
	c.config.Database, c.config.Keys, c.config.Lease = cluster.NewDatabase(t), cluster.NewDatabase(t), "60s"
	return c
}

// enlist has another of those join.
func (c *crew) enlist() *hand {
	c.Helper()
	conf := c.config
	front := httptest.NewUnstartedServer(nil)
	c.Cleanup(front.Close)
	conf.Data, conf.Listen, conf.NodeListen = c.TempDir(), front.Listener.Addr().String(), "127.0.0.1:0"
	if err := conf.Check(); err != nil {
		c.Fatal(err)
	}
	nodes, stop, err := conf.nodes(c.Context(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(stop)
	s, err := New(c.Context(), conf, Extra{Passwords: quick, Nodes: nodes})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { s.Close() })
	return &hand{Server: s, front: front}
}

// ferries are definitions of a type of entity with a unique value, and of as many
// types of event, besides the first, as are asked for.
func ferries(others int, apply string) []*munimentv1.SchemaDocument {
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	out := []*munimentv1.SchemaDocument{
		{File: "ferry.json", Text: `{` + dialect + `, "x-entity-type": "ferry", "title": "Ferry", "type": "object", "properties": {
			"hull": {"type": "string", "x-unique": "instance"}, "port": {"type": "string", "x-public": true, "x-search": "exact"}, "calls": {"type": "integer", "x-public": true}}}`},
		{File: "ferry-launched.json", Text: `{` + dialect + `, "x-event": "ferry-launched", "x-entity": "ferry", "title": "A ferry was launched", "type": "object", "additionalProperties": false, "x-creates": true,
			"properties": {"hull": {"type": "string"}, "port": {"type": "string", "x-public": true}}}`},
		{File: "ferry-called.json", Text: `{` + dialect + `, "x-event": "ferry-called", "x-entity": "ferry", "title": "A ferry called at {port}", "type": "object", "additionalProperties": false,
			"properties": {"port": {"type": "string", "x-public": true}}, "x-apply": ` + apply + `}`},
	}
	for n := range others {
		out = append(out, &munimentv1.SchemaDocument{File: fmt.Sprintf("ferry-other%d.json", n), Text: fmt.Sprintf(`{%s, "x-event": "ferry-other%d", "x-entity": "ferry", "title": "Other", "type": "object", "additionalProperties": false, "x-creates": true,
			"properties": {"port": {"type": "string", "x-public": true}}}`, dialect, n)})
	}
	return out
}

const (
	calling = `[{"merge": true}, {"increment": {"calls": {"value": 1}}}]`
	twice   = `[{"merge": true}, {"increment": {"calls": {"value": 2}}}]`
)

// fleetOwner applies and publishes on the nodes of a crew.
type fleetOwner struct {
	*crew
	id event.ID
}

func (o *fleetOwner) apply(at *hand, docs []*munimentv1.SchemaDocument) *munimentv1.ApplySchemaResponse {
	o.Helper()
	return must[*munimentv1.ApplySchemaResponse](o.T)(at.API.Schema.ApplySchema(o.as(at, o.id), &munimentv1.ApplySchemaRequest{Documents: docs}))
}

func (o *fleetOwner) publish(at *hand, req *munimentv1.PublishEventsRequest) (*munimentv1.PublishEventsResponse, error) {
	o.Helper()
	return at.API.Entity.PublishEvents(o.as(at, o.id), req)
}

func (o *fleetOwner) ferry(at *hand, id string) *munimentv1.Entity {
	o.Helper()
	return must[*munimentv1.GetEntityResponse](o.T)(at.API.Entity.GetEntity(o.as(at, o.id), &munimentv1.GetEntityRequest{Type: "ferry", EntityId: id})).GetEntity()
}

func happened(typ, entity, data string) *munimentv1.NewEvent {
	return &munimentv1.NewEvent{Id: event.NewID().String(), Type: typ, EntityId: entity, DataJson: data}
}

func sending(e ...*munimentv1.NewEvent) *munimentv1.PublishEventsRequest {
	return &munimentv1.PublishEventsRequest{Events: e}
}

// atOnce sends eight requests, half of them to either node, and answers those
// that were done; the others must be refused with one of the kinds.
func (o *fleetOwner) atOnce(nodes []*hand, request func(n int) *munimentv1.PublishEventsRequest, kinds ...fault.Kind) (done []*munimentv1.PublishEventsResponse) {
	o.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range 8 {
		at, req := nodes[n%len(nodes)], request(n)
		as := o.as(at, o.id)
		wg.Go(func() {
			res, err := at.API.Entity.PublishEvents(as, req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				done = append(done, res)
				return
			}
			for _, k := range kinds {
				if fault.Is(api.AsFault(err), k) {
					return
				}
			}
			o.Errorf("client %d: %v", n, api.Explain(err))
		})
	}
	wg.Wait()
	return done
}

// Issue 5 on several nodes over PostgreSQL: what is defined on one is in force on
// the others with the next request, in whatever order they take turns.
func TestDefinitionsOnNodes(t *testing.T) {
	postgres.SkipIfChosen(t)
	c := onPostgres(t)
	a, b := c.enlist(), c.enlist()
	o := c.owned(a)
	nodes := []*hand{a, b, c.enlist()}
	id := event.NewID().String()
	for n := range 6 {
		defines, publishes, reads := nodes[n%3], nodes[(n+1)%3], nodes[(n+2)%3]
		o.apply(defines, ferries(n, calling))
		typ := fmt.Sprintf("ferry-other%d", n-1)
		if n == 0 {
			typ = "ferry-launched"
		}
		port := fmt.Sprintf("P%d", n)
		must[*munimentv1.PublishEventsResponse](t)(o.publish(publishes, sending(happened(typ, id, `{"port":"`+port+`"}`))))
		for _, at := range []*hand{reads, publishes, defines} {
			if e := o.ferry(at, id); e.GetVersion() != uint64(n+1) || e.GetData().GetFields()["port"].GetStringValue() != port {
				t.Fatalf("in round %d: %v", n, e)
			}
		}
		found := must[*munimentv1.ListEntitiesResponse](t)(reads.API.Entity.ListEntities(c.as(reads, o.id), &munimentv1.ListEntitiesRequest{Type: "ferry"})).GetEntities()
		if len(found) != 1 || found[0].GetVersion() != uint64(n+1) {
			t.Fatalf("in round %d: %v", n, found)
		}
	}
	// What is not defined any more is refused by the next request, wherever it comes.
	docs := ferries(5, calling)
	docs[3].Text = docs[3].Text[:len(docs[3].Text)-1] + `, "x-retired": true}`
	o.apply(b, docs)
	for _, at := range nodes {
		if _, err := o.publish(at, sending(happened("ferry-other0", id, `{}`))); !fault.Is(api.AsFault(err), fault.Refused) {
			t.Errorf("a retired type: %v", err)
		}
	}
	// An applier that computes otherwise holds on all of them, soon.
	must[*munimentv1.PublishEventsResponse](t)(o.publish(b, sending(happened("ferry-called", id, `{"port":"Q"}`))))
	for n := range 21 { // not each is followed by each node, before the next one comes
		docs[2].Text = ferries(0, []string{twice, calling}[n%2])[2].Text
		o.apply(nodes[n%3], docs)
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
	}
	for _, at := range nodes {
		o.becomes(at, id, 2)
	}
	if _, err := b.Core.Views.Check(t.Context(), nil, func(d view.Difference) { t.Error(d) }); err != nil {
		t.Error(err)
	}
}

// Publishing through a node that does not hold the log is as publishing through
// the one that does: of those that exclude each other one gets its way, and what
// comes twice is recorded once.
func TestPublishingOnNodes(t *testing.T) {
	postgres.SkipIfChosen(t)
	c := onPostgres(t)
	a, b := c.enlist(), c.enlist()
	o := c.owned(a)
	o.apply(a, ferries(0, calling))
	both := []*hand{a, b}
	for round := range 4 {
		hull := fmt.Sprintf("H%d", round)
		if done := o.atOnce(both, func(n int) *munimentv1.PublishEventsRequest {
			return sending(happened("ferry-launched", event.NewID().String(), fmt.Sprintf(`{"hull":%q,"port":"P%d"}`, hull, n)))
		}, fault.Exists); len(done) != 1 {
			t.Errorf("%d took the value", len(done))
		}
		id := event.NewID().String()
		first := happened("ferry-launched", id, `{"hull":"own-`+hull+`"}`)
		done := o.atOnce(both, func(int) *munimentv1.PublishEventsRequest { return sending(proto.Clone(first).(*munimentv1.NewEvent)) })
		for _, res := range done {
			if len(done) != 8 || res.GetEvents()[0].GetPosition() != done[0].GetEvents()[0].GetPosition() || res.GetEvents()[0].GetVersion() != 1 || res.GetPosition() == 0 {
				t.Errorf("sent by all: %v", res)
			}
		}
		if done := o.atOnce(both, func(n int) *munimentv1.PublishEventsRequest {
			return sending(happened("ferry-called", id, fmt.Sprintf(`{"port":"P%d"}`, n)), happened("ferry-launched", event.NewID().String(), `{}`))
		}); len(done) != 8 {
			t.Errorf("%d of 8 calls of one entity were recorded", len(done))
		}
		version := uint64(9)
		if done := o.atOnce(both, func(int) *munimentv1.PublishEventsRequest {
			e := happened("ferry-called", id, `{"port":"X"}`)
			e.ExpectedVersion = &version
			return sending(e)
		}, fault.Conflict); len(done) != 1 {
			t.Errorf("%d were first at a version", len(done))
		}
		after := uint64(b.Core.Log.Mark().Size)
		condition := &munimentv1.FactCondition{LogId: b.Core.Log.ID().String(), AfterPosition: after, Queries: []*munimentv1.FactQuery{{Types: []string{"ferry-called"}}}}
		if done := o.atOnce(both, func(int) *munimentv1.PublishEventsRequest {
			req := sending(happened("ferry-called", id, `{"port":"Y"}`))
			req.Condition = condition
			return req
		}, fault.Conflict); len(done) != 1 {
			t.Errorf("%d found nothing new", len(done))
		}
		for _, at := range both {
			if e := o.ferry(at, id); e.GetVersion() != 11 || e.GetData().GetFields()["calls"].GetNumberValue() != 10 {
				t.Errorf("%v", e)
			}
		}
	}
	if f := b.Core.Log.Role(); f.Leads || f.Forwarded == 0 {
		t.Fatalf("%+v", f)
	}
	res := must[*munimentv1.CheckEntitiesResponse](t)(b.API.Entity.CheckEntities(c.as(b, o.id), &munimentv1.CheckEntitiesRequest{}))
	if len(res.GetDifferent()) > 0 || res.GetChecked() < 36 {
		t.Errorf("%v", res)
	}
}

// owned sets the instance up, for an owner who may publish.
func (c *crew) owned(at *hand) *fleetOwner {
	c.Helper()
	_, id, err := at.Core.SetUp(c.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}})
	if err != nil {
		c.Fatal(err)
	}
	must[*munimentv1.GrantPermissionResponse](c.T)(at.API.Permission.GrantPermission(c.as(at, id), &munimentv1.GrantPermissionRequest{UserId: id.String(), Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	return &fleetOwner{c, id}
}

// becomes waits until a node serves a ferry with so many calls.
func (o *fleetOwner) becomes(at *hand, id string, calls float64) {
	o.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		res, err := at.API.Entity.GetEntity(o.as(at, o.id), &munimentv1.GetEntityRequest{Type: "ferry", EntityId: id})
		if err == nil && res.GetEntity().GetData().GetFields()["calls"].GetNumberValue() == calls {
			return
		}
		if time.Now().After(end) {
			o.Fatalf("%v, %v", res, err)
		}
	}
}
