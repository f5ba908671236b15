package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
)

// ask asks as a client of ID PASS DataCollect does.
func (w *world) ask(token, method, path string, body any) (int, map[string]any) {
	w.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.URL()+path, bytes.NewReader(b))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]any{}
	json.NewDecoder(res.Body).Decode(&out)
	return res.StatusCode, out
}

// O01, E24: a client of ID PASS DataCollect signs in, pushes, and pulls by
// cursor and by the time of the last event that it saw.
func TestDataCollectClient(t *testing.T) {
	w := newWorldOn(t, Extra{Passwords: quick}, func(c Config) Config { c.DataCollect = "on"; return onEngine(t, c) })
	ctx := w.as(w.owner)
	must[*munimentv1.GrantPermissionResponse](t)(w.API.Permission.GrantPermission(ctx, &munimentv1.GrantPermissionRequest{UserId: w.owner.String(), Right: mayPublish, EventTypes: "*",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	must[*munimentv1.InstallFieldPackResponse](t)(w.API.Sync.InstallFieldPack(ctx, &munimentv1.InstallFieldPackRequest{}))
	if status, out := w.ask("", "POST", "/api/users/login", map[string]string{"email": ownerEmail, "password": "wrong"}); status != 401 || out["message"] == nil {
		t.Errorf("a wrong password: %d %v", status, out)
	}
	_, in := w.ask("", "POST", "/api/users/login", map[string]string{"email": ownerEmail, "password": ownerPassword})
	token, _ := in["token"].(string)
	if token == "" || in["userId"] != w.owner.String() {
		t.Fatalf("signed in: %v", in)
	}
	if status, _ := w.ask("nobody", "GET", "/api/sync/pull?since=", nil); status != 401 {
		t.Errorf("without a session: %d", status)
	}
	var events []any
	for i := range 150 {
		events = append(events, map[string]any{"guid": schema.UUIDOf(event.NewID()), "entityGuid": schema.UUIDOf(event.NewID()), "type": "create-individual",
			"data": map[string]any{"name": fmt.Sprint("N", i), "village": "Ockham"}, "timestamp": "2031-01-01T00:00:00.000Z", "userId": "enumerator", "syncLevel": 0})
	}
	push := map[string]any{"events": events, "configId": "default"}
	for range 2 { // the answer to the first was lost
		if status, out := w.ask(token, "POST", "/api/sync/push", push); status != 200 || out["status"] != "success" {
			t.Fatalf("push: %d %v", status, out)
		}
	}
	seen := map[any]bool{}
	pull := func(since string) (list []any, next string) {
		status, out := w.ask(token, "GET", "/api/sync/pull?since="+since+"&configId=default", nil)
		if list, _ = out["events"].([]any); status != 200 {
			t.Fatalf("pull: %d %v", status, out)
		}
		for _, e := range list {
			seen[e.(map[string]any)["guid"]] = true
		}
		next, _ = out["nextCursor"].(string)
		return list, next
	}
	list, next := pull("")
	if len(list) != 100 || next == "" {
		t.Fatalf("the first page: %d, then %q", len(list), next)
	}
	list, next = pull(next)
	last := list[len(list)-1].(map[string]any)
	if len(seen) != 150 || next != "" || last["userId"] != "enumerator" || last["data"].(map[string]any)["village"] != "Ockham" {
		t.Errorf("the second: %d, then %q; %v", len(seen), next, last)
	}
	at := last["timestamp"].(string)
	if list, _ = pull(at); len(list) == 0 || list[len(list)-1].(map[string]any)["guid"] != last["guid"] || len(list) > 2 {
		t.Errorf("since the last: %d", len(list))
	}
	gone := map[string]any{"guid": schema.UUIDOf(event.NewID()), "entityGuid": last["entityGuid"], "type": "delete-entity", "data": map[string]any{}, "timestamp": "2001-01-01T00:00:00.000Z"}
	if status, out := w.ask(token, "POST", "/api/sync/push", map[string]any{"events": []any{gone}}); status != 200 {
		t.Fatalf("delete: %d %v", status, out)
	}
	if list, _ = pull(at); list[len(list)-1].(map[string]any)["type"] != "delete-entity" {
		t.Errorf("what was missed since: %v", list)
	}
	if list, _ = pull("2099-01-01T00:00:00.000Z"); len(list) != 100 {
		t.Errorf("since a time of another clock: %d", len(list))
	}
	if status, out := w.ask(token, "POST", "/api/sync/push", map[string]any{"events": []any{map[string]any{"guid": "x"}}}); status != 400 || !strings.Contains(fmt.Sprint(out["message"]), "event 1: guid") {
		t.Errorf("no UUID: %d %v", status, out)
	}
}

// It is off unless somebody turns it on.
func TestDataCollectIsOff(t *testing.T) {
	w := newWorld(t)
	if status, out := w.ask("", "POST", "/api/users/login", map[string]string{"email": ownerEmail, "password": ownerPassword}); status < 400 || out["token"] != nil {
		t.Errorf("off: %d", status)
	}
}
