package externalapi_test

import (
	"context"
	"net"
	"net/http/httptest"
	"testing"
)

// Another instance can be pushed to as it is, at the address where CloudEvents
// are published, once or twice.
func TestPushToInstance(t *testing.T) {
	s, other := newSite(t), newSite(t)
	there := httptest.NewUnstartedServer(other.Handler())
	there.Config.BaseContext = func(net.Listener) context.Context { return other.ctx }
	there.Start()
	t.Cleanup(there.Close)
	ada := uuid()
	ids := s.publish(t, [3]string{"create-individual", ada, `{"name":"Ada"}`}, [3]string{"update-individual", ada, `{"phone":"1"}`})
	id, _ := s.adapter(t, there.URL+"/v1/cloudevents", push)
	until(t, "it is there", func() bool { return other.individual(ada) == `{"name":"Ada","phone":"1"}` })
	s.rewind(id)
	if a := s.run(t, id); a.GetProgress().GetDeadLetters() != 0 || a.GetProgress().GetFailedRuns() != 0 {
		t.Errorf("pushed again: %v, %v", a.GetProgress(), s.failures(id))
	}
	for _, e := range ids {
		if l, _ := s.level(e); l != external {
			t.Errorf("the level here: %v", l)
		}
		if l, _ := other.level(e); l != remote {
			t.Errorf("the level there: %v", l)
		}
	}
}
