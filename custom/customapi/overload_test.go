package customapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"muniment.dev/api"
	"muniment.dev/custom/publish"
	"muniment.dev/event"
)

// Issue 5, over HTTP: when as many wait as may, the next one is told 429 and when
// to come again, before anything is done for it, whichever way it publishes; all
// that were accepted are recorded; and what was refused is, when it comes again.
func TestOverloadOverHTTP(t *testing.T) {
	s := newSite(t)
	site := strings.TrimSuffix(s.serve(t, s.ctx), "/v1/cloudevents")
	held, entered := make(chan struct{}), make(chan struct{}, publish.MaxWaiting)
	s.Core.Runner.Slow = func(context.Context) error {
		select {
		case <-held:
		default:
			entered <- struct{}{}
			<-held
		}
		return nil
	}
	id := uuid()
	event7 := `{"specversion":"1.0","id":"7","source":"/test","type":"individual-registered","subject":"` + id + `","data":{"name":"x"}}`
	requests := map[string][2]string{
		"application/json":             {"/v1/events", `{"events":[{"id":"` + uuid() + `","type":"individual-registered","entityId":"` + uuid() + `","dataJson":"{\"name\":\"x\"}"}]}`},
		"application/cloudevents+json": {"/v1/cloudevents", event7},
	}
	send := func(contentType, path, body string) (int, string, string) {
		res, err := http.Post(site+path, contentType, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Error(err)
			return 0, "", ""
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, res.Header.Get("Retry-After"), string(text)
	}
	before := s.Core.Log.Mark().Size
	var all sync.WaitGroup
	for range publish.MaxWaiting {
		all.Go(func() {
			body := fmt.Sprintf(`{"events":[{"id":%q,"type":"individual-registered","entityId":%q,"dataJson":"{\"name\":\"x\"}"}]}`, uuid(), uuid())
			if status, _, text := send("application/json", "/v1/events", body); status != http.StatusOK {
				t.Errorf("accepted: %d %s", status, text)
			}
		})
	}
	for range publish.MaxWaiting {
		<-entered
	}
	for contentType, r := range requests {
		if status, after, text := send(contentType, r[0], r[1]); status != http.StatusTooManyRequests || after == "" {
			t.Errorf("%s: %d, Retry-After %q: %s", contentType, status, after, text)
		}
	}
	if s.Core.Log.Mark().Size != before {
		t.Error("something was recorded")
	}
	close(held)
	all.Wait()
	if got := s.Core.Log.Mark().Size - before; got != publish.MaxWaiting {
		t.Errorf("%d events were recorded", got)
	}
	for contentType, r := range requests {
		if status, _, text := send(contentType, r[0], r[1]); status != http.StatusOK || strings.Contains(text, `"repeated":true`) {
			t.Errorf("%s, again: %d: %s", contentType, status, text)
		}
	}
	if got := s.Core.Log.Mark().Size - before; got != publish.MaxWaiting+event.Position(len(requests)) {
		t.Errorf("%d events were recorded", got)
	}
}

// Many who publish to one entity whose values are unique, and expect nothing, all
// get their way, one after the other; and nobody is told that a version was not
// as expected.
func TestContention(t *testing.T) {
	s := newSite(t)
	h := uuid()
	s.publish(t, anEvent("household-registered", h, `{"name":"x","nationalId":"mine"}`))
	const clients = 64
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			if _, err := s.API.Entity.PublishEvents(s.ctx, one(anEvent("household-moved", h, fmt.Sprintf(`{"village":"v%d"}`, n)), anEvent("individual-registered", uuid(), `{"name":"x"}`))); err != nil {
				t.Errorf("client %d: %v", n, api.Explain(err))
			}
		})
	}
	all.Wait()
	if e := s.get(t, "household", h, 0); e.GetVersion() != clients+1 {
		t.Errorf("%d of %d were recorded", e.GetVersion()-1, clients)
	}
}
