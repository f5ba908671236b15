package customapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	sdkhttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/internal/instancetest"
)

// serve serves the site to whoever is in the context, over HTTP; where
// CloudEvents are posted to.
func (s *site) serve(t *testing.T, ctx context.Context) string {
	t.Helper()
	h := httptest.NewUnstartedServer(s.Handler())
	h.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	h.Start()
	t.Cleanup(h.Close)
	return h.URL + "/v1/cloudevents"
}

// post posts a body and answers the status with what came back.
func post(t *testing.T, url, contentType, body string) (int, map[string]any) {
	t.Helper()
	res, err := http.Post(url, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s: %s", raw, err)
	}
	return res.StatusCode, out
}

// Issue 5: somebody else's SDK publishes, unmodified: structured, binary and in
// batches; and what it sends again is recorded once.
func TestCloudEventsSDK(t *testing.T) {
	s := newSite(t)
	url := s.serve(t, s.ctx)
	client := instancetest.Must(sdk.NewClientHTTP(sdk.WithTarget(url)))
	h := uuid()
	happened := time.Date(2026, 4, 5, 17, 31, 0, 0, time.UTC)
	newEvent := func(id, typ, data string) sdk.Event {
		e := sdk.NewEvent()
		e.SetID(id)
		e.SetType(typ)
		e.SetSource("https://villages.example/müller?device=7#a")
		e.SetSubject("household/" + h)
		e.SetTime(happened)
		e.SetExtension("munimentreason", "moved – 50%")
		e.SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		e.SetExtension("partitionkey", "north")
		if err := e.SetData(sdk.ApplicationJSON, json.RawMessage(data)); err != nil {
			t.Fatal(err)
		}
		return e
	}
	first, second := newEvent(uuid(), "household-registered", `{"name":"Lovelace","village":"Ockham","size":1}`), newEvent("no UUID", "household-moved", `{"village":"London"}`)
	if err := client.Send(binding.WithForceStructured(t.Context()), first); !sdk.IsACK(err) {
		t.Fatalf("structured: %v", err)
	}
	for range 2 {
		if err := client.Send(binding.WithForceBinary(t.Context()), second); !sdk.IsACK(err) {
			t.Fatalf("binary: %v", err)
		}
	}
	if e := s.get(t, "household", h, 0); e.GetVersion() != 2 || e.GetDataJson() != `{"name":"Lovelace","size":1,"village":"London"}` {
		t.Errorf("after both: %v", e)
	}
	for range 2 {
		req, err := sdkhttp.NewHTTPRequestFromEvents(t.Context(), url, []sdk.Event{second, newEvent("3", "household-moved", `{"village":"Paris"}`), newEvent("4", "household-corrected", `{"name":"King"}`)})
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatalf("the batch: %s", res.Status)
		}
	}
	if e := s.get(t, "household", h, 0); e.GetVersion() != 4 || e.GetDataJson() != `{"name":"King","size":1,"village":"Paris"}` {
		t.Errorf("after the batch: %v", e)
	}
	trail := instancetest.Must(s.API.Entity.ListEntityChanges(s.ctx, &munimentv1.ListEntityChangesRequest{Type: "household", EntityId: h})).GetChanges()
	if len(trail) != 4 || trail[1].GetReason() != "moved – 50%" || !trail[1].GetOccurred().AsTime().Equal(happened) {
		t.Errorf("the trail: %v", trail)
	}
}

const oneEvent = `{"specversion":"1.0","id":"7","source":"/test","type":"household-registered"`

