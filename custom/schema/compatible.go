package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
)

// Compatible says why not every value that the older revision takes is one
// that the newer takes; nothing if every one is. It is careful: of what it
// cannot compare it says that it differs.
func Compatible(newer, older *Definition) []string {
	c := comparison{}
	c.compare(newer.expanded, older.expanded, "")
	return c.reasons
}

type comparison struct{ reasons []string }

func (c *comparison) no(pointer, format string, args ...any) {
	if pointer == "" {
		pointer = "the event"
	}
	c.reasons = append(c.reasons, pointer+" "+fmt.Sprintf(format, args...))
}

// compare checks that what older takes, newer takes. Keywords limit each by
// itself, so that one that stands in both, or in older only, needs no look;
// those that depend on others are compared together.
func (c *comparison) compare(newer, older any, pointer string) {
	if canonical(newer) == canonical(older) || older == false || newer == true {
		return
	}
	n, ok := newer.(map[string]any)
	if !ok {
		c.no(pointer, "takes nothing any more")
		return
	}
	o, _ := older.(map[string]any) // the schema true takes what {} does
	for _, name := range slices.Sorted(maps.Keys(n)) {
		if v, ok := o[name]; ok && canonical(v) == canonical(n[name]) && !slices.Contains(together, name) {
			continue
		}
		c.keyword(n, o, name, pointer)
	}
}

// together are the keywords whose meaning depends on others beside them.
var together = []string{"properties", "patternProperties", "additionalProperties", "items", "prefixItems", "contains", "minContains", "maxContains",
	"if", "then", "else", "unevaluatedItems", "unevaluatedProperties"}

func (c *comparison) keyword(n, o map[string]any, name, pointer string) {
	switch name {
	case "type":
		c.types(n, o, pointer)
	case "enum", "const":
		c.values(n, o, name, pointer)
	case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
		c.bound(n[name], o[name], name, pointer, -1)
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		c.bound(n[name], o[name], name, pointer, 1)
	case "required":
		before, _ := o[name].([]any)
		for _, field := range n[name].([]any) {
			if !slices.Contains(before, field) {
				c.no(at(pointer, fmt.Sprint(field)), "is required now, and was not before")
			}
		}
	case "properties", "additionalProperties", "patternProperties":
		c.properties(n, o, name, pointer)
	case "items", "prefixItems":
		c.items(n, o, name, pointer)
	case "uniqueItems":
		if n[name] != false {
			c.no(pointer, "must hold no equal items now")
		}
	case "contains", "minContains", "maxContains":
		c.same(n, o, name, pointer, "contains", "minContains", "maxContains")
	case "if", "then", "else":
		c.same(n, o, name, pointer, "if", "then", "else")
	case "unevaluatedItems", "unevaluatedProperties":
		c.no(pointer, "has other rules beside %s than before", name)
	default:
		c.no(pointer, "has another %s than before", name)
	}
}

// same wants a few keywords to be as they were.
func (c *comparison) same(n, o map[string]any, name, pointer string, names ...string) {
	for _, other := range names {
		if canonical(n[other]) != canonical(o[other]) {
			c.no(pointer, "has another %s than before", name)
			return
		}
	}
}

func (c *comparison) types(n, o map[string]any, pointer string) {
	now := typesOf(n["type"])
	if o["type"] == nil {
		c.no(pointer, "must be %v now, and could be anything before", n["type"])
		return
	}
	if typesOf(o["type"])&^now != 0 {
		c.no(pointer, "is of another type than before")
	}
}

func typesOf(v any) types {
	var t types
	switch v := v.(type) {
	case string:
		t = typeNames[v]
	case []any:
		for _, name := range v {
			text, _ := name.(string)
			t |= typeNames[text]
		}
	}
	return t
}

// values checks that each value that older names is one that newer does.
func (c *comparison) values(n, o map[string]any, name, pointer string) {
	named := func(s map[string]any) ([]any, bool) {
		if v, ok := s["const"]; ok {
			return []any{v}, true
		}
		list, ok := s["enum"].([]any)
		return list, ok
	}
	before, ok := named(o)
	if !ok {
		c.no(pointer, "must be one of a few values now, and could be others before")
		return
	}
	now := n["enum"]
	if name == "const" {
		now = []any{n["const"]}
	}
	list, _ := now.([]any)
	for _, v := range before {
		if !slices.ContainsFunc(list, func(w any) bool { return canonical(v) == canonical(w) }) {
			c.no(pointer, "could be a value before that it cannot be now")
			return
		}
	}
}

// bound checks that a limit is no tighter than it was. Sign is 1 for upper
// limits.
func (c *comparison) bound(now, before any, name, pointer string, sign int) {
	n, o := rational(now), rational(before)
	if o == nil || n == nil || n.Cmp(o)*sign < 0 {
		c.no(pointer, "has a tighter %s than before", name)
	}
}

func rational(v any) *big.Rat {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v)
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return r
		}
	}
	return nil
}

// properties compares what may be in an object.
func (c *comparison) properties(n, o map[string]any, name, pointer string) {
	if canonical(n["patternProperties"]) != canonical(o["patternProperties"]) {
		c.no(pointer, "has other patternProperties than before")
		return
	}
	now, _ := n["properties"].(map[string]any)
	before, _ := o["properties"].(map[string]any)
	if name == "properties" {
		for _, field := range slices.Sorted(maps.Keys(now)) {
			was, ok := before[field]
			if !ok {
				was = others(o)
			}
			c.compare(now[field], was, at(pointer, field))
		}
		return
	}
	if name != "additionalProperties" {
		return // the same in both
	}
	for _, field := range slices.Sorted(maps.Keys(before)) {
		if _, ok := now[field]; ok || before[field] == false {
			continue
		}
		if n[name] == false {
			c.no(at(pointer, field), "is gone")
			continue
		}
		c.compare(n[name], before[field], at(pointer, field))
	}
	c.compare(n[name], others(o), at(pointer, "*"))
}

// others is what an object's unnamed properties must be. With patterns beside
// it that is more than enough.
func others(o map[string]any) any {
	if v, ok := o["additionalProperties"]; ok && o["patternProperties"] == nil {
		return v
	}
	return true
}

// items compares what may be in a list.
func (c *comparison) items(n, o map[string]any, name, pointer string) {
	if canonical(n["prefixItems"]) != canonical(o["prefixItems"]) {
		c.no(pointer, "has other prefixItems than before")
		return
	}
	if name == "prefixItems" {
		return
	}
	var before any = true
	if v, ok := o["items"]; ok {
		before = v
	}
	c.compare(n["items"], before, at(pointer, "*"))
}
