package schema

import (
	"maps"
	"regexp/syntax"
	"slices"
)

// inPlace are the keywords whose schemas look at the same part of a value as
// the schema that they stand in; all others look at its items or properties.
var inPlace = []string{"not", "if", "then", "else", "allOf", "anyOf", "oneOf", "dependentSchemas"}

// places checks that no part of a value is looked at by too many schemas. It is
// called for documents whose references are known to end.
func (d *document) places() {
	if d.kind() == "" {
		return // counted where it is pointed to
	}
	if n := work([]seen{{d, d.root}}); n > MaxPlace {
		d.add("", "may look at one place of a value with %d schemas or steps of patterns; the limit is %d: use fewer alternatives, shorter lists of numbers, and simpler patterns", n, MaxPlace)
	}
}

// seen is a schema with the document that it stands in.
type seen struct {
	doc *document
	v   any
}

// work is the most that schemas which look at one place cost there, or at any
// place below. Those that look at all properties or items are added to each.
func work(schemas []seen) int {
	here := 0
	named := map[string][]seen{}
	var all []seen
	for len(schemas) > 0 {
		next := schemas[0]
		schemas = schemas[1:]
		s, ok := next.v.(map[string]any)
		if !ok {
			here++
			continue
		}
		here += weight(s)
		if here > MaxPlace {
			return here
		}
		if ref, ok := s["$ref"].(string); ok {
			if to, pointer, wrong := next.doc.target(ref); wrong == "" {
				schemas = append(schemas, seen{to, to.lookup(pointer)})
			}
		}
		for _, name := range slices.Concat(inOne, inList, inMap) {
			subs := next.subs(name, s[name])
			switch {
			case name == "$defs" || name == "contentSchema":
			case slices.Contains(inPlace, name):
				schemas = append(schemas, slices.Collect(maps.Values(subs))...)
			case name == "properties":
				for key, sub := range subs {
					named[key] = append(named[key], sub)
				}
			default:
				all = append(all, slices.Collect(maps.Values(subs))...)
			}
		}
	}
	below := 0
	if len(all) > 0 {
		below = work(all)
	}
	most := below
	for _, of := range named {
		most = max(most, below+work(of))
	}
	return max(here, most)
}

// subs are the schemas of a keyword, which may be one, a list, or a map of them.
func (s seen) subs(keyword string, v any) map[string]seen {
	out := map[string]seen{}
	object, isMap := v.(map[string]any)
	list, _ := v.([]any)
	switch {
	case v == nil:
	case slices.Contains(inOne, keyword):
		out[""] = seen{s.doc, v}
	case isMap:
		for key, sub := range object {
			out[key] = seen{s.doc, sub}
		}
	default:
		for i, sub := range list {
			out[itoa(i)] = seen{s.doc, sub}
		}
	}
	return out
}

// weight is what a schema costs by itself, in schemas without any keyword.
func weight(s map[string]any) int {
	n := 1
	if enum, ok := s["enum"].([]any); ok {
		n += len(enum) / 4 // numbers are compared one by one
	}
	if s["multipleOf"] != nil || s["uniqueItems"] == true {
		n += 5
	}
	if p, ok := s["pattern"].(string); ok {
		n += steps(p)
	}
	patterns, _ := s["patternProperties"].(map[string]any)
	for p := range patterns {
		n += steps(p)
	}
	return n
}

// steps is what a pattern costs for each letter.
func steps(p string) int {
	re, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		return 0
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0
	}
	return len(prog.Inst) / 5
}
