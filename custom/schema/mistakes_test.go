package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"muniment.dev/custom/schema"
	"muniment.dev/fault"
)

// Each mistake is told with the file, the place, and what to do about it.
func TestMistakes(t *testing.T) {
	const reg, house = "household-registered.json", "household.json"
	long := strings.Repeat("x", 2100)
	for _, c := range []struct {
		file    string
		changes []string
		want    string // a part of the message
	}{
		// names (E12)
		{reg, []string{"/x-event", `"update"`}, `household-registered.json#/x-event: "update" does not say what happened: name what the people concerned would say, such as household-moved`},
		{reg, []string{"/x-event", `"event-1"`}, "does not say what happened"},
		{reg, []string{"/x-event", `"data"`}, "does not say what happened"},
		{reg, []string{"/x-event", `"Modified_v2"`}, "does not say what happened"},
		{reg, []string{"/x-event", `"household"`}, "does not say what happened"},
		{reg, []string{"/x-event", `"deleted"`}, "such as household-closed"},
		{reg, []string{"/x-event", `"user.joined"`}, "begins like built-in event types do"},
		{reg, []string{"/x-event", `"household registered"`}, "is no name for an event type"},
		{"joined.json", []string{"/x-event", `"Person-Joined"`, "/x-entity", `"household"`, "/type", `"object"`}, "by capitals only"},
		{house, []string{"/x-entity-type", `"user"`}, "a kind of Muniment's own"},
		{house, []string{"/x-entity-type", `"house.hold"`}, "is no name for an entity type"},
		{house, []string{"/properties/entity", `{"type": "string"}`}, "Muniment sets itself"},
		{house, []string{"/properties/a b", `{"type": "string"}`}, "is no name for a field"},
		// annotations
		{reg, []string{"/properties/name/x-pubilc", `true`}, `/properties/name/x-pubilc: is no annotation that Muniment knows; did you mean "x-public"?`},
		{reg, []string{"/x-public", `true`}, "belongs to the properties of the root"},
		{reg, []string{"/properties/name/x-search", `"exact"`}, "belongs to an entity type's document"},
		{reg, []string{"/properties/name/x-public", `"yes"`}, "must be true or false"},
		{reg, []string{"/properties/name/items", `{"x-public": true}`}, "cannot stand here"},
		{reg, []string{"/x-revision", `0`}, "must be an integer from 1"},
		{house, []string{"/x-retention", `1.5`}, "must be an integer from 1 to 36500"},
		{house, []string{"/x-duplicates", `["name"]`}, `/x-duplicates/0: must be a list of the names of fields, such as ["name", "birthDate"]`},
		{house, []string{"/x-duplicates", `[]`}, "must be a list of 1 to 8 combinations of fields"},
		{house, []string{"/x-duplicates", `[["name", "nmae"]]`}, `/x-duplicates/0/1: names "nmae", which is no property; did you mean "name"?`},
		{house, []string{"/x-duplicates", `[["name", "name"]]`}, "stands there twice"},
		{house, []string{"/x-duplicates", `[["name", "village"], ["village", "name"]]`}, "/x-duplicates/1: is the same as another"},
		{house, []string{"/x-duplicates", `[["members"]]`}, "lists and objects are not compared"},
		{house, []string{"/x-duplicates", `[["name", "card"]]`, "/properties/name/x-subject", `"/head"`}, "are sealed under different subjects"},
		{reg, []string{"/x-duplicates", `[["name"]]`}, "belongs to an entity type's document"},
		{reg, []string{"/x-conflict", `"merg"`}, `must be one of merge, last-writer, refuse, ask; did you mean "merge"?`},
		{reg, []string{"/x-sentence", `"{actor} registered {nam}"`}, `names {nam}, which is no field; there are {actor}, {entity} and the properties; did you mean "name"?`},
		{reg, []string{"/x-sentence", `"{actor"`}, "a { without a }"},
		{reg, []string{"/x-sentence", `"actor}"`}, "a } without a {"},
		{reg, []string{"/x-upcast", `{}`}, "no revision before the first"},
		{reg, []string{"/x-entity", `"houshold"`}, `is no entity type of this set; did you mean "household"?`},
		{reg, []string{"/x-entity", ``}, `lacks "x-entity"`},
		{house, []string{"/properties/name/x-search", `"fuzzy"`}, "must be one of exact, prefix"},
		{house, []string{"/properties/size/x-search", `"prefix"`}, "only texts are searched for by how they begin"},
		{house, []string{"/properties/members/x-unique", `"instance"`}, "lists and objects are not compared"},
		{house, []string{"/properties/card/x-unique", `"region"`}, "must be \"instance\", \"organization\""},
		{house, []string{"/properties/card/x-unique", `"/name"`}, "must be public"},
		{house, []string{"/properties/card/x-unique", `"/vilage"`}, `did you mean "village"?`},
		{house, []string{"/properties/card/x-subject", `"/head"`}, "cannot stand beside x-subject"},
		{house, []string{"/properties/name/x-ref", `"individual"`}, `needs "type": "string" and "format": "uuid"`},
		{house, []string{"/properties/head/x-ref", `"person"`}, "is no entity type of this set"},
		{reg, []string{"/properties/others", `{"type": "array", "items": {"type": "string", "format": "uuid"}, "x-public": true}`}, `needs "maxItems" of at most 100`},
		{house, []string{"/properties/name/x-subject", `"/size"`}, `must have "x-public": true`},
		{house, []string{"/properties/size/x-subject", `"/head"`}, "but this one is public"},
		{house, []string{"/properties/name/x-subject", `"/sise"`}, `did you mean "size"?`},
		{"person-joined.json", []string{"/required", `["reason"]`}, `must be required as "reason" is`},
		{reg, []string{"/properties/name/x-tag", `true`}, `needs "x-public": true`},
		{reg, []string{"/properties/village", `{"type": "string", "x-public": true, "x-tag": true}`}, `needs "maxLength" of at most 64`},
		// JSON Schema
		{reg, []string{"/$schema", `"http://json-schema.org/draft-07/schema#"`}, "other drafts are not taken"},
		{reg, []string{"/requried", `[]`}, `is no keyword of JSON Schema 2020-12; did you mean "required"?`},
		{reg, []string{"/properties/name/minLength", `"1"`}, "/properties/name/minLength: is no schema of 2020-12: got string, want integer"},
		{reg, []string{"/properties/name/type", `"text"`}, "/properties/name/type: is no schema of 2020-12"},
		{reg, []string{"/required", `["nome"]`}, `names "nome", which is no property; did you mean "name"?`},
		{reg, []string{"/type", ``}, `must be "object"`},
		{reg, []string{"/additionalProperties", `true`}, "must be false, or be left out"},
		{reg, []string{"/patternProperties", `{"a": {}}`}, "cannot stand at the root"},
		{reg, []string{"/properties/name", `true`}, "must be an object that says what the field holds"},
		{reg, []string{"/properties/name/not", `3`}, "must be a schema"},
		{reg, []string{"/properties/name/format", `"e-mail"`}, `is no format that is checked; did you mean "email"?`},
		{reg, []string{"/properties/name/pattern", `"^(?=a)"`}, "is a pattern that RE2 does not take"},
		{reg, []string{"/properties/name/pattern", `"(a)\\1"`}, "is a pattern that RE2 does not take"},
		{reg, []string{"/properties/name/pattern", `"((a{30}){30}){30}"`}, "is a pattern"},
		{reg, []string{"/properties/name/$dynamicRef", `"#x"`}, "is not taken"},
		{reg, []string{"/properties/name/$id", `"https://example.org/x"`}, "stands at the root only"},
		// references
		{reg, []string{"/properties/name", `{"$ref": "https://example.org/elsewhere.json"}`}, `names no document of this set`},
		{reg, []string{"/properties/name", `{"$ref": "file:///etc/passwd"}`}, `names no document of this set`},
		{reg, []string{"/properties/name", `{"$ref": "https://json-schema.org/draft/2020-12/schema"}`}, `names no document of this set`},
		{reg, []string{"/properties/name", `{"$ref": "https://schema.invalid/0"}`}, `names no document of this set`},
		{reg, []string{"/properties/name", `{"$ref": "#/properties/size"}`}, `must point to a definition`},
		{reg, []string{"/properties/name", `{"$ref": "#/$defs/nome"}`}, `a definition that household-registered.json does not have`},
		{reg, []string{"/properties/name", `{"$ref": "#nome"}`}, `names an anchor that household-registered.json does not have`},
		{reg, []string{"/properties/name", `{"$ref": "%zz"}`}, `cannot be read as a URL`},
		{reg, []string{"/properties/name", `{"$ref": "#"}`}, `leads back to where it stands`},
		{reg, []string{"/$defs", `{"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}`}, `leads back to where it stands`},
		{reg, []string{"/$defs", `{"a": {"$anchor": "a"}, "b": {"$anchor": "a"}}`}, `that /$defs/a has already`},
		{"shared.json", []string{"/$id", `"shared.json"`}, "must be an absolute URL"},
		{"shared.json", []string{"/$id", `"https://json-schema.org/x"`}, "is a name that is not yours"},
		{reg, []string{"/$id", `"https://example.org/schemas/shared.json"`}, "is that of household-registered.json already"},
		{"shared.json", []string{"/$id", ``}, `has no "$id"`},
		// limits
		{reg, []string{"/description", `"` + long + `"`}, "has 2100 characters; the limit is 2000"},
		{reg, []string{"/x-sentence", `"` + long + `"`}, "has 2100 characters; the limit is 200"},
		{reg, []string{"/properties", object(101, `{}`)}, "has 101 properties; the limit is 100"},
		{reg, []string{"/properties/name/enum", list(201)}, "has 201 items; the limit is 200"},
		{reg, []string{"/properties/name/enum", `[]`}, "nothing would be accepted"},
		{reg, []string{"/properties/name/anyOf", "[" + strings.Repeat("true,", 20) + "true]"}, "has 21 items; the limit is 20"},
		{reg, []string{"/properties/name", nested(9)}, "is nested more than 8 schemas deep"},
		{reg, []string{"/properties/name/minimum", `1e401`}, "the number's exponent is too large"},
		{reg, []string{"/$defs", doubling(20)}, "has more than 5000 schemas, with its references followed"},
		{reg, []string{"/$comment", `"` + strings.Repeat("x", 33_000) + `"`}, "bytes long; the limit is 32768"},
		{reg, []string{"/properties/name/enum", list(200), "/properties/name/anyOf", "[" + strings.Repeat(`{"pattern": "^[a-z]{40}$"},`, 19) + "true]"}, "may look at one place of a value with"},
		{reg, []string{"/properties/name", `{"allOf": [` + strings.Repeat(`{"items": {"anyOf": [{}, {}, {}, {}, {}, {}, {}]}},`, 19) + `true]}`}, "may look at one place of a value with"},
		// revisions
		{reg, []string{"/x-revision", `3`}, `revision 1 of "household-registered" is missing`},
		{reg, []string{"/x-revision", `2`}, `is in household-registered.2.json already`},
		{reg, []string{"/x-retired", `true`}, `retires an old revision`},
		{reg, []string{"/x-entity", `"individual"`}, `happens to "individual" in revision 1, and in revision 2 to "household"`},
		{"household-registered.2.json", []string{"/examples", ``}, `lacks "examples"`},
		{"household-registered.2.json", []string{"/examples", `[{"name": "Secret"}, {"name": ""}]`}, `#/examples/1: is not what the schema takes: /name must have at least 1 character`},
		{"household-registered.2.json", []string{"/examples", `[3]`}, `must be an object`},
		{"household-registered.2.json", []string{"/required", `["name", "card"]`}, `lacks x-upcast, and events of revision 1 are not all good here: /card is required now`},
		// documents
		{"other.json", nil, `says neither "x-entity-type" nor "x-event"`},
		{house, []string{"/x-event", `"household-seen"`}, "write two documents"},
		{"individual2.json", []string{"/x-entity-type", `"individual"`, "/type", `"object"`}, `is defined by individual.json already`},
	} {
		_, err := schema.Parse(with(t, household(t), c.file, c.changes...), schema.Options{Reserved: reserved})
		if got := problems(err); !strings.Contains(got, c.want) {
			t.Errorf("%s %.200q:\n%s\nwant %s", c.file, c.changes, got, c.want)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", c.want, fault.KindOf(err))
		}
	}
}

