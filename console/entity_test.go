package console

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// Definitions are shown, and changed only after their plan was seen and what it
// asks was acknowledged; every mistake is told.
func TestDefinitionPages(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	v.get("/console/definitions").want(200, "HouseholdMoved_v2", "unique within instance, indexing 4200 of 10000", "310 of 1 200 events", "12 came out otherwise", "searched by how it begins", "points to individual", "under head", "h.json", "score", `href="/console/definitions/change?file=h.json"`)
	v.get("/console/definitions?at=3").want(200, "Nothing is defined")
	const change = "/console/definitions/change"
	v.get(change+"?file=h.json").want(200, "&#34;x-entity-type&#34;: &#34;household&#34;")
	v.send(change, "documents", houseDoc, "do", "plan").want(200, "Is it meant?", "those stay readable", `value="household-registered/name"`, `href="/console/events/8"`, "one event type for each field", "3 stored events were looked at, and 40 entities computed anew.", houseUUID+"</a> name, size</li>", `at <a href="/console/events/8">#8</a>: /x-apply/set/size: division by zero</li>`, "and 21 more", "Entities are computed anew", "Read: h.json.")
	if len(b.calls) != 0 {
		t.Errorf("planning did %q", b.calls)
	}
	v.send(change, "documents", houseDoc, "do", "apply").want(409, "Acknowledge household-registered/name", "Is it meant?")
	v.send(change, "documents", houseDoc, "do", "apply", "acknowledge", "household-registered/name", "reason", "why", "whole", "1").want(200, "The definitions are changed.")
	if want := []string{"ApplySchema h.json true household-registered/name why"}; !slices.Equal(b.calls, want) {
		t.Errorf("calls: %q, want %q", b.calls, want)
	}
	v.get(change).send(change, "documents", `{"x-event": "refuse"}`, "do", "plan").want(200, "Refused", "2 events")
	if strings.Contains(v.body, `value="apply"`) {
		t.Error("a refused plan can be applied")
	}
	v.get(change).send(change, "documents", `{"x-event": "wrong"}`, "do", "plan").want(422, "2 mistakes", "h.json#/properties/a: knows no &lt;x-serch&gt;", "h.json#/title: must be text", "&#34;wrong&#34;")
	v.get(change).send(change, "documents", "{\"x-event\": \"good\"}\n\n{", "do", "plan").want(422, "Document 2 is not JSON, from line 3 on")
	v.get(change).send(change, "documents", "{}", "do", "plan").want(422, "Document 1 defines nothing")
	v.get(change).send(change, "documents", " ", "do", "plan").want(422, "There is no document")
}

// Files can be chosen as well, documents and modules; what was chosen is there
// when the plan is applied.
func TestDefinitionFiles(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	const change = "/console/definitions/change"
	v.get(change).upload(change, []string{"documents", `{"x-event": "typed"}`, "do", "plan"}, "h.json", houseDoc, "score.wasm", "\x00asm").want(200, "Read: typed.json, h.json.", `name="module" value="score:AGFzbQ=="`, "4 bytes")
	v.upload(change, []string{"documents", houseDoc, "module", "score:AGFzbQ==", "acknowledge", "household-registered/name", "do", "apply"}).want(200, "The definitions are changed.")
	if want := []string{"ApplySchema h.json false household-registered/name  score=4"}; !slices.Equal(b.calls, want) {
		t.Errorf("calls: %q, want %q", b.calls, want)
	}
	v.get(change).upload(change, []string{"do", "plan"}, "notes.txt", "x").want(422, "Documents end with .json")
	v.get(change).upload(change, []string{"module", "score:%", "do", "plan"}).want(422, "choose it again")
	v.get(change).upload(change, []string{"do", "plan"}, "big.wasm", strings.Repeat("x", 3<<20)).want(429, "larger than 2048 KiB")
	if v.body = ""; v.upload(change, []string{"documents", houseDoc, "do", "plan"}).last.StatusCode != 403 {
		t.Error("a form without its token was taken")
	}
}

// Documents that are pasted keep the names that they have, or get one after
// what they define.
func TestReadDocuments(t *testing.T) {
	got, err := readDocuments(`{"x-entity-type": "household"} {"x-event": "a.b", "x-revision": 1}
		{"x-event": "a.b", "x-revision": 2}{"$id": "https://example.org/schemas/shared.json"}`, defined().GetDocuments())
	var names []string
	for _, d := range got {
		names = append(names, d.GetFile())
	}
	if want := "h.json a.b.json a.b.2.json shared.json"; err != nil || strings.Join(names, " ") != want {
		t.Errorf("%v: %q, want %q", err, names, want)
	}
}

