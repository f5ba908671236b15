package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Where schemas stand within a schema (JSON Schema Core 2020-12 §10.2, §10.3,
// §11, §8.2.4), and the other keywords that a document may have.
var (
	inOne  = []string{"not", "if", "then", "else", "additionalProperties", "propertyNames", "items", "contains", "unevaluatedItems", "unevaluatedProperties", "contentSchema"}
	inList = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	inMap  = []string{"$defs", "properties", "patternProperties", "dependentSchemas"}

	// annotations say nothing of what is accepted.
	annotations = []string{"$schema", "$id", "$anchor", "$comment", "$defs", "title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples", "contentEncoding", "contentMediaType", "contentSchema"}
	assertions  = []string{"$ref", "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
		"maxLength", "minLength", "pattern", "format", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains",
		"maxProperties", "minProperties", "required", "dependentRequired"}

	keywords = slices.Concat(inOne, inList, inMap, annotations, assertions)

	// dynamic keywords make what a schema means depend on where it is used.
	dynamic = []string{"$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary"}

	formats = []string{"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "json-pointer", "time", "uri", "uri-reference", "uuid"}
)

// draft is the one dialect (JSON Schema Core 2020-12 §8.1.1).
const draft = "https://json-schema.org/draft/2020-12/schema"

// A document is one file while it is being read.
type document struct {
	file     string
	url      string // by which others point to it
	root     map[string]any
	order    []string
	anchors  map[string]string // pointer by name
	set      *reading
	schema   *jsonschema.Schema // nil if it has mistakes
	problems *Problems
}

func (d *document) add(pointer, format string, args ...any) {
	d.problems.add(d.file, pointer, format, args...)
}

// walk checks a schema and those within it. Annotations of ours stand at the
// root and at its properties only.
func (d *document) walk(v any, pointer string, ours []string, depth int) {
	s, ok := v.(map[string]any)
	if !ok {
		if _, ok := v.(bool); !ok {
			d.add(pointer, "must be a schema: an object, or true or false")
		}
		return
	}
	if depth > MaxNesting {
		d.add(pointer, "is nested more than %d schemas deep: flatten it, or make an entity of it and point to that", MaxNesting)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		d.keyword(s, name, pointer, ours)
	}
	for _, name := range inOne {
		if sub, ok := s[name]; ok {
			d.walk(sub, at(pointer, name), nil, depth+1)
		}
	}
	for _, name := range inList {
		list, _ := s[name].([]any)
		for i, sub := range list {
			d.walk(sub, at(pointer, name, strconv.Itoa(i)), nil, depth+1)
		}
	}
	for _, name := range inMap {
		object, _ := s[name].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(object)) {
			var ofProperty []string
			if pointer == "" && name == "properties" {
				ofProperty = d.set.propertyAnnotations(d)
			}
			d.walk(object[key], at(pointer, name, key), ofProperty, depth+1)
		}
	}
}

// keyword checks one keyword of a schema as far as the meta-schema, which is
// asked afterwards, does not.
func (d *document) keyword(s map[string]any, name, pointer string, ours []string) {
	here := at(pointer, name)
	switch {
	case slices.Contains(dynamic, name):
		d.add(here, "is not taken: write the schema out, or point to it with $ref")
	case strings.HasPrefix(name, "x-"):
		d.annotation(name, here, ours)
	case !slices.Contains(keywords, name):
		d.add(here, "is no keyword of JSON Schema 2020-12%s", didYouMean(name, keywords))
	case name == "$schema" && s[name] != draft:
		d.add(here, "must be %q: other drafts are not taken", draft)
	case (name == "$schema" || name == "$id") && pointer != "":
		d.add(here, "stands at the root only")
	default:
		d.limits(s[name], name, here)
	}
}

func (d *document) annotation(name, here string, ours []string) {
	switch {
	case slices.Contains(ours, name):
	case slices.Contains(slices.Concat(rootEntity, rootEvent, ofEntity, ofEvent), name):
		d.add(here, "cannot stand here%s", d.set.whereItStands(d, name))
	default:
		d.add(here, "is no annotation that Muniment knows%s", didYouMean(name, slices.Concat(rootEntity, rootEvent, ofEntity, ofEvent)))
	}
}

func (d *document) limits(v any, name, here string) {
	switch v := v.(type) {
	case string:
		d.text(v, name, here)
	case []any:
		switch limit := map[string]int{"enum": MaxEnum, "allOf": MaxAlternative, "anyOf": MaxAlternative, "oneOf": MaxAlternative, "prefixItems": MaxAlternative, "examples": MaxExamples}[name]; {
		case limit > 0 && len(v) > limit:
			d.add(here, "has %d items; the limit is %d", len(v), limit)
		case name == "enum" && len(v) == 0:
			d.add(here, "has no values: nothing would be accepted")
		}
	case map[string]any:
		if name == "properties" && len(v) > MaxProperties {
			d.add(here, "has %d properties; the limit is %d: split what happened into several events, or group what belongs together", len(v), MaxProperties)
		}
		if name == "patternProperties" {
			if len(v) > MaxAlternative {
				d.add(here, "has %d patterns; the limit is %d", len(v), MaxAlternative)
			}
			for _, p := range slices.Sorted(maps.Keys(v)) {
				d.pattern(p, at(here, p))
			}
		}
	}
}

func (d *document) text(v, name, here string) {
	limit := map[string]int{"title": MaxTitle, "description": MaxDescription, "$comment": MaxDescription}[name]
	switch {
	case limit > 0 && utf8.RuneCountInString(v) > limit:
		d.add(here, "has %d characters; the limit is %d", utf8.RuneCountInString(v), limit)
	case name == "format" && !slices.Contains(formats, v):
		d.add(here, "%q is no format that is checked%s; there are %s", v, didYouMean(v, formats), strings.Join(formats, ", "))
	case name == "pattern":
		d.pattern(v, here)
	}
}

// pattern takes what RE2 takes, which no input can make slow.
func (d *document) pattern(p, here string) {
	re, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		d.add(here, "is a pattern that RE2 does not take (%s): look-around, back-references and \\u escapes are not there", cause(err))
		return
	}
	if prog, err := syntax.Compile(re.Simplify()); err != nil || len(prog.Inst) > MaxPattern {
		d.add(here, "is a pattern of more than %d steps: make repetitions smaller, and use maxLength for lengths", MaxPattern)
		return
	}
	if _, err := regexp.Compile(p); err != nil {
		d.add(here, "is no pattern: %s", cause(err))
	}
}

