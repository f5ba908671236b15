package customapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// atOnce gives eight requests at the same time, and answers how many were done;
// the others are refused with one of the kinds.
func (s *site) atOnce(t *testing.T, request func(n int) *munimentv1.PublishEventsRequest, kinds ...fault.Kind) (done int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range 8 {
		req := request(n)
		wg.Go(func() {
			_, err := s.API.Entity.PublishEvents(s.ctx, req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				done++
				return
			}
			for _, k := range kinds {
				if fault.Is(api.AsFault(err), k) {
					return
				}
			}
			t.Errorf("client %d: %v", n, api.Explain(err))
		})
	}
	wg.Wait()
	return done
}

func one(e ...*munimentv1.NewEvent) *munimentv1.PublishEventsRequest {
	return &munimentv1.PublishEventsRequest{Events: e}
}

func expecting(e *munimentv1.NewEvent, version uint64) *munimentv1.NewEvent {
	e.ExpectedVersion = &version
	return e
}

// Requirements E06, E18: of clients that exclude each other one gets its way,
// and the others are told what came between.
func TestRaces(t *testing.T) {
	s := newSite(t)
	t.Run("one value", func(t *testing.T) {
		if n := s.atOnce(t, func(n int) *munimentv1.PublishEventsRequest {
			return one(anEvent("household-registered", uuid(), fmt.Sprintf(`{"name":"H%d","nationalId":"raced"}`, n)))
		}, fault.Exists); n != 1 {
			t.Errorf("%d took it", n)
		}
	})
	h := uuid()
	s.publish(t, anEvent("household-registered", h, `{"name":"x","village":"v","nationalId":"mine"}`))
	t.Run("one version", func(t *testing.T) {
		if n := s.atOnce(t, func(n int) *munimentv1.PublishEventsRequest {
			return one(expecting(anEvent("household-moved", h, fmt.Sprintf(`{"village":"v%d"}`, n)), 1))
		}, fault.Conflict); n != 1 {
			t.Errorf("%d were first", n)
		}
	})
	t.Run("one event, sent by all", func(t *testing.T) {
		e := anEvent("household-moved", h, `{"village":"same"}`)
		before := s.get(t, "household", h, 0).GetVersion()
		if n := s.atOnce(t, func(int) *munimentv1.PublishEventsRequest { return one(proto.Clone(e).(*munimentv1.NewEvent)) }); n != 8 {
			t.Errorf("%d were told where it stands", n)
		}
		if v := s.get(t, "household", h, 0).GetVersion(); v != before+1 {
			t.Errorf("recorded %d times", v-before)
		}
	})
	t.Run("facts", func(t *testing.T) {
		q := &munimentv1.FactCondition{LogId: s.Core.Log.ID().String(), AfterPosition: uint64(s.Core.Log.Mark().Size), Queries: []*munimentv1.FactQuery{{Types: []string{"individual-registered"}}}}
		if n := s.atOnce(t, func(int) *munimentv1.PublishEventsRequest {
			r := one(anEvent("individual-registered", uuid(), `{"name":"the only one"}`))
			r.Condition = q
			return r
		}, fault.Conflict); n != 1 {
			t.Errorf("%d found nothing new", n)
		}
	})
	t.Run("the first event", func(t *testing.T) {
		id := uuid()
		n := s.atOnce(t, func(int) *munimentv1.PublishEventsRequest {
			return one(expecting(anEvent("individual-registered", id, `{"name":"x"}`), 0))
		}, fault.Conflict)
		if n != 1 {
			t.Errorf("%d made the entity", n)
		}
	})
	t.Run("under changes of the definitions", func(t *testing.T) {
		docs := household()
		docs[3].Text = strings.Replace(docs[3].Text, `"x-creates": true`, `"x-creates": true, "description": "changed"`, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := range 6 {
				set := [][]*munimentv1.SchemaDocument{docs, household()}[n%2]
				if _, err := s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: set}); err != nil {
					t.Error(api.Explain(err))
				}
			}
		})
		if n := s.atOnce(t, func(int) *munimentv1.PublishEventsRequest {
			return one(anEvent("household-moved", h, `{"village":"z"}`), anEvent("individual-registered", uuid(), `{"name":"y"}`))
		}); n != 8 {
			t.Errorf("%d of 8 were published", n)
		}
		wg.Wait()
	})
	if c := instancetest.Must(s.API.Entity.CheckEntities(s.ctx, &munimentv1.CheckEntitiesRequest{})); len(c.GetDifferent()) > 0 {
		t.Errorf("%v", c)
	}
}

