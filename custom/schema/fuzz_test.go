package schema

import (
	"testing"

	"muniment.dev/event"
)

// FuzzParse: no document makes Parse panic or take long, and what it takes
// differs from itself in nothing.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"x-entity-type":"a","type":"object"}`), []byte(`{"x-event":"a-b","x-entity":"a","type":"object","properties":{"c":{"type":"string","x-public":true}},"examples":[{"c":"d"}]}`))
	f.Add([]byte(`{"$id":"https://a.example/b","$defs":{"c":{"$ref":"#/$defs/d"},"d":{"$anchor":"e","pattern":"^x"}}}`), []byte(`{"$defs":{"a":{"allOf":[{"$ref":"https://a.example/b#e"}]}},"x-event":"a-b"}`))
	f.Add([]byte(`{"x-entity-type":"a","type":"object","properties":{"a":{"$ref":"#/$defs/b","x-unique":"/c"},"c":{"type":"integer","x-public":true}},"$defs":{"b":{"type":"string"}}}`),
		[]byte(`{"x-event":"a-b","x-entity":"a","x-sentence":"{actor} {c}","type":"object","properties":{"c":{"oneOf":[true,{"if":{},"then":false}],"patternProperties":{"^a":{"contains":{},"minContains":2}}}}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		set, err := Parse(map[string][]byte{"a.json": a, "b.json": b}, Options{Reserved: []string{"user"}})
		if err != nil {
			return
		}
		again, err := Parse(map[string][]byte{"a.json": a, "b.json": b}, Options{Reserved: []string{"user"}})
		if err != nil {
			t.Fatal("taken once:", err)
		}
		if p := Compare(set, again, nil); len(p.Changes) > 0 {
			t.Fatal(p.Text())
		}
	})
}

// properties makes a definition of a schema of one field; nil if it is refused.
func properties(field string) *Definition {
	set, err := Parse(map[string][]byte{
		"a.json": []byte(`{"x-entity-type":"a","type":"object"}`),
		"b.json": []byte(`{"x-event":"a-b","x-entity":"a","type":"object","$defs":{"d":{"type":["string","null"],"maxLength":3}},"properties":{"f":` + field + `}}`),
	}, Options{})
	if err != nil {
		return nil
	}
	return set.Definition("a-b", 1)
}

var fieldSeeds = []string{
	`{"type":"string","minLength":1,"maxLength":3,"pattern":"^a"}`, `{"type":"integer","minimum":-1,"maximum":3}`, `{"type":["null","boolean"]}`,
	`{"enum":["a","b"]}`, `{"enum":["a",1,null]}`, `{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2}`, `{"$ref":"#/$defs/d","minLength":1}`,
	`{"type":"object","properties":{"a":{"type":"string"},"b":{"not":{}}},"required":["a"],"additionalProperties":{"type":"number"}}`, `{"format":"date"}`,
	`{"properties":{"a":true},"additionalProperties":false}`, `{"type":"number","minimum":0.5}`, `{"type":"string","enum":["a"],"maxLength":0}`, `{"additionalProperties":false,"patternProperties":{"^a":{}}}`,
	`{"contains":{"type":"integer"},"minContains":2}`, `{"anyOf":[{"type":"string"},{"type":"array","prefixItems":[{"const":1}],"items":false}]}`, `{}`,
}

var valueSeeds = []string{`"a"`, `"abcd"`, `1`, `-2`, `0.5`, `1.0`, `null`, `true`, `[]`, `[1]`, `["a"]`, `[1,2,3]`, `{}`, `{"a":"x"}`, `{"a":"x","c":1}`, `{"a":"x","c":"y"}`, `"2026-01-02"`, `{"b":1}`, `"é"`}

// FuzzQuick: the quick check says good of nothing that the library refuses.
func FuzzQuick(f *testing.F) {
	for _, s := range fieldSeeds {
		for _, v := range valueSeeds {
			f.Add(s, v)
		}
	}
	f.Fuzz(func(t *testing.T, field, raw string) {
		v, err := event.ParseJSON([]byte(raw))
		def := properties(field)
		if err != nil || def == nil {
			return
		}
		value := map[string]any{"f": v}
		if err := def.check.judge.Validate(value); def.check.quick.good(value) && err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzCompatible: a value that an older revision takes is taken by each newer
// one that is compatible.
func FuzzCompatible(f *testing.F) {
	for _, s := range fieldSeeds {
		for _, u := range fieldSeeds {
			f.Add(s, u, valueSeeds[len(s+u)%len(valueSeeds)])
		}
	}
	f.Fuzz(func(t *testing.T, older, newer, raw string) {
		v, err := event.ParseJSON([]byte(raw))
		o, n := properties(older), properties(newer)
		if err != nil || o == nil || n == nil || len(Compatible(n, o)) > 0 {
			return
		}
		value := map[string]any{"f": v}
		if o.Validate(value) == nil {
			if err := n.Validate(value); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The quick check knows what most events are made of, so that they take the
// quick way.
func TestQuickKnows(t *testing.T) {
	for field, raw := range map[string]string{
		`{"type":"string","minLength":1,"maxLength":3,"pattern":"^a"}`: `"abc"`, `{"type":"integer","minimum":-1}`: `0`, `{"type":["null","boolean"]}`: `null`,
		`{"enum":["a","b"]}`: `"b"`, `{"type":"array","items":{"type":"integer"},"minItems":1}`: `[1]`, `{"$ref":"#/$defs/d"}`: `"x"`, `{"format":"date"}`: `"2026-01-02"`,
		`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}`: `{"a":"b"}`, `{}`: `[{"x":1}]`,
		`{"type":"number","minimum":0.5,"exclusiveMaximum":9}`: `8.99`, `{"type":"array","items":{"format":"uuid"},"uniqueItems":true}`: `["01234567-89ab-cdef-0123-456789abcdef"]`,
		`{"allOf":[{"type":"string"},{"maxLength":1}]}`: `"a"`, `{"anyOf":[{"const":1},{"type":"string"}]}`: `"a"`, `{"enum":[1,2]}`: `2`, `{"type":"integer","maximum":2.5}`: `2`,
	} {
		v, err := event.ParseJSON([]byte(raw))
		if def := properties(field); err != nil || def == nil || !def.check.quick.good(map[string]any{"f": v}) {
			t.Errorf("%s: %s is left to the library", field, raw)
		}
	}
}

// Compatible is sure where it says so, and careful where it is not.
func TestCompatible(t *testing.T) {
	for _, c := range []struct {
		older, newer string
		good         bool
	}{
		{`{"type":"string","maxLength":3}`, `{"type":"string","maxLength":4}`, true},
		{`{"type":"string","maxLength":3}`, `{"type":"string","maxLength":2}`, false},
		{`{"type":"string"}`, `{"type":["string","null"]}`, true},
		{`{"type":["string","null"]}`, `{"type":"string"}`, false},
		{`{"type":"integer"}`, `{"type":"number"}`, true},
		{`{"type":"number"}`, `{"type":"integer"}`, false},
		{`{"enum":["a"]}`, `{"enum":["b","a"]}`, true},
		{`{"enum":["a","c"]}`, `{"enum":["b","a"]}`, false},
		{`{"const":"a"}`, `{"enum":["b","a"]}`, true},
		{`{"type":"integer","minimum":3}`, `{"type":"integer","minimum":2.5}`, true},
		{`{"type":"integer"}`, `{"type":"integer","minimum":2}`, false},
		{`{"format":"date"}`, `{}`, true},
		{`{}`, `{"format":"date"}`, false},
		{`{"pattern":"a"}`, `{"pattern":"b"}`, false},
		{`{"properties":{"a":{"maxLength":1}},"additionalProperties":false}`, `{"properties":{"a":{"maxLength":2},"b":{"type":"string"}}}`, true},
		{`{"properties":{"a":{}}}`, `{"properties":{"a":{},"b":{"type":"string"}}}`, false},
		{`{"properties":{"a":{}}}`, `{"properties":{"a":{}},"required":["a"]}`, false},
		{`{"properties":{"a":{}},"additionalProperties":false}`, `{"properties":{"b":{}},"additionalProperties":false}`, false},
		{`{"properties":{"a":{"type":"integer"}},"additionalProperties":false}`, `{"additionalProperties":{"type":"number"}}`, true},
		{`{"items":{"maxLength":1},"uniqueItems":true}`, `{"items":{"maxLength":2}}`, true},
		{`{}`, `{"items":{"maxLength":2}}`, false},
		{`{}`, `{"uniqueItems":true}`, false},
		{`{"allOf":[{"maxLength":2}]}`, `{"allOf":[{"maxLength":2}],"title":"x"}`, true},
		{`{"allOf":[{"maxLength":2}]}`, `{"allOf":[{"maxLength":1}]}`, false},
		{`{"if":{"type":"string"},"then":{"maxLength":1}}`, `{"if":{"type":"integer"},"then":{"maxLength":1}}`, false},
		{`{"contains":{},"minContains":0}`, `{"contains":{}}`, false},
		{`{"unevaluatedProperties":false}`, `{"unevaluatedProperties":false,"minProperties":0}`, false},
		{`{"prefixItems":[{}],"items":{"maxLength":1}}`, `{"prefixItems":[{}],"items":{"maxLength":2}}`, true},
		{`{"prefixItems":[{}],"items":{"maxLength":1}}`, `{"prefixItems":[true],"items":{"maxLength":1}}`, false},
		{`{"patternProperties":{"a":{}},"additionalProperties":false}`, `{"patternProperties":{"b":{}},"additionalProperties":false}`, false},
	} {
		o, n := properties(c.older), properties(c.newer)
		if o == nil || n == nil {
			t.Fatal("refused: ", c.older, c.newer)
		}
		if reasons := Compatible(n, o); (len(reasons) == 0) != c.good {
			t.Errorf("%s, then %s: %q", c.older, c.newer, reasons)
		}
	}
}
