package schema

import (
	"slices"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// quick is a compiled schema for the keywords that most have. It answers "this
// is good" or "I do not know", never "this is wrong": the library is asked
// then. That it says good of nothing that the library refuses, is fuzzed.
// A nil quick knows nothing.
type quick struct {
	anything bool // the schema true
	types    types
	enum     map[string]bool // of texts only
	format   func(any) error
	pattern  jsonschema.Regexp
	ref      *quick

	minLength, maxLength int // -1: none
	minimum, maximum     *int64

	properties map[string]*quick
	required   []string
	others     *quick // nil: refused
	items      *quick
	minItems   int
	maxItems   int // -1: none
}

// types is a set of JSON types.
type types uint8

const (
	isNull types = 1 << iota
	isBool
	isInteger
	isNumber
	isString
	isArray
	isObject
)

var typeNames = map[string]types{"null": isNull, "boolean": isBool, "integer": isInteger, "number": isNumber | isInteger, "string": isString, "array": isArray, "object": isObject}

// newQuick compiles a schema; nil if it has a keyword that is not known here.
func newQuick(s *jsonschema.Schema) *quick {
	if s == nil || unusual(s) {
		return nil
	}
	if s.Bool != nil {
		if !*s.Bool {
			return nil
		}
		return &quick{anything: true}
	}
	q := &quick{types: 0xff, minLength: deref(s.MinLength), maxLength: deref(s.MaxLength), minItems: deref(s.MinItems), maxItems: deref(s.MaxItems),
		pattern: s.Pattern, required: s.Required}
	if s.Types != nil && !s.Types.IsEmpty() {
		q.types = 0
		for _, name := range s.Types.ToStrings() {
			q.types |= typeNames[name]
		}
	}
	if s.Format != nil {
		q.format = s.Format.Validate
	}
	ok := q.takeEnum(s) && q.takeBounds(s) && q.takeProperties(s)
	if ok && s.Ref != nil {
		q.ref = newQuick(s.Ref)
		ok = q.ref != nil
	}
	if ok && s.Items2020 != nil {
		q.items = newQuick(s.Items2020)
		ok = q.items != nil
	}
	if !ok {
		return nil
	}
	return q
}

// unusual tells whether a schema has a keyword that is left to the library.
func unusual(s *jsonschema.Schema) bool {
	return s.Const != nil || s.Not != nil || len(s.AllOf)+len(s.AnyOf)+len(s.OneOf) > 0 || s.If != nil || s.Then != nil || s.Else != nil ||
		s.RecursiveRef != nil || s.DynamicRef != nil || s.MaxProperties != nil || s.MinProperties != nil || s.PropertyNames != nil ||
		len(s.PatternProperties)+len(s.Dependencies)+len(s.DependentRequired)+len(s.DependentSchemas) > 0 || s.UnevaluatedProperties != nil ||
		s.UniqueItems || s.Contains != nil || s.MinContains != nil || s.MaxContains != nil || s.Items != nil || s.AdditionalItems != nil ||
		len(s.PrefixItems) > 0 || s.UnevaluatedItems != nil || s.ContentEncoding != nil || s.ContentMediaType != nil || s.ContentSchema != nil ||
		s.ExclusiveMaximum != nil || s.ExclusiveMinimum != nil || s.MultipleOf != nil || len(s.Extensions) > 0
}

func deref(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

func (q *quick) takeEnum(s *jsonschema.Schema) bool {
	if s.Enum == nil {
		return true
	}
	q.enum = map[string]bool{}
	for _, v := range s.Enum.Values {
		text, ok := v.(string)
		if !ok {
			return false
		}
		q.enum[text] = true
	}
	return true
}

func (q *quick) takeBounds(s *jsonschema.Schema) bool {
	if s.Minimum != nil {
		if !s.Minimum.IsInt() || !s.Minimum.Num().IsInt64() {
			return false
		}
		n := s.Minimum.Num().Int64()
		q.minimum = &n
	}
	if s.Maximum != nil {
		if !s.Maximum.IsInt() || !s.Maximum.Num().IsInt64() {
			return false
		}
		n := s.Maximum.Num().Int64()
		q.maximum = &n
	}
	return true
}

func (q *quick) takeProperties(s *jsonschema.Schema) bool {
	q.others = &quick{anything: true}
	switch others := s.AdditionalProperties.(type) {
	case bool:
		if !others {
			q.others = nil
		}
	case *jsonschema.Schema:
		if q.others = newQuick(others); q.others == nil {
			return false
		}
	}
	q.properties = make(map[string]*quick, len(s.Properties))
	for name, sub := range s.Properties {
		q.properties[name] = newQuick(sub) // nil: a value with it is left to the library
	}
	return true
}

// good reports whether v is good for sure.
func (q *quick) good(v any) bool {
	if q == nil || q.anything {
		return q != nil
	}
	if q.enum != nil {
		if text, ok := v.(string); !ok || !q.enum[text] {
			return false
		}
	}
	if q.ref != nil && !q.ref.good(v) {
		return false
	}
	switch v := v.(type) {
	case string:
		return q.text(v)
	case int64:
		return q.types&isInteger != 0 && (q.minimum == nil || v >= *q.minimum) && (q.maximum == nil || v <= *q.maximum)
	case bool:
		return q.types&isBool != 0
	case nil:
		return q.types&isNull != 0
	case map[string]any:
		return q.object(v)
	case []any:
		return q.list(v)
	}
	return false // decimal fractions are left to the library
}

func (q *quick) text(v string) bool {
	if q.types&isString == 0 {
		return false
	}
	if q.minLength >= 0 || q.maxLength >= 0 {
		n := utf8.RuneCountInString(v)
		if n < q.minLength || q.maxLength >= 0 && n > q.maxLength {
			return false
		}
	}
	return (q.pattern == nil || q.pattern.MatchString(v)) && (q.format == nil || q.format(v) == nil)
}

func (q *quick) list(v []any) bool {
	if q.types&isArray == 0 || len(v) < q.minItems || q.maxItems >= 0 && len(v) > q.maxItems {
		return false
	}
	return q.items == nil || !slices.ContainsFunc(v, func(item any) bool { return !q.items.good(item) })
}

func (q *quick) object(v map[string]any) bool {
	if q == nil || q.types&isObject == 0 {
		return false
	}
	for _, name := range q.required {
		if _, ok := v[name]; !ok {
			return false
		}
	}
	for name, value := range v {
		sub, ok := q.properties[name]
		if !ok {
			sub = q.others
		}
		if !sub.good(value) {
			return false
		}
	}
	return true
}
