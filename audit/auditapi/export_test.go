package auditapi_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// A file ends with how many events it has and how far it reaches; from there,
// or from its last event if it was cut, the next one goes on without a gap.
func TestExportsGoOn(t *testing.T) {
	i, _, _, _ := world(t)
	ctx := i.AsOwner()
	first, trailer := export(t, ctx, i, &munimentv1.ExportEventsRequest{})
	end := trailer["export"].(map[string]any)
	if end["complete"] != "true" || end["count"] != fmt.Sprint(len(first)) || end["position"] != first[len(first)-1]["position"] {
		t.Errorf("the last entry is %v after %d events, the last of them at %v", trailer, len(first), first[len(first)-1]["position"])
	}
	for n, e := range first {
		if e["position"] != fmt.Sprint(n+1) {
			t.Fatalf("entry %d is of position %v", n, e["position"])
		}
	}
	cut := len(first) / 2
	rest, _ := export(t, ctx, i, &munimentv1.ExportEventsRequest{Filter: &munimentv1.EventFilter{AfterPosition: uint64(cut), BeforePosition: uint64(len(first)) + 1}})
	if len(rest) != len(first)-cut || rest[0]["position"] != fmt.Sprint(cut+1) {
		t.Errorf("after %d come %d events from %v", cut, len(rest), rest[0]["position"])
	}
	none, trailer := export(t, ctx, i, &munimentv1.ExportEventsRequest{Filter: &munimentv1.EventFilter{Types: []string{"order.*"}}})
	if len(none) != 0 || trailer["export"].(map[string]any)["count"] != "0" {
		t.Errorf("of nothing: %v, %v", none, trailer)
	}
	// Each export is recorded once, however many events it has.
	reads := list(ctx, i, &munimentv1.EventFilter{Types: []string{"audit.read"}}, true, 1000)
	exports := 0
	for _, r := range reads {
		if strings.Contains(r.GetSentence(), "export: ") {
			exports++
		}
	}
	if exports != 3 {
		t.Errorf("%d exports are recorded, want 3", exports)
	}
}

// CloudEvents are as CloudEvents 1.0 says: required attributes (§3.1), names of
// extensions (§3.1), and the leaf, by which each can be verified.
func TestCloudEvents(t *testing.T) {
	i, _, person, _ := world(t)
	ctx := i.AsOwner()
	for _, format := range []munimentv1.ExportFormat{munimentv1.ExportFormat_EXPORT_FORMAT_CLOUDEVENTS, munimentv1.ExportFormat_EXPORT_FORMAT_CLOUDEVENTS_BATCH} {
		events, trailer := export(t, ctx, i, &munimentv1.ExportEventsRequest{Format: format, WithLeaf: true, Filter: &munimentv1.EventFilter{Streams: []string{"user:" + person}}})
		ids := map[any]bool{}
		previous := ""
		for _, e := range append(events, trailer) {
			for _, name := range []string{"specversion", "id", "source", "type"} {
				if s, _ := e[name].(string); s == "" {
					t.Errorf("%s is missing: %v", name, e)
				}
			}
			for name := range e {
				if !regexp.MustCompile(`^[a-z0-9]{1,20}$`).MatchString(name) {
					t.Errorf("the attribute %q", name)
				}
			}
			if e["specversion"] != "1.0" || e["source"] != "https://id.example.org" || ids[e["id"]] {
				t.Errorf("%v", e)
			}
			ids[e["id"]] = true
			if s := e["sequence"].(string); s < previous {
				t.Errorf("sequence %s after %s", s, previous)
			} else {
				previous = s
			}
		}
		if trailer["type"] != "dev.muniment.export.completed" {
			t.Errorf("the last one is %v", trailer)
		}
		e := events[0]
		data := e["data"].(map[string]any)
		if e["type"] != "dev.muniment.user.registered" || e["subject"] != "user:"+person || data["leaf"] != nil || data["fields"] == nil {
			t.Errorf("%v", e)
		}
		if _, err := time.Parse(time.RFC3339Nano, e["time"].(string)); err != nil {
			t.Error(err)
		}
		leaf, err := base64.StdEncoding.DecodeString(e["leaf"].(string))
		got := instancetest.Must(i.API.Event.GetEvent(ctx, &munimentv1.GetEventRequest{EventId: e["id"].(string)}))
		if err != nil || string(got.GetRaw().GetLeaf()) != string(leaf) {
			t.Errorf("the leaf is not the record's: %v", err)
		}
	}
	stream, err := i.API.Event.ExportEvents(ctx, &munimentv1.ExportEventsRequest{Format: 77})
	if err == nil {
		stream.Receive()
		err = stream.Err()
	}
	instancetest.Want(t, err, fault.Invalid, "format")
}