// Publishing CloudEvents obeys what publishing obeys: who, whether, all or
// nothing; and what is refused is named in the words of CloudEvents.
func TestCloudEvents(t *testing.T) {
	s := newSite(t)
	url, h := s.serve(t, s.ctx), uuid()
	const structured, batch = "application/cloudevents+json", "application/cloudevents-batch+json"
	status, out := post(t, url, structured, oneEvent+`,"subject":"`+h+`","data":{"name":"x","size":9007199254740993},"munimentexpected":0,"brokerhop":"9"}`)
	if got, _ := out["events"].([]any); status != 200 || len(got) != 1 || got[0].(map[string]any)["version"] != "1" || out["position"] == "" {
		t.Fatalf("%d %v", status, out)
	}
	if e := s.get(t, "household", h, 0); e.GetDataJson() != `{"name":"x","size":9007199254740993}` {
		t.Errorf("a number is not exact: %s", e.GetDataJson())
	}
	fresh := strings.Replace(oneEvent, `"7"`, `"8"`, 1)
	for name, c := range map[string]struct {
		contentType, body string
		status            int
		field             string
	}{
		"no entity":          {structured, oneEvent + `,"data":{"name":"x"}}`, 400, "events[0].subject"},
		"bad entity":         {structured, oneEvent + `,"subject":"household/7","data":{"name":"x"}}`, 400, "events[0].subject"},
		"another's entity":   {structured, oneEvent + `,"subject":"individual/` + h + `","data":{"name":"x"}}`, 400, "events[0].subject"},
		"unknown type":       {structured, strings.Replace(oneEvent, "registered", "painted", 1) + `,"subject":"` + h + `"}`, 400, "events[0].type"},
		"unknown revision":   {structured, oneEvent + `,"subject":"` + h + `","dataschema":"x#9","data":{"name":"x"}}`, 400, "events[0].type"},
		"no revision":        {structured, oneEvent + `,"subject":"` + h + `","dataschema":"x#two"}`, 400, "events[0].dataschema"},
		"no data":            {structured, fresh + `,"subject":"` + h + `"}`, 400, "events[0].data/name"},
		"data is no object":  {structured, oneEvent + `,"subject":"` + h + `","data":null}`, 400, "events[0].data"},
		"data is wrong":      {structured, fresh + `,"subject":"` + h + `","data":{"name":7}}`, 400, "events[0].data/name"},
		"names twice":        {structured, oneEvent + `,"subject":"` + h + `","data":{"name":"a","name":"b"}}`, 400, "events[0].data/name"},
		"other content":      {structured, oneEvent + `,"subject":"` + h + `","data":{"name":"y"}}`, 409, "events[0].id"},
		"version":            {batch, `[` + fresh + `,"subject":"` + uuid() + `","data":{"name":"x"},"munimentexpected":3}]`, 409, "events[0].munimentexpected"},
		"all or nothing":     {batch, `[` + fresh + `,"subject":"` + uuid() + `","data":{"name":"x"}},` + oneEvent + `}]`, 400, "events[1].subject"},
		"ours, misspelled":   {structured, oneEvent + `,"subject":"` + h + `","munimentorganisation":"x"}`, 400, "events[0].munimentorganisation"},
		"an empty batch":     {batch, `[]`, 400, "events"},
		"plain JSON":         {"application/json", `{}`, 400, "events[0].specversion"},
		"some other format":  {"application/cloudevents+avro", ``, 415, ""},
		"text that is empty": {"text/plain", ``, 400, "events[0].specversion"},
	} {
		before := s.Core.Log.Mark().Size
		status, out := post(t, url, c.contentType, c.body)
		field, _ := out["field"].(string)
		if status != c.status || c.field != "" && field != c.field {
			t.Errorf("%s: %d %v, want %d in %s", name, status, out, c.status, c.field)
		}
		if s.Core.Log.Mark().Size != before {
			t.Errorf("%s: something was recorded", name)
		}
	}
	if status, out := post(t, s.serve(t, t.Context()), structured, oneEvent+`}`); status != 401 {
		t.Errorf("nobody: %d %v", status, out)
	}
	stranger := s.As(s.Person(s.Organization()))
	if status, out := post(t, s.serve(t, stranger), structured, oneEvent+`,"subject":"`+uuid()+`","data":{"name":"x"}}`); status != 403 {
		t.Errorf("somebody without the permission: %d %v", status, out)
	}
}

// Who calls themselves as somebody else does, and counts as they do, takes no
// ids from them.
func TestCloudEventsOfTheSameSource(t *testing.T) {
	s := newSite(t)
	for range 2 {
		org := s.Organization()
		shop := s.Machine(org)
		s.permit(shop, org, munimentv1.EventRight_EVENT_RIGHT_PUBLISH, "*")
		body := oneEvent + `,"subject":"household/` + uuid() + `","munimentorganization":"` + org + `","data":{"name":"x"}}`
		url := s.serve(t, s.As(shop))
		for _, repeated := range []bool{false, true} {
			status, out := post(t, url, "application/cloudevents+json", body)
			got, _ := out["events"].([]any)
			if status != 200 || len(got) != 1 || (got[0].(map[string]any)["repeated"] == true) != repeated {
				t.Errorf("repeated %v: %d %v", repeated, status, out)
			}
		}
	}
}
