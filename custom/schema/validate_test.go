package schema_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// survey is an event of ten fields with the keywords that most have.
const survey = `{
	"x-event": "household-surveyed", "x-entity": "household", "type": "object", "required": ["name", "size"],
	"properties": {
		"name": {"type": "string", "minLength": 1, "maxLength": 200},
		"size": {"type": "integer", "minimum": 1, "maximum": 50, "x-public": true},
		"village": {"type": "string", "format": "uuid", "x-public": true},
		"visited": {"type": "string", "format": "date"},
		"seen": {"type": "string", "format": "date-time"},
		"email": {"type": "string", "format": "email"},
		"status": {"enum": ["settled", "moving", "gone"], "x-public": true},
		"phone": {"type": "string", "pattern": "^\\+[0-9]{6,15}$"},
		"poor": {"type": "boolean"},
		"address": {"type": "object", "properties": {"street": {"type": "string"}, "town": {"type": "string"}}, "required": ["town"]}
	}}`

const answers = `{"name": "Household of Amina", "size": 5, "village": "0d2f1c1e-7d6f-4d7c-9a55-0123456789ab", "visited": "2026-01-02",
	"seen": "2026-01-02T10:00:00Z", "email": "amina@example.org", "status": "moving", "phone": "+254700000000", "poor": true,
	"address": {"street": "Main road", "town": "Garissa"}}`

// define makes a definition of an event of an entity type "household".
func define(t testing.TB, document string) *schema.Definition {
	t.Helper()
	set := parse(t, map[string][]byte{"event.json": []byte(document), "entity.json": []byte(`{"x-entity-type": "household", "type": "object"}`)})
	for _, e := range set.Events {
		return e.Latest()
	}
	t.Fatal("no event type")
	return nil
}

