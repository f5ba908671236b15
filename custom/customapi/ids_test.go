package customapi_test

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/internal/instancetest"
)

// The ids in a customer's event are answered as they were published, as UUIDs,
// like those of its entity; streams are asked for with dashes and without.
func TestUUIDsOfEvents(t *testing.T) {
	s := newSite(t)
	h, ada := uuid(), uuid()
	first := anEvent("household-registered", h, `{"name":"Lovelace"}`)
	first.OrganizationId = s.Org
	s.publish(t, first, anEvent("individual-registered", ada, `{"name":"Ada"}`), anEvent("member-joined", h, `{"member":"`+ada+`"}`))
	hex := h[:8] + h[9:13] + h[14:18] + h[19:23] + h[24:]
	for _, stream := range []string{"household:" + h, "household:" + hex} {
		events := instancetest.Must(s.API.Event.ListEvents(s.ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{Streams: []string{stream}}, WithFields: true})).GetEvents()
		if len(events) != 2 {
			t.Fatalf("%d events of %s", len(events), stream)
		}
		got := map[string]string{}
		for _, e := range events {
			for _, f := range e.GetFields() {
				if text := f.GetAfter().GetValue().GetStringValue(); text != "" {
					got[f.GetPath()] = text
				}
			}
			if e.GetStream() != "household:"+hex {
				t.Errorf("stream %s", e.GetStream())
			}
		}
		if got["/entity"] != h || got["/member"] != ada || got["/organization"] != s.Org {
			t.Errorf("%v, want %s, %s and %s", got, h, ada, s.Org)
		}
	}
}