// Documents that are cheap one by one may be too many together.
func TestTooManyDocuments(t *testing.T) {
	files := household(t)
	for i := range 9 {
		files[fmt.Sprintf("%d.json", i)] = []byte(fmt.Sprintf(`{"$id": "https://example.org/%d", "$defs": %s}`, i, doubling(10)))
	}
	_, err := schema.Parse(files, schema.Options{})
	if got := problems(err); !strings.Contains(got, "the documents have more than 20000 schemas") {
		t.Error(got)
	}
	files = map[string][]byte{}
	for i := range 501 {
		files[fmt.Sprint(i)] = nil
	}
	_, err = schema.Parse(files, schema.Options{})
	if got := problems(err); !strings.Contains(got, "there are 501 documents; the limit is 500") {
		t.Error(got)
	}
	delete(files, "0")
	_, err = schema.Parse(files, schema.Options{})
	if got := problems(err); strings.Count(got, "\n") != 200 || !strings.Contains(got, "there are 300 more") {
		t.Error(got)
	}
}

// What was taken once is taken by a later version that knows more names of its
// own, or finds fewer of them telling.
func TestRecorded(t *testing.T) {
	files := with(t, household(t), "changed.json", "/x-event", `"individual.changed"`, "/x-entity", `"individual"`, "/type", `"object"`)
	files = with(t, files, "update.json", "/x-event", `"update"`, "/x-entity", `"individual"`, "/type", `"object"`)
	o := schema.Options{Reserved: []string{"individual"}}
	if _, err := schema.Parse(files, o); strings.Count(problems(err), "\n") != 2 {
		t.Error(problems(err))
	}
	o.Recorded = true
	if _, err := schema.Parse(files, o); err != nil {
		t.Error(problems(err))
	}
}

