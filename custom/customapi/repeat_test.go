package customapi_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// Requirement E19: whoever did not hear the answer sends the same again and learns
// that it was done, whatever it was conditioned on: what was recorded since, the
// events themselves among it, is no reason to refuse what is recorded already.
func TestRepeatedWithItsCondition(t *testing.T) {
	s := newSite(t)
	h := uuid()
	s.publish(t, anEvent("household-registered", h, `{"name":"x"}`))
	req := one(expecting(anEvent("household-moved", h, `{"village":"a"}`), 1))
	req.Condition = &munimentv1.FactCondition{LogId: s.Core.Log.ID().String(), AfterPosition: uint64(s.Core.Log.Mark().Size), Queries: []*munimentv1.FactQuery{{Types: []string{"household-moved"}}}}
	first := instancetest.Must(s.API.Entity.PublishEvents(s.ctx, proto.Clone(req).(*munimentv1.PublishEventsRequest)))
	s.publish(t, anEvent("household-moved", h, `{"village":"b"}`))
	again := instancetest.Must(s.API.Entity.PublishEvents(s.ctx, proto.Clone(req).(*munimentv1.PublishEventsRequest)))
	if e := again.GetEvents()[0]; !e.GetRepeated() || e.GetPosition() != first.GetPosition() || e.GetVersion() != 2 {
		t.Errorf("sent again: %v, was %v", again, first)
	}
	fresh := proto.Clone(req).(*munimentv1.PublishEventsRequest)
	fresh.Events[0].Id, fresh.Events[0].ExpectedVersion = uuid(), nil
	_, err := s.API.Entity.PublishEvents(s.ctx, fresh)
	instancetest.Want(t, err, fault.Conflict, "condition")
}
