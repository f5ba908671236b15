package customapi_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// Requirement E08: whatever a publisher sends is refused by kind and place, and
// is never a failure of the server's, nor recorded in part.
func TestHostileEvents(t *testing.T) {
	s := newSite(t)
	h := uuid()
	s.publish(t, anEvent("household-registered", h, `{"name":"x"}`))
	moved := func(data string) *munimentv1.NewEvent { return anEvent("household-moved", h, data) }
	many := func(n int, each func() *munimentv1.NewEvent) (out []*munimentv1.NewEvent) {
		for range n {
			out = append(out, each())
		}
		return out
	}
	deep := structpb.NewStringValue("x")
	for range 2000 {
		deep = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{deep}})
	}
	with := func(f func(*munimentv1.NewEvent)) []*munimentv1.NewEvent {
		e := moved(`{"village":"x"}`)
		f(e)
		return []*munimentv1.NewEvent{e}
	}
	large := strings.Repeat("a", 100<<10)
	for name, events := range map[string][]*munimentv1.NewEvent{
		"501 events":          many(501, func() *munimentv1.NewEvent { return moved(`{"village":"x"}`) }),
		"nothing":             {{}},
		"the zero entity":     with(func(e *munimentv1.NewEvent) { e.EntityId = "00000000-0000-0000-0000-000000000000" }),
		"the zero id":         with(func(e *munimentv1.NewEvent) { e.Id = strings.Repeat("0", 32) }),
		"an unknown revision": with(func(e *munimentv1.NewEvent) { e.Revision = 4_000_000_000 }),
		"a long type":         with(func(e *munimentv1.NewEvent) { e.Type = large }),
		"a built-in type":     with(func(e *munimentv1.NewEvent) { e.Type = "user.erased" }),
		"a long source":       with(func(e *munimentv1.NewEvent) { e.Context = &munimentv1.EventContext{Source: large} }),
		"a reason too long":   with(func(e *munimentv1.NewEvent) { e.Context = &munimentv1.EventContext{Reason: large} }),
		"a source with text": with(func(e *munimentv1.NewEvent) {
			e.Context = &munimentv1.EventContext{Source: "Ada Lovelace, 12 Main Street"}
		}),
		"both forms": with(func(e *munimentv1.NewEvent) { e.Data = &structpb.Struct{} }),
		"deep JSON":  {moved(strings.Repeat(`{"village":`, 5000) + "1" + strings.Repeat("}", 5000))},
		"deep lists": {moved(`{"village":` + strings.Repeat("[", 100000))},
		"deep data": with(func(e *munimentv1.NewEvent) {
			e.DataJson, e.Data = "", &structpb.Struct{Fields: map[string]*structpb.Value{"village": deep}}
		}),
		"half a pair":       {moved(`{"village":"\ud800"}`)},
		"a list":            {moved(`[]`)},
		"a large number":    {moved(`{"village":1e999999999}`)},
		"a name too many":   {moved(`{"village":"x","` + large + `":1}`)},
		"a value too large": {moved(`{"village":"` + strings.Repeat("a", 2<<20) + `"}`)},
		"values too large":  many(500, func() *munimentv1.NewEvent { return moved(`{"village":"` + large + `"}`) }),
		"sealed too large":  {anEvent("household-corrected", h, `{"name":"`+strings.Repeat("a", 2<<20)+`"}`)},
		"unique too large":  {anEvent("household-corrected", h, `{"nationalId":"`+strings.Repeat("a", 1<<20)+`"}`)},
		"another's field":   {moved(`{"village":"x","entity":"` + uuid() + `"}`)},
		"a hidden field":    {anEvent("household-corrected", h, `{"unique:nationalId":"x"}`)},
	} {
		mark := s.Core.Log.Mark().Size
		_, err := s.API.Entity.PublishEvents(s.ctx, &munimentv1.PublishEventsRequest{Events: events})
		f := api.Explain(err)
		if k := fault.KindOf(api.AsFault(err)); err == nil || k == fault.Internal || k == fault.Unavailable || k == fault.Unknown || k == fault.Corrupt {
			t.Errorf("%s: %v (%v)", name, k, f)
		}
		if len(f.GetMessage()) > 1000 || len(f.GetField()) > 300 {
			t.Errorf("%s: an answer of %d and %d bytes", name, len(f.GetMessage()), len(f.GetField()))
		}
		// A refusal of authority is recorded, and nothing else is.
		if s.Core.Log.Mark().Size > mark+1 {
			t.Errorf("%s: %d events were recorded", name, s.Core.Log.Mark().Size-mark)
		}
	}
	if e := s.get(t, "household", h, 0); e.GetVersion() != 1 {
		t.Errorf("%v", e)
	}
	s.publish(t, many(500, func() *munimentv1.NewEvent { return moved(`{"village":"x"}`) })...)
}

