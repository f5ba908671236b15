package customapi

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"muniment.dev/api/gen"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/cloudevents"
)

// The OpenAPI document describes what is read: each of our extensions is, those
// that the how-to lists are in it, and the modes are those of the binding.
func TestCloudEventsAreDescribed(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct{ Content map[string]any }
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(gen.OpenAPI()), &doc); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"application/cloudevents+json", "application/cloudevents-batch+json", "application/json"} {
		if doc.Paths[CloudEventsPath]["post"].RequestBody.Content[mode] == nil {
			t.Errorf("%s is not described", mode)
		}
		body := `{"specversion":"1.0","id":"1","source":"/x","type":"a","data":{}}`
		if mode == "application/cloudevents-batch+json" {
			body = "[" + body + "]"
		}
		header := map[string][]string{"Content-Type": {mode}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/x"}, "Ce-Type": {"a"}}
		if events, err := cloudevents.Read(header, []byte(body), 10); err != nil || len(events) != 1 {
			t.Errorf("%s: %v %v", mode, events, err)
		}
	}
	howTo, err := os.ReadFile("../../docs/how-to/cloudevents.md")
	if err != nil {
		t.Fatal(err)
	}
	props, found := doc.Components.Schemas["CloudEvent"].Properties, 0
	for name := range props {
		if !strings.HasPrefix(name, ours) {
			continue
		}
		found++
		c := cloud{Event: &cloudevents.Event{}, out: &munimentv1.NewEvent{Context: &munimentv1.EventContext{}}}
		if err := c.extend(name, "1"); err != nil {
			t.Errorf("%s is described, and not read: %v", name, err)
		}
		if !strings.Contains(string(howTo), "`"+name+"`") {
			t.Errorf("the how-to does not know %s", name)
		}
	}
	if n := strings.Count(string(howTo), "`"+ours) - strings.Count(string(howTo), "`"+ours+"`"); found != n {
		t.Errorf("%d extensions are described, and %d in the how-to", found, n)
	}
}