// Entities are listed, searched for without a trace in the address, shown with
// all that happened to them, compared and erased.
func TestEntityPages(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	const list, house = "/console/entities/household", "/console/entities/household/" + houseID
	v.get("/console/entities").want(200, `href="/console/entities/household"`, "Individual")
	v.get(list).want(200, "Lovelace &amp; &lt;Sons&gt;", "Household 0198a5c2", "Not up to date", "Deleted", `href="`+house+`"`)
	v.send(list, "field", "name", "q", "love").want(200, "Lovelace", "1 on this page")
	if strings.Contains(v.last.Request.URL.String(), "love") {
		t.Errorf("what was searched for stands in the address %s", v.last.Request.URL)
	}
	v.send(list, "field", "village", "q", "London").want(200, "1 on this page")
	v.send(list, "field", "name", "q", "x").want(200, "Nothing matches")
	v.send(list, "field", "nationalId", "q", "x").want(403, "You may not search by sealed fields")
	v.get(list).send(list, "state", "failed").want(200, `<option value="failed" selected>`)
	v.get("/console/entities/nothing").want(404)

	v.get(house).want(200, "Lovelace &amp; &lt;Sons&gt;", "High Street", "12345678901234567", "sealed", `href="/console/entities/individual/0198a5c27d1e7a409f3b5b6c7d8e9f07"`, "Household 0198a5c2 moved to London",
		"Why: asked for it", `<del>Ockham</del>`, `<ins>London</ins>`, "happened", `href="/console/entities/household/`+emptyID+`"`, `stream=household%3A`+houseID, house+"/compare", house+"/erase", "Analytical Engines", `token=3`)
	v.get("/console/entities/household/"+emptyID).want(200, "the module ran for too long", "erased", "Nobody can read it any more", "Ciphertexts", `href="/console/events/9/receipt"`)
	if strings.Contains(v.body, emptyID+"/erase") {
		t.Error("what is erased can be erased")
	}
	v.get(house+"?at=7").want(200, house+"/compare?from=7")
	if strings.Contains(v.body, house+"/erase") {
		t.Error("the past can be erased")
	}
	v.get(house+"/compare?from=7").want(200, "Version 3 and version 3", "<del>Ockham</del>")
	v.get(house+"/compare").want(200, "It was not there at the first point")
	v.get(house+"/compare?from=yesterday").want(422, "Write a position")
	v.get(house + "/nothing").want(404)
	v.get(house+"/erase").want(200, "Erase Lovelace").send(house+"/erase", "typed", "x").want(422, "Nothing was done.")
	v.get(house+"/erase").send(house+"/erase", "typed", "0198a5c2", "reason", "asked").want(200, "Erased.")
	if want := []string{"EraseEntity " + houseUUID + " asked"}; !slices.Equal(b.calls, want) {
		t.Errorf("calls: %q, want %q", b.calls, want)
	}
}

// Who may not change definitions, or erase, is not offered it.
func TestEntityCourtesy(t *testing.T) {
	v := as(t, serve(t, newBackend(t)), "grace")
	for page, offered := range map[string]string{"/console/definitions": "/change", "/console/entities/household/" + houseID: houseID + "/erase"} {
		if strings.Contains(v.get(page).want(200).body, offered) {
			t.Errorf("an auditor is offered %s", offered)
		}
	}
}

// A customer's event stands among the others: on the list with its sentence, on
// its page with its fields, numbers exactly, and the way to its entity.
func TestCustomersEvent(t *testing.T) {
	b := newBackend(t)
	lines := structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("9007199254740995")}})
	b.record(time.Minute, "household:"+houseID, "HouseholdTaxed", adaID, "Ada Lovelace taxed household 0198a5c2",
		&munimentv1.FieldChange{Path: "/entity", After: value(houseID)},
		&munimentv1.FieldChange{Path: "/cents", After: &munimentv1.FieldValue{Value: structpb.NewStringValue("9007199254740993"), ValueJson: "9007199254740993"}},
		&munimentv1.FieldChange{Path: "/parts", Sealed: true, After: &munimentv1.FieldValue{Value: structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"many": lines}}), ValueJson: `{"many":[9007199254740995]}`}})
	n := strconv.Itoa(len(b.events))
	v := as(t, serve(t, b), "ada")
	v.get("/console/events?type=HouseholdTaxed").want(200, "Ada Lovelace taxed household 0198a5c2", "/console/events/"+n)
	v.get("/console/events?stream=household%3A"+houseID).want(200, "Ada Lovelace taxed household 0198a5c2")
	v.get("/console/events/"+n).want(200, "Ada Lovelace taxed household 0198a5c2", "<code>HouseholdTaxed</code>", `href="/console/entities/household/`+houseID+`"`, ">9007199254740993<", "many", ">9007199254740995<")
}
