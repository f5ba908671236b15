package schema

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Violation is one rule of a schema that a value breaks. It holds nothing of
// the value: sealed fields must not reach logs and answers by way of mistakes.
type Violation struct {
	Pointer string // RFC 6901, of the place in the value
	Rule    string // the keyword: "required", "maxLength"
	Msg     string // what is wrong
}

// Violations are all rules that a value breaks.
type Violations []Violation

// Error gives them in one line.
func (v Violations) Error() string {
	parts := make([]string, len(v))
	for i := range v {
		parts[i] = cmp.Or(v[i].Pointer, "the value") + " " + v[i].Msg
	}
	return strings.Join(parts, "; ")
}

// maxViolations is how many violations are told at once.
const maxViolations = 20

// Validate checks what an event says, as event.ParseJSON gives it. Its error
// is a fault whose cause is all Violations.
func (d *Definition) Validate(value map[string]any) error { return d.check.validate(value) }

// Validate checks the state of an entity; see Definition.Validate.
func (e *Entity) Validate(state map[string]any) error { return e.check.validate(state) }

// checker is a compiled document. quick takes most of what is good without
// asking the library, which takes ten times as long.
type checker struct {
	judge  *jsonschema.Schema // knows every keyword
	quick  *quick
	sealed map[string]bool // fields
	names  map[string]bool // all properties that the schema names, at any depth
}

func newChecker(d *document, fields []Field) *checker {
	c := &checker{judge: d.schema, quick: newQuick(d.schema), sealed: map[string]bool{}, names: map[string]bool{}}
	for i := range fields {
		c.sealed[fields[i].Name] = !fields[i].Public
	}
	collectNames(d.expand(d.root), c.names)
	return c
}

// collectNames gathers the names that a schema has anyway, so that they may be
// told; those of a value could be anybody's.
func collectNames(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if properties, ok := v["properties"].(map[string]any); ok {
			for name := range properties {
				into[name] = true
			}
		}
		for _, sub := range v {
			collectNames(sub, into)
		}
	case []any:
		for _, sub := range v {
			collectNames(sub, into)
		}
	}
}

func (c *checker) validate(value map[string]any) error {
	if c.quick.good(value) {
		return nil
	}
	err := c.judge.Validate(value)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return fault.Wrap("validate", err)
	}
	var all Violations
	eachLeaf(invalid, func(leaf *jsonschema.ValidationError) { all = append(all, c.violations(leaf)...) })
	slices.SortFunc(all, func(a, b Violation) int {
		return cmp.Or(strings.Compare(a.Pointer, b.Pointer), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Msg, b.Msg))
	})
	if all = slices.Compact(all); len(all) > maxViolations {
		all = append(all[:maxViolations:maxViolations], Violation{"", "", fmt.Sprintf("breaks %d rules more", len(all)-maxViolations)})
	}
	return &fault.Error{Kind: fault.Invalid, Field: all[0].Pointer, Msg: all.Error(), Err: all}
}

// violations says what a leaf of the library's error is about. Missing and
// unknown properties are named at their own places.
func (c *checker) violations(leaf *jsonschema.ValidationError) []Violation {
	place := leaf.InstanceLocation
	switch k := leaf.ErrorKind.(type) {
	case *kind.Required:
		return c.each(place, "required", "is missing", k.Missing)
	case *kind.AdditionalProperties:
		return c.each(place, "additionalProperties", "is not known here", k.Properties)
	case *kind.DependentRequired:
		return c.each(place, "dependentRequired", fmt.Sprintf("is missing beside %s", k.Prop), k.Missing)
	case *kind.PropertyNames:
		// The library keeps this place in memory that it uses again: it cannot be told.
		_, rule, _ := strings.Cut(leaf.SchemaURL, "#")
		return []Violation{{"", "propertyNames", "has a name that " + rule + " does not take"}}
	}
	rule, msg := explain(leaf.ErrorKind)
	return []Violation{{c.pointer(place), rule, msg}}
}

func (c *checker) each(place []string, rule, msg string, names []string) []Violation {
	out := make([]Violation, len(names))
	for i, name := range names {
		out[i] = Violation{c.pointer(append(slices.Clip(place), name)), rule, msg}
	}
	return out
}

// pointer names a place. Within sealed fields, names that are not the schema's
// own are left out: they are part of the value.
func (c *checker) pointer(place []string) string {
	pointer := ""
	for i, token := range place {
		n, err := strconv.Atoi(token)
		index := err == nil && n < 10_000 && strconv.Itoa(n) == token
		switch {
		case i == 0 && len(token) > MaxName:
			token = token[:0] + "*"
		case i > 0 && c.sealed[place[0]] && !c.names[token] && !index:
			token = "*"
		}
		pointer += "/" + event.EscapePointer(token)
	}
	return pointer
}

// explain says which rule was broken, in words that hold nothing of the value.
func explain(k jsonschema.ErrorKind) (rule, msg string) {
	rule = "schema"
	if path := k.KeywordPath(); len(path) > 0 {
		rule = path[0]
	}
	switch k := k.(type) {
	case *kind.Type:
		return rule, "must be " + strings.Join(k.Want, " or ") + ", not " + k.Got
	case *kind.Enum:
		return rule, "must be one of " + someValues(k.Want)
	case *kind.Const:
		return rule, "must be " + string(event.FormatJSON(k.Want))
	case *kind.Format:
		return rule, "must be of the format " + k.Want
	case *kind.Pattern:
		return rule, "must match " + strconv.Quote(k.Want)
	case *kind.MinLength:
		return rule, "must have " + least(k.Want, "character")
	case *kind.MaxLength:
		return rule, "must have " + most(k.Want, "character")
	case *kind.MinItems:
		return rule, "must have " + least(k.Want, "item")
	case *kind.MaxItems:
		return rule, "must have " + most(k.Want, "item")
	case *kind.MinProperties:
		return rule, "must have " + least(k.Want, "property")
	case *kind.MaxProperties:
		return rule, "must have " + most(k.Want, "property")
	case *kind.Minimum:
		return rule, "must be at least " + decimal(k.Want)
	case *kind.Maximum:
		return rule, "must be at most " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return rule, "must be more than " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return rule, "must be less than " + decimal(k.Want)
	case *kind.MultipleOf:
		return rule, "must be a multiple of " + decimal(k.Want)
	case *kind.UniqueItems:
		return rule, fmt.Sprintf("has equal items, %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.FalseSchema:
		return "false", "must not be there"
	case *kind.Not:
		return "not", "is what it must not be"
	case *kind.OneOf:
		return "oneOf", "must fit just one of the alternatives"
	case *kind.Contains, *kind.MinContains:
		return rule, "lacks an item that must be there"
	case *kind.MaxContains:
		return rule, "has too many of an item"
	}
	return rule, "does not keep the rule " + rule
}

func least(n int, what string) string { return fmt.Sprintf("at least %d %s", n, plural(n, what)) }

func most(n int, what string) string { return fmt.Sprintf("at most %d %s", n, plural(n, what)) }

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	if what == "property" {
		return "properties"
	}
	return what + "s"
}

func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// someValues lists the values of an enum, not more than ten.
func someValues(values []any) string {
	var texts []string
	for _, v := range values[:min(10, len(values))] {
		texts = append(texts, string(event.FormatJSON(v)))
	}
	if more := len(values) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

func joinReasons(reasons []string) string { return strings.Join(reasons, "; ") }