// cause is what a pattern's error says, without the pattern.
func cause(err error) string {
	if e, ok := err.(*syntax.Error); ok {
		return e.Code.String()
	}
	return "it is malformed"
}

// anchorsOf collects what $ref can name in a document.
func (d *document) anchorsOf(v any, pointer string) {
	d.eachSub(v, pointer, func(sub any, p string) { d.anchorsOf(sub, p) })
	s, _ := v.(map[string]any)
	name, ok := s["$anchor"].(string)
	if !ok {
		return
	}
	if other, ok := d.anchors[name]; ok && other != pointer {
		d.add(at(pointer, "$anchor"), "names an anchor that %s has already", other)
		return
	}
	d.anchors[name] = pointer
}

// eachSub calls f for the schemas directly within one.
func (d *document) eachSub(v any, pointer string, f func(sub any, pointer string)) {
	s, ok := v.(map[string]any)
	if !ok {
		return
	}
	for _, name := range inOne {
		if sub, ok := s[name]; ok {
			f(sub, at(pointer, name))
		}
	}
	for _, name := range inList {
		list, _ := s[name].([]any)
		for i, sub := range list {
			f(sub, at(pointer, name, strconv.Itoa(i)))
		}
	}
	for _, name := range inMap {
		object, _ := s[name].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(object)) {
			f(object[key], at(pointer, name, key))
		}
	}
}

// didYouMean suggests the nearest of the known words, if one is near.
func didYouMean(word string, known []string) string {
	best, distance := "", min(3, 1+len(word)/2)
	for _, k := range known {
		if n := editDistance(word, k); n < distance {
			best, distance = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is Levenshtein's, for short words.
func editDistance(a, b string) int {
	if len(a) > MaxName || len(b) > MaxName {
		return MaxName
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// canonical is a value as JSON with sorted names.
func canonical(v any) string {
	raw, err := json.Marshal(v)
	if err != nil { // what decode made can be written
		return fmt.Sprint(v)
	}
	return string(raw)
}