// What is no JSON object is refused with its place.
func TestMalformedDocuments(t *testing.T) {
	for raw, want := range map[string]string{
		``:                              "is not JSON: it ends too early, at byte 0",
		`{"type": "object"`:             "is not JSON",
		`{"type": "object"} {}`:         "goes on after its end",
		`{"properties": {"a":1,"a":2}}`: "x.json#/properties/a: stands there twice",
		`[]`:                            "must be a JSON object",
		"{\"title\": \"\xff\"}":         "is not UTF-8",
		`{"a":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`: "is nested more than",
		`{"minimum": 12345678901234567890123}`:                            "more than 19 digits",
	} {
		_, err := schema.Parse(map[string][]byte{"x.json": []byte(raw)}, schema.Options{})
		if got := problems(err); !strings.Contains(got, want) {
			t.Errorf("%.60q: %s, want %s", raw, got, want)
		}
	}
}

// All mistakes are told at once, in order, not only the first.
func TestAllMistakes(t *testing.T) {
	files := with(t, household(t), "household.json", "/properties/name/x-search", `"fuzzy"`, "/properties/size/format", `"x"`)
	files = with(t, files, "household-registered.json", "/x-event", `"update"`, "/x-creates", `1`)
	_, err := schema.Parse(files, schema.Options{})
	got := problems(err)
	last := -1
	for _, want := range []string{"household-registered.json#/x-creates", "household-registered.json#/x-event", "household.json#/properties/name/x-search", "household.json#/properties/size/format"} {
		at := strings.Index(got, want)
		if at <= last {
			t.Errorf("%s is missing or out of order in:\n%s", want, got)
		}
		last = at
	}
}

