package schema

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

// gen makes random schemas and values of few words, so that they meet often.
type gen struct{ *rand.Rand }

func pick[T any](g gen, of ...T) T { return of[g.IntN(len(of))] }

func (g gen) schema(depth int) any {
	if g.IntN(12) == 0 {
		return g.IntN(3) > 0
	}
	s := map[string]any{}
	for range 1 + g.IntN(3) {
		g.keyword(s, depth)
	}
	return s
}

// keyword adds or replaces one keyword.
func (g gen) keyword(s map[string]any, depth int) {
	switch name := pick(g, "type", "type", "enum", "const", "minimum", "maximum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems",
		"required", "minProperties", "format", "multipleOf", "properties", "properties", "additionalProperties", "patternProperties", "items", "prefixItems", "contains",
		"minContains", "anyOf", "allOf", "exclusiveMinimum", "not", "if", "then", "else", "unevaluatedProperties", "dependentRequired"); name {
	case "type":
		s[name] = pick[any](g, "string", "integer", "number", "object", "array", "null", []any{"string", "integer"}, []any{"object", "null"}, []any{"array", "boolean"})
	case "enum":
		s[name] = pick[any](g, []any{"a", 1}, []any{"a", "b", 1, nil}, []any{"a"}, []any{1, 2.5})
	case "const":
		s[name] = pick[any](g, "a", 1, nil)
	case "minimum", "maximum", "exclusiveMaximum", "exclusiveMinimum":
		s[name] = pick[any](g, 0, 1, 2, 1.5)
	case "multipleOf":
		s[name] = pick[any](g, 1, 0.5)
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "minContains":
		s[name] = g.IntN(3)
	case "pattern":
		s[name] = pick(g, "a", "^b", "^")
	case "uniqueItems":
		s[name] = g.IntN(2) == 0
	case "required":
		s[name] = pick(g, []any{"a"}, []any{"a", "b"}, []any{"b"})
	case "format":
		s[name] = pick(g, "date", "email")
	case "dependentRequired":
		s[name] = map[string]any{"a": []any{"b"}}
	case "properties", "patternProperties":
		m := map[string]any{}
		for range 1 + g.IntN(2) {
			m[pick(g, "a", "b", "c")] = g.sub(depth)
		}
		s[name] = m
	case "prefixItems", "anyOf", "allOf":
		s[name] = []any{g.sub(depth), g.sub(depth)}
	default:
		s[name] = g.sub(depth)
	}
}

func (g gen) sub(depth int) any {
	if depth == 0 {
		return pick[any](g, true, false, map[string]any{"type": "string"}, map[string]any{"maxLength": 1}, map[string]any{"type": "integer"})
	}
	return g.schema(depth - 1)
}

// changed is a schema that differs a little.
func (g gen) changed(v any, depth int) any {
	s, ok := v.(map[string]any)
	if !ok {
		return g.schema(depth)
	}
	out := map[string]any{}
	for name, v := range s {
		switch {
		case g.IntN(6) == 0: // left out
		case name == "properties" && g.IntN(2) == 0:
			m := map[string]any{}
			for key, sub := range v.(map[string]any) {
				m[key] = g.changed(sub, 0)
			}
			out[name] = m
		case name == "items" || name == "additionalProperties":
			out[name] = g.changed(v, 0)
		default:
			out[name] = v
		}
	}
	if g.IntN(3) == 0 {
		g.keyword(out, depth)
	}
	return out
}

func (g gen) value(depth int) any {
	n := 8
	if depth == 0 {
		n = 6
	}
	switch g.IntN(n) {
	case 0, 1:
		return pick(g, "", "a", "b", "ab", "bbb", "2026-01-02")
	case 2, 3:
		return pick[any](g, int64(0), int64(1), int64(2), json.Number("0.5"), json.Number("2.5"))
	case 4:
		return pick[any](g, nil, true)
	case 5:
		return map[string]any{}
	case 6:
		list := []any{}
		for range g.IntN(4) {
			list = append(list, g.value(depth-1))
		}
		return list
	}
	m := map[string]any{}
	for range g.IntN(4) {
		m[pick(g, "a", "b", "c", "d")] = g.value(depth - 1)
	}
	return m
}

// For random pairs of schemas and values: what the quick check takes, the
// library takes; and what an older schema takes, each newer one takes that is
// called compatible.
func TestRandomSchemas(t *testing.T) {
	g := gen{rand.New(rand.NewPCG(1, 2))}
	pairs, quickly, carried := 0, 0, 0
	for range 600 {
		older := g.schema(2)
		newer := g.changed(older, 2)
		o, n := properties(canonical(older)), properties(canonical(newer))
		if o == nil || n == nil {
			continue
		}
		compatible := len(Compatible(n, o)) == 0
		if compatible && o.accepts != n.accepts {
			pairs++
		}
		for range 60 {
			value := map[string]any{"f": g.value(2)}
			before, now := o.check.judge.Validate(value), n.check.judge.Validate(value)
			if o.check.quick.good(value) {
				quickly++
				if before != nil {
					t.Fatalf("%s takes %v quickly: %v", canonical(older), value, before)
				}
			}
			if compatible && before == nil && o.accepts != n.accepts {
				carried++
				if now != nil {
					t.Fatalf("%s, then %s: %v: %v", canonical(older), canonical(newer), value, now)
				}
			}
		}
	}
	if pairs < 50 || quickly < 500 || carried < 500 {
		t.Fatal("too little was tried: ", fmt.Sprint(pairs, " pairs, ", quickly, " values quickly, ", carried, " carried over"))
	}
}