func values(t testing.TB, raw string) map[string]any {
	t.Helper()
	v, err := event.ParseJSON([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

// Each broken rule is told with its place, and nothing of the value with it.
func TestViolations(t *testing.T) {
	def := define(t, `{"x-event": "case-opened", "x-entity": "household", "type": "object", "required": ["name"], "dependentRequired": {"a": ["b"]},
		"properties": {
			"name": {"type": "string", "minLength": 2, "maxLength": 8}, "a": {}, "b": {"not": {}},
			"kind": {"enum": [1, 2, "three"]}, "one": {"const": 1}, "mail": {"format": "email"}, "code": {"pattern": "^[a-z]+$"},
			"n": {"minimum": 1, "maximum": 9.5, "multipleOf": 0.5}, "m": {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
			"list": {"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": true, "items": {"type": "integer"}},
			"map": {"type": "object", "minProperties": 1, "maxProperties": 2, "propertyNames": {"maxLength": 30}, "additionalProperties": {"type": "integer"}},
			"no": {"properties": {"x": false}}, "either": {"anyOf": [{"type": "string"}, {"minimum": 3}]}, "pub": {"additionalProperties": {"type": "integer"}, "x-public": true},
			"big": {"type": "string", "maxLength": 1}}}`)
	for _, c := range []struct{ value, want string }{
		{`{}`, "/name is missing"},
		{`{"name": "x"}`, "/name must have at least 2 characters"},
		{`{"name": "Personal-secret"}`, "/name must have at most 8 characters"},
		{`{"name": 3}`, "/name must be string, not number"},
		{`{"name": "xx", "other": 1}`, "/other is not known here"},
		{`{"name": "xx", "kind": "secret"}`, `/kind must be one of 1, 2, "three"`},
		{`{"name": "xx", "one": 2}`, `/one must be 1`},
		{`{"name": "xx", "mail": "secret"}`, `/mail must be of the format email`},
		{`{"name": "xx", "code": "Secret"}`, `/code must match "^[a-z]+$"`},
		{`{"name": "xx", "n": 0}`, `/n must be at least 1`},
		{`{"name": "xx", "n": 10}`, `/n must be at most 9.5`},
		{`{"name": "xx", "n": 1.25}`, `/n must be a multiple of 0.5`},
		{`{"name": "xx", "m": 0}`, `/m must be more than 0`},
		{`{"name": "xx", "m": 1}`, `/m must be less than 1`},
		{`{"name": "xx", "list": []}`, `/list must have at least 1 item`},
		{`{"name": "xx", "list": [1, 2, 3]}`, `/list must have at most 2 items`},
		{`{"name": "xx", "list": [1, 1]}`, `/list has equal items, 0 and 1`},
		{`{"name": "xx", "list": ["secret"]}`, `/list/0 must be integer, not string`},
		{`{"name": "xx", "map": {}}`, `/map must have at least 1 property`},
		{`{"name": "xx", "map": {"a": 1, "b": 2, "c": 3}}`, `/map must have at most 2 properties`},
		{`{"name": "xx", "map": {"+254700secret": "x"}}`, `/map/* must be integer, not string`},
		{`{"name": "xx", "map": {"secret-secret-secret-secret-secret": 1}}`, `the value has a name that /properties/map/propertyNames does not take`},
		{`{"name": "xx", "pub": {"shown": "x"}}`, `/pub/shown must be integer, not string`},
		{`{"name": "xx", "no": {"x": 1}}`, `/no/x must not be there`},
		{`{"name": "xx", "either": 1}`, `/either must be at least 3; /either must be string, not number`},
		{`{"name": "xx", "a": 1}`, `/b is missing beside a`},
		{`{"name": "xx", "b": 1}`, `/b is what it must not be`},
		{`{"name": "xx", "big": "secret", "n": 0}`, `/big must have at most 1 character; /n must be at least 1`},
	} {
		err := def.Validate(values(t, c.value))
		var all schema.Violations
		if !fault.Is(err, fault.Invalid) || !errors.As(err, &all) || fault.Public(err) != c.want {
			t.Errorf("%s: %v, want %s", c.value, err, c.want)
		}
		if strings.Contains(strings.ToLower(fmt.Sprint(err)), "secret") {
			t.Errorf("%s is told: %v", c.value, err)
		}
	}
}

// A value that breaks a rule a thousand times is not answered with a thousand
// lines.
func TestViolationsAreFew(t *testing.T) {
	def := define(t, `{"x-event": "case-opened", "x-entity": "household", "type": "object", "properties": {"a": {"items": {"type": "string"}}}}`)
	err := def.Validate(values(t, `{"a": [`+strings.Repeat("1,", 1000)+`1]}`))
	var all schema.Violations
	if !errors.As(err, &all) || len(all) != 21 || !strings.HasSuffix(err.Error(), "breaks 981 rules more") {
		t.Errorf("%d: %v", len(all), err)
	}
}

// Formats are asserted, not only noted.
func TestFormats(t *testing.T) {
	for format, c := range map[string]struct{ good, bad string }{
		"uuid":          {"0D2F1C1E-7d6f-4d7c-9a55-0123456789ab 0123456789abcdef0123456789abcdef", "0d2f1c1e 0d2f1c1e-7d6f-4d7c-9a55-0123456789ag 0d2f1c1e7d6f-4d7c-9a55-0123456789ab"},
		"date":          {"2024-02-29", "2026-02-29 2026-1-2"},
		"date-time":     {"2026-01-02T10:00:00Z 2026-01-02T10:00:00.123+03:00", "2026-01-02T10:00:00 2026-01-02"},
		"time":          {"10:00:00Z", "10:00 25:00:00Z"},
		"duration":      {"P3D PT1H", "3D P"},
		"email":         {"amina@example.org", "amina @example.org amina.example.org"},
		"uri":           {"https://example.org/x urn:x:y", "example.org/x /x"},
		"uri-reference": {"/x", `\x`},
		"hostname":      {"example.org", "-x.org"},
		"ipv4":          {"192.0.2.1", "192.0.2.256"},
		"ipv6":          {"2001:db8::1", "2001:db8::1%eth0 1.2.3.4"},
		"json-pointer":  {"/a/b", "a"},
	} {
		def := define(t, fmt.Sprintf(`{"x-event": "case-opened", "x-entity": "household", "type": "object", "properties": {"v": {"type": "string", "format": %q}}}`, format))
		for _, v := range strings.Fields(c.good) {
			if err := def.Validate(map[string]any{"v": v}); err != nil {
				t.Errorf("%s %q: %v", format, v, err)
			}
		}
		for _, v := range strings.Split(c.bad, " ") {
			if err := def.Validate(map[string]any{"v": v}); err == nil {
				t.Errorf("%s %q is taken", format, v)
			}
		}
	}
}

// A value costs what it is long, whatever its schema: numbers with exponents,
// definitions within definitions, patterns.
func TestValidateIsBounded(t *testing.T) {
	def := define(t, `{"x-event": "case-opened", "x-entity": "household", "type": "object", "properties": {
		"n": {"multipleOf": 1e-300, "maximum": 1e300}, "p": {"pattern": "^(a+)+$"}, "u": {"uniqueItems": true}}}`)
	for _, v := range []string{`{"n": 1.5e400}`, `{"n": 1e-400}`, `{"p": "` + strings.Repeat("a", 20_000) + `!"}`} {
		if err := def.Validate(values(t, v)); err == nil {
			t.Errorf("%.30s is taken", v)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	def, v := define(b, survey), values(b, answers)
	b.ReportAllocs()
	for b.Loop() {
		if err := def.Validate(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	files := household(b)
	for b.Loop() {
		parse(b, files)
	}
}
