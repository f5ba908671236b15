package schema_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

var reserved = []string{"user", "org", "project", "session", "subject", "log"}

// household reads the documents of testdata.
func household(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	paths, err := filepath.Glob("testdata/household/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no documents", err)
	}
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = raw
	}
	return files
}

func parse(t testing.TB, files map[string][]byte) *schema.Set {
	t.Helper()
	set, err := schema.Parse(files, schema.Options{Reserved: reserved})
	if err != nil {
		t.Fatal(problems(err))
	}
	return set
}

func problems(err error) string {
	var p schema.Problems
	if errors.As(err, &p) {
		return p.Error()
	}
	if err == nil {
		return ""
	}
	return "not Problems: " + err.Error()
}

// with returns documents in which one is changed: the value at each pointer is
// replaced by JSON, or removed where that is empty.
func with(t testing.TB, files map[string][]byte, file string, changes ...string) map[string][]byte {
	t.Helper()
	files = maps.Clone(files)
	doc := map[string]any{}
	if raw, ok := files[file]; ok {
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(changes); i += 2 {
		tokens := strings.Split(changes[i], "/")[1:]
		at := doc
		for _, token := range tokens[:len(tokens)-1] {
			at = at[strings.ReplaceAll(token, "~1", "/")].(map[string]any)
		}
		last := tokens[len(tokens)-1]
		if changes[i+1] == "" {
			delete(at, last)
			continue
		}
		at[last] = json.RawMessage(changes[i+1])
		var v any
		if err := json.Unmarshal([]byte(changes[i+1]), &v); err == nil {
			at[last] = v
		}
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	files[file] = raw
	return files
}

// A set of documents becomes entity types and event types with all revisions.
func TestParse(t *testing.T) {
	set := parse(t, household(t))
	if len(set.Entities) != 2 || len(set.Events) != 2 || len(set.Warnings) > 0 {
		t.Fatalf("%d entities, %d events, warnings: %v", len(set.Entities), len(set.Events), set.Warnings)
	}
	e := set.Entities["household"]
	if e.Title != "Household" || e.Retention != 3650 || e.Field("number").Unique != "/village" || e.Field("members").Kind != schema.UUIDs || e.Field("head").Ref != "individual" || e.Field("name").Search != schema.Prefix {
		t.Errorf("%+v", e)
	}
	first, second := set.Definition("household-registered", 1), set.Definition("household-registered", 2)
	if first.Sentence != "{actor}: Household registered" || !first.Creates || first.Conflict != schema.Merge || second.Conflict != schema.Ask {
		t.Errorf("%+v\n%+v", first, second)
	}
	if joined := set.Definition("person-joined", 1); joined.Creates || joined.Title != "Person joined" {
		t.Errorf("%+v", joined)
	}
	if set.Definition("household-registered", 3) != nil || set.Definition("household-registered", 0) != nil || set.Definition("unknown", 1) != nil {
		t.Error("a definition that is not there")
	}
	names := []string{}
	for _, f := range second.Fields {
		names = append(names, f.Name)
	}
	if want := []string{"name", "village", "size", "card", "address", "phone"}; !slices.Equal(names, want) {
		t.Errorf("fields %v, want them in the document's order %v", names, want)
	}
}

// A definition is as good as a built-in type: its descriptor says what is
// sealed, under whom, and by what records are found.
func TestDescriptor(t *testing.T) {
	set := parse(t, household(t))
	for _, c := range []struct{ event, field, want string }{
		{"person-joined", "entity", "id public tag=entity"},
		{"person-joined", "organization", "id public tag=org"},
		{"person-joined", "person", "id public tag=ref"},
		{"person-joined", "reason", "json of=person"},
		{"person-joined", "since", "json of=entity"},
		{"household-registered", "name", "json of=entity"},
		{"household-registered", "village", "json public tag=household.village"},
		{"household-registered", "size", "json public"},
		{"household-registered", schema.Taken("card"), "text of=entity blind=household.card fold only"},
		{"household-registered", schema.Former("card"), "text of=entity blind=household.card.former fold only"},
		{"household-registered", schema.Taken("number"), "text of=entity blind=household.number fold only"},
	} {
		d := set.Events[c.event].Latest().Descriptor
		if err := d.Check(); err != nil {
			t.Fatal(err)
		}
		f := d.Field(c.field)
		if f == nil {
			t.Errorf("%s has no field %s", c.event, c.field)
			continue
		}
		got := string(f.Kind)
		for _, part := range []struct {
			is   bool
			text string
		}{{f.Public, " public"}, {f.Tag != "", " tag=" + f.Tag}, {f.Of != "", " of=" + f.Of}, {f.Blind != "", " blind=" + f.Blind}, {f.Fold, " fold"}, {f.Only, " only"}} {
			if part.is {
				got += part.text
			}
		}
		if got != c.want {
			t.Errorf("%s/%s: %s, want %s", c.event, c.field, got, c.want)
		}
	}
}

var update = flag.Bool("update", false, "write what the documents of testdata become")

// What a document becomes is as it was in every version: stored records are
// read by it. The file only grows.
func TestGoldenDescriptors(t *testing.T) {
	set := parse(t, household(t))
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(set.Events)) {
		for _, def := range set.Events[name].Revisions {
			d := def.Descriptor
			fmt.Fprintf(&b, "%s revision %d, kept %d days: %s\n", d.Type, d.Revision, d.Retention, d.Sentence)
			for _, f := range d.Fields {
				fmt.Fprintf(&b, "\t%s %s public=%t of=%q tag=%q blind=%q fold=%t only=%t\n", f.Name, f.Kind, f.Public, f.Of, f.Tag, f.Blind, f.Fold, f.Only)
			}
		}
	}
	const golden = "testdata/household.descriptors"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the documents become\n%swant\n%s", b.String(), want)
	}
}