// A batch is recorded whole or not at all, in its order; what is recorded
// already is answered in its place; versions that are expected count the events
// before them.
func TestBatches(t *testing.T) {
	s := newSite(t)
	h := uuid()
	made := anEvent("household-registered", h, `{"name":"x"}`)
	moved := expecting(anEvent("household-moved", h, `{"village":"a"}`), 1)
	res := s.publish(t, made, moved, expecting(anEvent("household-moved", h, `{"village":"b"}`), 2))
	for i, e := range res.GetEvents() {
		if e.GetVersion() != uint64(i+1) || e.GetPosition() != res.GetEvents()[0].GetPosition()+uint64(i) {
			t.Errorf("event %d: %v", i, e)
		}
	}
	again := s.publish(t, anEvent("household-moved", h, `{"village":"c"}`), made, moved, anEvent("household-moved", h, `{"village":"d"}`))
	for i, want := range []struct {
		version  uint64
		repeated bool
	}{{4, false}, {1, true}, {2, true}, {5, false}} {
		if e := again.GetEvents()[i]; e.GetVersion() != want.version || e.GetRepeated() != want.repeated {
			t.Errorf("event %d: %v, want %v", i, e, want)
		}
	}
	wantData(t, s.get(t, "household", h, 0), `{"name":"x","village":"d"}`)
	mark := s.Core.Log.Mark().Size
	for name, req := range map[string]*munimentv1.PublishEventsRequest{
		"an id twice":                 one(made, made),
		"a version that is not there": one(anEvent("household-moved", h, `{"village":"e"}`), expecting(anEvent("household-moved", h, `{"village":"f"}`), 5)),
		"one value for two":           one(anEvent("household-registered", uuid(), `{"name":"x","nationalId":"N7"}`), anEvent("household-registered", uuid(), `{"name":"x","nationalId":"N7"}`)),
		"after its end":               one(anEvent("household-dissolved", h, `{}`), anEvent("household-moved", h, `{"village":"e"}`)),
		"none":                        one(),
		"another organization":        one(&munimentv1.NewEvent{Type: "household-moved", EntityId: h, DataJson: `{"village":"e"}`, OrganizationId: s.Org}),
	} {
		if _, err := s.API.Entity.PublishEvents(s.ctx, req); err == nil || s.Core.Log.Mark().Size != mark {
			t.Errorf("%s: %v, %d recorded", name, err, s.Core.Log.Mark().Size-mark)
		}
	}
	s.publish(t, anEvent("household-dissolved", h, `{}`), anEvent("household-registered", h, `{"name":"anew"}`))
	wantData(t, s.get(t, "household", h, 0), `{"name":"anew"}`)
}

// An expected version in the middle of a batch is a condition too: between
// making ready and recording nobody else comes in.
func TestExpectedBehindAnother(t *testing.T) {
	s := newSite(t)
	h := uuid()
	s.publish(t, anEvent("household-registered", h, `{"name":"x"}`))
	n := s.atOnce(t, func(int) *munimentv1.PublishEventsRequest {
		return one(anEvent("household-moved", h, `{"village":"a"}`), expecting(anEvent("household-moved", h, `{"village":"b"}`), 2))
	}, fault.Conflict)
	if n != 1 {
		t.Errorf("%d of 8 saw the entity at version 2", n)
	}
}

// A request whose answer was lost is sent again with the events' ids, whatever
// became of the entity and of the definitions meanwhile.
func TestLostAnswers(t *testing.T) {
	s := newSite(t)
	h := uuid()
	req := one(anEvent("household-registered", h, `{"name":"x","nationalId":"N3"}`), expecting(anEvent("household-moved", h, `{"village":"v"}`), 1))
	first := s.publish(t, req.GetEvents()...)
	s.publish(t, anEvent("household-dissolved", h, `{}`))
	docs := household()
	docs[4].Text = strings.Replace(docs[4].Text, `"x-event"`, `"x-retired": true, "x-event"`, 1)
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: docs}))
	second := s.publish(t, req.GetEvents()...)
	for i, e := range second.GetEvents() {
		if f := first.GetEvents()[i]; !e.GetRepeated() || f.GetRepeated() || e.GetId() != f.GetId() || e.GetPosition() != f.GetPosition() || e.GetVersion() != f.GetVersion() {
			t.Errorf("event %d: %v, then %v", i, f, e)
		}
	}
	req.Events[1].DataJson = `{"village":"w"}`
	_, err := s.API.Entity.PublishEvents(s.ctx, req)
	instancetest.Want(t, err, fault.Exists, "events[1].id")
}

// The key of an id is everybody's who has it: who erases an entity erases no
// person, and nothing of another organization.
func TestEraseOfSharedIDs(t *testing.T) {
	s := newSite(t)
	victim := s.Person(s.Org)
	org := s.Organization()
	admin := s.As(s.Member(org, munimentv1.MemberRole_MEMBER_ROLE_ADMIN))
	decoy := anEvent("individual-registered", victim, `{"name":"decoy"}`)
	decoy.OrganizationId = org
	s.publish(t, decoy)
	_, err := s.API.Entity.EraseEntity(admin, &munimentv1.EraseEntityRequest{Type: "individual", EntityId: victim})
	instancetest.Want(t, err, fault.Refused, "")
	if s.Email(victim) == "" {
		t.Error("the person is gone")
	}
	theirs := uuid()
	s.publish(t, anEvent("household-registered", theirs, `{"name":"of nobody"}`))
	mine := anEvent("individual-registered", theirs, `{"name":"decoy"}`)
	mine.OrganizationId = org
	s.publish(t, mine)
	_, err = s.API.Entity.EraseEntity(admin, &munimentv1.EraseEntityRequest{Type: "individual", EntityId: theirs})
	instancetest.Want(t, err, fault.Denied, "")
	wantData(t, s.get(t, "household", theirs, 0), `{"name":"of nobody"}`)
	instancetest.Must(s.API.Entity.EraseEntity(s.ctx, &munimentv1.EraseEntityRequest{Type: "individual", EntityId: theirs}))
	own := anEvent("individual-registered", uuid(), `{"name":"mine"}`)
	own.OrganizationId = org
	s.publish(t, own)
	// Nor can anybody keep it from being erased who takes its id afterwards.
	squatter := anEvent("household-registered", own.GetEntityId(), `{"name":"in the way"}`)
	squatter.OrganizationId = s.Organization()
	s.publish(t, squatter)
	instancetest.Must(s.API.Entity.EraseEntity(admin, &munimentv1.EraseEntityRequest{Type: "individual", EntityId: own.GetEntityId()}))
}