// Definitions that are many, large, or explode are refused in little time and
// leave what there is as it was.
func TestHostileDefinitions(t *testing.T) {
	s := newSite(t)
	doc := func(name, text string) *munimentv1.SchemaDocument {
		return &munimentv1.SchemaDocument{File: name, Text: text}
	}
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	entity := func(n int) string {
		return fmt.Sprintf(`{%s, "x-entity-type": "kind%d", "title": "Kind", "type": "object", "properties": {"a": {"type": "string"}}}`, dialect, n)
	}
	var many, bomb []*munimentv1.SchemaDocument
	for n := range 501 {
		many = append(many, doc(fmt.Sprintf("kind%d.json", n), entity(n)))
	}
	for n := range 30 { // each twice what the one before is
		bomb = append(bomb, doc(fmt.Sprintf("b%d.json", n), fmt.Sprintf(`{%s, "type": "object", "properties": {"l": {"$ref": "b%d.json"}, "r": {"$ref": "b%d.json"}}}`, dialect, n+1, n+1)))
	}
	bomb = append(bomb, doc("b30.json", `{`+dialect+`, "type": "string"}`), doc("k.json", `{`+dialect+`, "x-entity-type": "bomb", "title": "Bomb", "type": "object", "properties": {"a": {"$ref": "b0.json"}}}`))
	before := instancetest.Must(s.API.Schema.GetSchema(s.ctx, &munimentv1.GetSchemaRequest{})).GetPosition()
	for name, docs := range map[string][]*munimentv1.SchemaDocument{
		"501":            many,
		"a bomb":         bomb,
		"a circle":       {doc("a.json", `{`+dialect+`, "x-entity-type": "ring", "title": "Ring", "type": "object", "properties": {"a": {"$ref": "a.json"}}}`)},
		"not JSON":       {doc("a.json", "{")},
		"deep":           {doc("a.json", strings.Repeat("[", 100000))},
		"large":          {doc("a.json", `{"x": "`+strings.Repeat("a", 1<<20)+`"}`)},
		"a long name":    {doc(strings.Repeat("a", 129), entity(1))},
		"no name":        {doc("", entity(1))},
		"a reserved one": {doc("a.json", strings.Replace(entity(1), "kind1", "user", 1))},
		"a file's":       {doc("a.json", strings.Replace(entity(1), `{"type": "string"}`, `{"$ref": "file:///etc/passwd"}`, 1))},
		"a host's":       {doc("a.json", strings.Replace(entity(1), `{"type": "string"}`, `{"$ref": "http://127.0.0.1/x.json"}`, 1))},
		"a slow pattern": {doc("a.json", strings.Replace(entity(1), `"string"`, `"string", "pattern": "^(((a{1,100}){1,100}){1,100})$"`, 1))},
	} {
		_, err := s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: docs})
		if k := fault.KindOf(api.AsFault(err)); err == nil || k != fault.Invalid && k != fault.Refused && k != fault.Exhausted {
			t.Errorf("%s: %v (%v)", name, k, api.Explain(err))
		}
	}
	if p := instancetest.Must(s.API.Schema.GetSchema(s.ctx, &munimentv1.GetSchemaRequest{})).GetPosition(); p != before {
		t.Errorf("the definitions are of %d, were of %d", p, before)
	}
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: many[:450]}))
	s.publish(t, anEvent("household-registered", uuid(), `{"name":"still"}`))
}
