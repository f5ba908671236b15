package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
	"muniment.dev/fault"
)

// A stream over REST is server-sent events (HTML Living Standard §9.2): ids are
// positions, also those of signs of life; what ends it is told; Last-Event-ID
// says where to go on.
func TestServerSentEvents(t *testing.T) {
	var asked *munimentv1.WatchEventsRequest
	e := &events{watch: func(_ context.Context, r *munimentv1.WatchEventsRequest, s *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
		asked = r
		if len(r.GetFilter().GetTypes()) > 1 {
			return fault.Field("filter.types", "too many")
		}
		if err := s.Send(&munimentv1.WatchEventsResponse{Position: 8, Event: &munimentv1.Event{Position: 8, Type: "user.locked", Sentence: "a\nb"}}); err != nil {
			return err
		}
		if err := s.Send(&munimentv1.WatchEventsResponse{Position: 12}); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "the server stops")
	}}
	_, hs := serve(t, options(&users{}, e))
	status, h, body := send(t, "GET", hs.URL+"/v1/events:stream?filter.types=user.*&filter.afterPosition=5", good(), "")
	want := "retry: 3000\n\nid: 8\ndata: {\"position\":\"8\",\"type\":\"user.locked\",\"sentence\":\"a\\nb\"}\n\n: alive\nid: 12\n\nevent: problem\ndata: {\"title\":\"Service Unavailable\",\"status\":503,"
	if status != 200 || h.Get("Content-Type") != "text/event-stream" || !strings.HasPrefix(body, want) || !strings.HasSuffix(body, "}\n\n") {
		t.Errorf("%d %v\n%s", status, h, body)
	}
	if asked.GetFilter().GetAfterPosition() != 5 || asked.GetFilter().GetTypes()[0] != "user.*" {
		t.Errorf("asked %v", asked)
	}
	again := good()
	again.Set("Last-Event-Id", "8")
	send(t, "GET", hs.URL+"/v1/events:stream?filter.afterPosition=5&onlyNew=true", again, "")
	if asked.GetFilter().GetAfterPosition() != 8 || asked.GetOnlyNew() {
		t.Errorf("resumed with %v", asked)
	}
	for _, bad := range []string{"x", "-1", "01", "9223372036854775808"} {
		again.Set("Last-Event-Id", bad)
		if status, _, body := send(t, "GET", hs.URL+"/v1/events:stream", again, ""); status != 400 || !strings.Contains(body, `"Last-Event-ID"`) {
			t.Errorf("%q: %d %s", bad, status, body)
		}
	}
	if status, _, body := send(t, "GET", hs.URL+"/v1/events:stream?filter.types=a&filter.types=b", good(), ""); status != 400 || !strings.Contains(body, `"filter.types"`) {
		t.Errorf("a fault before the first event: %d %s", status, body)
	}
	if status, _, _ := send(t, "GET", hs.URL+"/v1/events:stream", nil, ""); status != 401 {
		t.Errorf("without a token: %d", status)
	}
}

// A stream over REST ends when its token does, like any other.
func TestServerSentEventsEndWithTheToken(t *testing.T) {
	e := &events{watch: func(ctx context.Context, _ *munimentv1.WatchEventsRequest, s *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
		if err := s.Send(&munimentv1.WatchEventsResponse{Position: 1}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	o := options(&users{}, e)
	o.Recheck, o.Authenticator = 10_000_000, &once{}
	_, hs := serve(t, o)
	if _, _, body := send(t, "GET", hs.URL+"/v1/events:stream", good(), ""); !strings.Contains(body, "event: problem\n") || !strings.Contains(body, `"unauthenticated"`) {
		t.Errorf("%s", body)
	}
}

// exports is a service whose files are of two parts, or break after the first.
type exports struct {
	connectv1.UnimplementedEventServiceHandler
	broken bool
}

func (e *exports) ExportEvents(_ context.Context, r *munimentv1.ExportEventsRequest, s *connect.ServerStream[munimentv1.ExportEventsResponse]) error {
	if err := s.Send(&munimentv1.ExportEventsResponse{Chunk: []byte(r.GetFormat().String() + "\n")}); err != nil {
		return err
	}
	if e.broken {
		return fault.New(fault.Unavailable, "the server stops")
	}
	return s.Send(&munimentv1.ExportEventsResponse{Chunk: []byte("end\n"), Complete: true})
}

// A file comes as it is; if it cannot be finished the connection is cut.
func TestDownload(t *testing.T) {
	e := &exports{}
	o := options(&users{}, &events{})
	o.Services.Event = e
	_, hs := serve(t, o)
	for format, kind := range map[string]string{"jsonl": "application/jsonl", "EXPORT_FORMAT_CLOUDEVENTS": "application/jsonl", "cloudevents-batch": "application/cloudevents-batch+json"} {
		status, h, body := send(t, "GET", hs.URL+"/v1/events:export?format="+format, good(), "")
		if status != 200 || h.Get("Content-Type") != kind || !strings.HasPrefix(body, "EXPORT_FORMAT_") || !strings.HasSuffix(body, "\nend\n") || !strings.Contains(h.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %d %v %q", format, status, h, body)
		}
	}
	if status, _, _ := send(t, "GET", hs.URL+"/v1/events:export?format=xml", good(), ""); status != 400 {
		t.Errorf("an unknown format: %d", status)
	}
	e.broken = true
	r, err := http.NewRequestWithContext(t.Context(), "GET", hs.URL+"/v1/events:export", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := bearing{token: "good"}.Do(r)
	if err != nil {
		return // cut before the header
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a broken file looks whole: %q", b)
	}
}