// The names of E10 and E11 can be said, and those beside which a word stands
// that says something.
func TestNames(t *testing.T) {
	for _, name := range strings.Fields(`TransactionCreated RecordUpdated JobCompleted UserUpdated UserUpdated_v2 OrderCreated order.created
		order.paid paid shipped returned beneficiary-registered household-income-updated emergency-assistance-provided personal-info-updated
		create-individual create-group update-individual update-group add-member remove-member delete-entity resolve-duplicate data-breach-reported`) {
		files := with(t, household(t), "named.json", "/x-event", fmt.Sprintf("%q", name), "/x-entity", `"individual"`, "/type", `"object"`)
		if _, err := schema.Parse(files, schema.Options{Reserved: reserved}); err != nil {
			t.Errorf("%s: %s", name, problems(err))
		}
	}
}

// A schema that says too little or too much at once is taken, with a warning
// (E13).
func TestWarnings(t *testing.T) {
	files := household(t)
	all := []string{"/x-event", `"household-surveyed"`, "/x-entity", `"household"`, "/type", `"object"`}
	for _, name := range strings.Fields("name card village number size head members address") {
		all = append(all, "/properties/"+name, "{}")
	}
	whole := with(t, files, "survey.json", append(all[:6:6], append([]string{"/properties", "{}"}, all[6:]...)...)...)
	blob := with(t, files, "blob.json", "/x-event", `"census-taken"`, "/x-entity", `"household"`, "/type", `"object"`, "/properties", `{"answers": {"type": "object"}}`)
	single := household(t)
	for _, name := range strings.Fields("renamed moved grown born aged") {
		single = with(t, single, name+".json", "/x-event", `"person-`+name+`"`, "/x-entity", `"individual"`, "/type", `"object"`, "/properties", `{"name": {"type": "string"}}`)
	}
	for _, c := range []struct {
		files map[string][]byte
		want  string
	}{{whole, "carries all 8 fields of household"}, {blob, "may hold anything"}, {single, "5 of 5 event types of individual have one field each"}} {
		set := parse(t, c.files)
		if len(set.Warnings) != 1 || !strings.Contains(set.Warnings.Error(), c.want) {
			t.Errorf("%v, want %s", set.Warnings, c.want)
		}
	}
}

func object(n int, value string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(`"f%d": %s`, i, value)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func list(n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprint(i)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func nested(n int) string { return strings.Repeat(`{"items": `, n) + "{}" + strings.Repeat("}", n) }

// doubling makes definitions each of which points to the next twice.
func doubling(n int) string {
	parts := []string{fmt.Sprintf(`"d%d": {}`, n)}
	for i := range n {
		parts = append(parts, fmt.Sprintf(`"d%d": {"allOf": [{"$ref": "#/$defs/d%d"}, {"$ref": "#/$defs/d%d"}]}`, i, i+1, i+1))
	}
	return "{" + strings.Join(parts, ",") + "}"
}
