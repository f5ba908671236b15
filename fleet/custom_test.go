package fleet

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ops"
	"muniment.dev/server"
	"muniment.dev/user/password"
)

// accounts are definitions of a type of entity: of the same names in each
// instance, and otherwise different.
func accounts(fields, apply string) []*munimentv1.SchemaDocument {
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	return []*munimentv1.SchemaDocument{
		{File: "account.json", Text: `{` + dialect + `, "x-entity-type": "account", "title": "Account", "type": "object", "properties": {` + fields + `}}`},
		{File: "account-opened.json", Text: `{` + dialect + `, "x-event": "account-opened", "x-entity": "account", "title": "An account was opened", "type": "object", "x-creates": true, "additionalProperties": false,
			"properties": {` + strings.ReplaceAll(fields, `, "x-unique": "instance"`, "") + `}, "x-apply": ` + apply + `}`},
	}
}

func (w *world) define(s *server.Server, owner event.ID, docs []*munimentv1.SchemaDocument) {
	w.t.Helper()
	ctx := asUser(w.t, owner)
	must[*munimentv1.ApplySchemaResponse](w.t)(s.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: docs}))
	must[*munimentv1.GrantPermissionResponse](w.t)(s.API.Permission.GrantPermission(ctx, &munimentv1.GrantPermissionRequest{UserId: owner.String(), Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
}

// Instances define types of the same names as they like: none sees what another
// defined, recorded or took for itself, the same ids included; and what an
// instance is carried through carries them along.
func TestDefinitionsAreApart(t *testing.T) {
	w := newWorld(t)
	a, b := w.host("Acme"), w.host("Beta")
	w.define(a.server, a.owner, accounts(`"name": {"type": "string", "x-unique": "instance"}`, `{"merge": true}`))
	w.define(b.server, b.owner, accounts(`"name": {"type": "string", "x-public": true, "x-unique": "instance"}, "n": {"type": "integer", "x-public": true}`, `[{"merge": true}, {"increment": {"n": {"value": 1}}}]`))
	entity, id := event.NewID().String(), event.NewID().String()
	publish := func(s *server.Server, owner event.ID, data string) error {
		_, err := s.API.Entity.PublishEvents(asUser(t, owner), &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{{Id: id, Type: "account-opened", EntityId: entity, DataJson: data}}})
		return err
	}
	if err := publish(a.server, a.owner, `{"name":"Ada"}`); err != nil {
		t.Fatal(err)
	}
	wants(t, "a field that only another instance has", publish(a.server, a.owner, `{"name":"Ada","n":1}`), fault.Invalid)
	if err := publish(b.server, b.owner, `{"name":"Ada","n":6}`); err != nil {
		t.Fatalf("the same id, entity and value in another: %v", api.Explain(err))
	}
	look := func(s *server.Server, owner event.ID, want string) {
		t.Helper()
		ctx := asUser(t, owner)
		e := must[*munimentv1.GetEntityResponse](t)(s.API.Entity.GetEntity(ctx, &munimentv1.GetEntityRequest{Type: "account", EntityId: entity})).GetEntity()
		list := must[*munimentv1.ListEntitiesResponse](t)(s.API.Entity.ListEntities(ctx, &munimentv1.ListEntitiesRequest{Type: "account"})).GetEntities()
		if e.GetDataJson() != want || e.GetVersion() != 1 || len(list) != 1 {
			t.Errorf("%v, %d in the list; want %s", e, len(list), want)
		}
		if c := must[*munimentv1.CheckEntitiesResponse](t)(s.API.Entity.CheckEntities(ctx, &munimentv1.CheckEntitiesRequest{})); len(c.GetDifferent()) > 0 || c.GetChecked() != 1 {
			t.Errorf("%v", c)
		}
	}
	const inA, inB = `{"name":"Ada"}`, `{"n":7,"name":"Ada"}`
	look(a.server, a.owner, inA)
	look(b.server, b.owner, inB)
	if types := must[*munimentv1.GetSchemaResponse](t)(w.home.API.Schema.GetSchema(w.as(), &munimentv1.GetSchemaRequest{})).GetTypes(); len(types) != 0 {
		t.Errorf("the home instance has %v", types)
	}
	token := w.token(a.url)
	for at, want := range map[string]int{a.url: http.StatusOK, b.url: http.StatusUnauthorized, w.home.URL(): http.StatusUnauthorized} {
		if status, body := w.get(w.browser(), at+"/v1/entities/account/"+entity, "Authorization", "Bearer "+token); status != want {
			t.Errorf("%s: %d %s", at, status, body)
		}
	}
	w.restart()
	look(w.inner(a.id), a.owner, inA)
	look(w.inner(b.id), b.owner, inB)

	key, dir := w.inner(a.id).Core.Instance.CheckpointKey, t.TempDir()
	w.suspend(a.id)
	if status, _ := w.get(w.browser(), a.url+"/v1/entities/account/"+entity, "Authorization", "Bearer "+token); status != http.StatusServiceUnavailable {
		t.Errorf("suspended: %d", status)
	}
	look(w.inner(b.id), b.owner, inB)
	look(w.carried(a.id, key, dir), a.owner, inA)
	w.resume(a.id)
	look(w.inner(a.id), a.owner, inA)
	w.suspend(a.id)
	if err := w.delete(a.id, "Acme"); err != nil {
		t.Fatal(err)
	}
	w.destroyed(a.id)
	look(w.inner(b.id), b.owner, inB)
	again := w.host("Acme")
	if types := must[*munimentv1.GetSchemaResponse](t)(again.server.API.Schema.GetSchema(asUser(t, again.owner), &munimentv1.GetSchemaRequest{})).GetTypes(); len(types) != 0 {
		t.Errorf("another of the name has %v", types)
	}
}

// carried is an instance on its own, made of an export and a backup of its keys.
func (w *world) carried(id, key, dir string) *server.Server {
	w.t.Helper()
	from, logFile, keysFile, alone := filepath.Join(w.data, folder, id), filepath.Join(dir, "log.tar"), filepath.Join(dir, "keys.tar"), filepath.Join(dir, "alone")
	if err := os.WriteFile(logFile, w.exported(id), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if _, err := ops.Backup(w.t.Context(), ops.DefaultLayout(from), ops.BackupOptions{To: filepath.Join(dir, "again.tar"), KeysTo: keysFile}); err != nil {
		w.t.Fatal(err)
	}
	must[*ops.Restored](w.t)(ops.Restore(w.t.Context(), ops.RestoreOptions{From: logFile, KeysFrom: keysFile, RootKey: filepath.Join(from, "root.key"), To: alone, VerifyOptions: ops.VerifyOptions{Key: key}}))
	if err := os.WriteFile(filepath.Join(alone, "register.json"), must[[]byte](w.t)(os.ReadFile(w.register(id))), 0o600); err != nil {
		w.t.Fatal(err)
	}
	s := must[*server.Server](w.t)(server.New(w.t.Context(), server.Config{Data: alone, Listen: "127.0.0.1:1", ExternalURL: "https://acme.example.com"}, server.Extra{Passwords: password.Params{Memory: 64, Time: 1, Threads: 1}}))
	w.t.Cleanup(func() { s.Close() })
	return s
}

// A type, an expression or a filter of one instance that costs as much as it may
// keeps no other from publishing: its publishers wait for each other.
func TestSlowDefinitionsAreTheirOwn(t *testing.T) {
	w := newWorld(t)
	a, b := w.host("Acme"), w.host("Beta")
	slow := accounts(`"name": {"type": "string", "x-unique": "instance"}, "n": {"type": "integer", "x-public": true}`,
		`[{"merge": true}, {"set": {"n": {"cel": "`+strings.Repeat("[1,2,3,4,5,6,7,8].map(a, ", 6)+"1"+strings.Repeat(")", 6)+`.size()"}}}]`)
	w.define(a.server, a.owner, slow)
	w.define(b.server, b.owner, accounts(`"name": {"type": "string", "x-unique": "instance"}`, `{"merge": true}`))
	open := func(in tenant) error {
		_, err := in.server.API.Entity.PublishEvents(asUser(t, in.owner), &munimentv1.PublishEventsRequest{Events: []*munimentv1.NewEvent{{Id: event.NewID().String(), Type: "account-opened", EntityId: event.NewID().String(), DataJson: `{"name":"` + event.NewID().String() + `"}`}}})
		return err
	}
	done := make(chan struct{})
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for {
				err := open(a)
				if k := fault.KindOf(api.AsFault(err)); err == nil || k != fault.Refused && k != fault.Exhausted {
					t.Errorf("an applier that costs too much: %v", err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 20 {
		if err := open(b); err != nil {
			t.Errorf("another instance: %v", api.Explain(err))
		}
	}
	close(done)
	busy.Wait()
}