// Streams are listed in the order of their beginnings, with their length; types
// say in which kind of stream they stand.
func TestStreams(t *testing.T) {
	i, mine, person, _ := world(t)
	ctx := i.AsOwner()
	var all []*munimentv1.EventStream
	for req := (&munimentv1.ListStreamsRequest{PageSize: 3}); ; {
		got := instancetest.Must(i.API.Event.ListStreams(ctx, req))
		all = append(all, got.GetStreams()...)
		if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	n := uint64(0)
	for k, s := range all {
		if k > 0 && s.GetFirstPosition() <= all[k-1].GetFirstPosition() {
			t.Errorf("%v after %v", s, all[k-1])
		}
		if s.GetStream() == "user:"+person {
			n = s.GetVersion()
		}
	}
	if events := list(ctx, i, &munimentv1.EventFilter{Streams: []string{"user:" + person}}, false, 100); n != uint64(len(events)) || n < 2 {
		t.Errorf("the stream has %d events, %d are listed", n, len(events))
	}
	users := instancetest.Must(i.API.Event.ListStreams(ctx, &munimentv1.ListStreamsRequest{Filter: &munimentv1.StreamFilter{Kind: "user", OrganizationId: mine}})).GetStreams()
	if len(users) != 2 || users[0].GetId() != person || users[0].GetOrganizationId() != mine {
		t.Errorf("%v", users)
	}
	then := instancetest.Must(i.API.Event.ListStreams(ctx, &munimentv1.ListStreamsRequest{Read: &munimentv1.Read{AtPosition: users[0].GetFirstPosition()},
		Filter: &munimentv1.StreamFilter{Kind: "user", OrganizationId: mine}})).GetStreams()
	if len(then) != 1 || then[0].GetVersion() != 1 {
		t.Errorf("as it was: %v", then)
	}
	kinds := map[string]string{}
	for _, typ := range instancetest.Must(i.API.Event.ListEventTypes(ctx, &munimentv1.ListEventTypesRequest{})).GetTypes() {
		kinds[typ.GetName()] = typ.GetStreamKind()
	}
	if kinds["user.registered"] != "user" || kinds["user.locked"] != "" {
		t.Errorf("%v", kinds)
	}
}

// An event is found by its id, by those who may see it.
func TestEventByID(t *testing.T) {
	i, _, person, _ := world(t)
	e := list(i.AsOwner(), i, &munimentv1.EventFilter{Types: []string{"organization.added"}}, true, 1)[0]
	got := instancetest.Must(i.API.Event.GetEvent(i.AsOwner(), &munimentv1.GetEventRequest{EventId: e.GetEventId()}))
	if got.GetEvent().GetPosition() != e.GetPosition() {
		t.Errorf("%v", got.GetEvent())
	}
	for _, id := range []string{e.GetEventId(), event.NewID().String()} {
		_, err := i.API.Event.GetEvent(i.As(person), &munimentv1.GetEventRequest{EventId: id})
		instancetest.Want(t, err, fault.NotFound, "")
	}
	_, err := i.API.Event.GetEvent(i.AsOwner(), &munimentv1.GetEventRequest{EventId: e.GetEventId(), Position: 1})
	instancetest.Want(t, err, fault.Invalid, "event_id")
}

// The trail of one thing has what changed, and what it was before.
func TestTrail(t *testing.T) {
	i, _, person, _ := world(t)
	got := instancetest.Must(i.API.Event.ListEvents(i.AsOwner(), &munimentv1.ListEventsRequest{WithBefore: true, PageSize: 100,
		Filter: &munimentv1.EventFilter{Streams: []string{"user:" + person}, Types: []string{"user.profile.changed"}}})).GetEvents()
	if len(got) != 1 {
		t.Fatalf("%v", got)
	}
	for _, f := range got[0].GetFields() {
		if f.GetPath() == "/given_name" && (f.GetAfter().GetValue().GetStringValue() != "Adele" || !strings.HasPrefix(f.GetBefore().GetValue().GetStringValue(), "Person")) {
			t.Errorf("%v", f)
		}
	}
}