// What was published is what is read, but that ids get one form; and the codec
// of built-in types takes it.
func TestPayload(t *testing.T) {
	set := parse(t, household(t))
	def := set.Definition("person-joined", 1)
	value := map[string]any{"person": "0123456789ABCDEF0123456789abcdef", "reason": "marriage", "since": "2026-01-02"}
	if err := def.Validate(value); err != nil {
		t.Fatal(err)
	}
	entity, org := event.MustID("00000000000000000000000000000001"), event.MustID("00000000000000000000000000000002")
	c, err := def.Payload(entity, org, value)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := def.Descriptor.Split(c)
	if err != nil {
		t.Fatal(err)
	}
	person := event.MustID("0123456789abcdef0123456789abcdef")
	want := []event.Tag{event.NewTag("entity", entity.String()), event.NewTag("org", org.String()), event.NewTag("ref", person.String())}
	if !slices.Equal(parts.Tags, want) || len(parts.Sealed[event.SubjectID{ID: person}]) != 1 || len(parts.Sealed[event.SubjectID{ID: entity}]) != 1 {
		t.Errorf("%v %v", parts.Tags, parts.Sealed)
	}
	got := def.Value(c)
	if got["person"] != "01234567-89ab-cdef-0123-456789abcdef" || got["reason"] != "marriage" || len(got) != 3 {
		t.Errorf("%v", got)
	}
	if _, err := def.Payload(entity, org, map[string]any{"entity": "x"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a field that there is not: %v", err)
	}
}

// A value is unique within what the schema says, whatever its case.
func TestUniqueValues(t *testing.T) {
	e := parse(t, household(t)).Entities["household"]
	a, b := event.MustID("0000000000000000000000000000000a"), event.MustID("0000000000000000000000000000000b")
	state := map[string]any{"card": "X-1", "number": int64(4), "village": "Garissa"}
	one, other := e.UniqueValues(a, state), e.UniqueValues(b, state)
	if one["card"] == other["card"] || one["number"] != other["number"] || len(one) != 2 {
		t.Errorf("%q %q", one, other)
	}
	state["village"] = "Dadaab"
	if moved := e.UniqueValues(a, state); moved["number"] == one["number"] {
		t.Error("a number is compared with those of another village")
	}
	if none := e.UniqueValues(a, map[string]any{"card": nil}); len(none) > 0 {
		t.Errorf("%q", none)
	}
}
