package cli_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/internal/postgres"
	"muniment.dev/server"
	"muniment.dev/user"
)

// The log of a database is read beside the server that writes it: the timeline of
// an entity of a type that only this log knows, and one of its events with its
// proof; what is sealed stays so.
func TestReadDatabase(t *testing.T) {
	postgres.SkipIfChosen(t) // it is about PostgreSQL in any case
	cluster, dir := postgres.Shared(t), t.TempDir()
	dsn := cluster.NewDatabase(t)
	s, err := server.New(t.Context(), server.Config{Data: dir, Listen: "127.0.0.1:0", Name: "Test", Database: dsn, Keys: cluster.NewDatabase(t), Register: filepath.Join(dir, "register.json")}, server.Extra{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	_, owner, err := s.Core.SetUp(t.Context(), server.Owner{Email: "grace@example.org", Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := call.WithCaller(call.WithFacts(t.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: owner})
	_, err = s.API.Permission.GrantPermission(ctx, &munimentv1.GrantPermissionRequest{UserId: owner.String(), Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*", Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}})
	if err != nil {
		t.Fatal(err)
	}
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	_, err = s.API.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{
		{File: "boat.json", Text: `{` + dialect + `, "x-entity-type": "boat", "title": "Boat", "type": "object", "properties": {"name": {"type": "string"}, "tons": {"type": "integer", "x-public": true}}}`},
		{File: "BoatLaunched.json", Text: `{` + dialect + `, "x-event": "BoatLaunched", "x-entity": "boat", "title": "A boat was launched", "x-sentence": "{actor} launched {entity} of {tons} tons", "type": "object", "x-creates": true, "additionalProperties": false,
			"properties": {"name": {"type": "string"}, "tons": {"type": "integer", "x-public": true}}}`},
	}})
	if err != nil {
		t.Fatal(err)
	}
	boat := event.NewID().String()
	res, err := s.API.Entity.PublishEvents(ctx, &munimentv1.PublishEventsRequest{WithReceipts: true, Events: []*munimentv1.NewEvent{{Type: "BoatLaunched", EntityId: boat, DataJson: `{"name":"Kittiwake","tons":9007199254740993}`}}})
	if err != nil {
		t.Fatal(err)
	}
	size := s.Core.Log.Mark().Size

	got, err := command(t, "timeline", "boat:"+boat, "--data", dsn)
	if err != nil || !strings.Contains(got, "BoatLaunched") || !strings.Contains(got, "launched boat "+boat[:8]) || !strings.Contains(got, "9007199254740993") || strings.Contains(got, "Kittiwake") {
		t.Errorf("%v: %s", err, got)
	}
	got, err = command(t, "inspect", res.GetEvents()[0].GetId(), "--data", dsn, "--key", s.Core.Instance.CheckpointKey)
	for _, want := range []string{"BoatLaunched", "proof: valid, and signed with the key that was given", "9007199254740993"} {
		if err != nil || !strings.Contains(got, want) || strings.Contains(got, "Kittiwake") {
			t.Errorf("%v: %q is missing:\n%s", err, want, got)
		}
	}
	var i struct{ Type, Result string }
	if got, err = command(t, "inspect", "1", "--data", dsn, "--json"); err != nil || json.Unmarshal([]byte(got), &i) != nil || i.Type != "instance.created" {
		t.Errorf("%v: %s", err, got)
	}
	if s.Core.Log.Mark().Size != size {
		t.Error("reading it changed the log")
	}
	wrong := strings.Replace(dsn, "/d", "/nothing-d", 1)
	if got, err = command(t, "timeline", "--data", wrong); err == nil || strings.Contains(err.Error(), wrong) {
		t.Errorf("a database that is not there: %v: %s", err, got)
	}
}
