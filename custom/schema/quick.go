package schema

import (
	"cmp"
	"encoding/json"
	"math/big"
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
	enum     map[any]bool // of texts and integers only
	format   func(any) error
	pattern  jsonschema.Regexp
	allOf    []*quick // $ref among them
	anyOf    []*quick

	minLength, maxLength int // -1: none
	bounds               []bound

	properties map[string]*quick
	required   []string
	others     *quick // nil: refused
	items      *quick
	unique     bool // of texts only
	minItems   int
	maxItems   int // -1: none
}

// bound is a limit of numbers, which a value v keeps if v.Cmp(limit)*sign is at
// least atLeast.
type bound struct {
	limit   *big.Rat
	whole   int64
	isWhole bool
	sign    int
	atLeast int
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
	q.takeBounds(s)
	q.unique = s.UniqueItems
	ok := q.takeEnum(s) && q.takeProperties(s)
	for _, sub := range s.AllOf {
		q.allOf = append(q.allOf, newQuick(sub))
	}
	for _, sub := range s.AnyOf {
		q.anyOf = append(q.anyOf, newQuick(sub)) // nil: never good
	}
	if s.Ref != nil {
		q.allOf = append(q.allOf, newQuick(s.Ref))
	}
	ok = ok && !slices.Contains(q.allOf, nil)
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
	return s.Const != nil || s.Not != nil || len(s.OneOf) > 0 || s.If != nil || s.Then != nil || s.Else != nil ||
		s.RecursiveRef != nil || s.DynamicRef != nil || s.MaxProperties != nil || s.MinProperties != nil || s.PropertyNames != nil ||
		len(s.PatternProperties)+len(s.Dependencies)+len(s.DependentRequired)+len(s.DependentSchemas) > 0 || s.UnevaluatedProperties != nil ||
		s.Contains != nil || s.MinContains != nil || s.MaxContains != nil || s.Items != nil || s.AdditionalItems != nil ||
		len(s.PrefixItems) > 0 || s.UnevaluatedItems != nil || s.ContentEncoding != nil || s.ContentMediaType != nil || s.ContentSchema != nil ||
		s.MultipleOf != nil || len(s.Extensions) > 0
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
	q.enum = map[any]bool{}
	for _, v := range s.Enum.Values {
		switch v.(type) {
		case string, int64:
			q.enum[v] = true
		default:
			return false
		}
	}
	return true
}

func (q *quick) takeBounds(s *jsonschema.Schema) {
	for _, b := range []bound{{limit: s.Minimum, sign: 1}, {limit: s.Maximum, sign: -1}, {limit: s.ExclusiveMinimum, sign: 1, atLeast: 1}, {limit: s.ExclusiveMaximum, sign: -1, atLeast: 1}} {
		if b.limit == nil {
			continue
		}
		if b.limit.IsInt() && b.limit.Num().IsInt64() {
			b.whole, b.isWhole = b.limit.Num().Int64(), true
		}
		q.bounds = append(q.bounds, b)
	}
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
		switch v.(type) {
		case string, int64:
			if !q.enum[v] {
				return false
			}
		default:
			return false
		}
	}
	for _, sub := range q.allOf {
		if !sub.good(v) {
			return false
		}
	}
	if q.anyOf != nil && !slices.ContainsFunc(q.anyOf, func(sub *quick) bool { return sub.good(v) }) {
		return false
	}
	switch v := v.(type) {
	case string:
		return q.text(v)
	case int64:
		return q.types&isInteger != 0 && !slices.ContainsFunc(q.bounds, func(b bound) bool { return !b.keptBy(v) })
	case json.Number:
		return q.types&isNumber != 0 && q.fraction(v)
	case bool:
		return q.types&isBool != 0
	case nil:
		return q.types&isNull != 0
	case map[string]any:
		return q.object(v)
	case []any:
		return q.list(v)
	}
	return false
}

func (b bound) keptBy(v int64) bool {
	if b.isWhole {
		return cmp.Compare(v, b.whole)*b.sign >= b.atLeast
	}
	return new(big.Rat).SetInt64(v).Cmp(b.limit)*b.sign >= b.atLeast
}

func (q *quick) fraction(v json.Number) bool {
	if len(q.bounds) == 0 {
		return true
	}
	r, ok := new(big.Rat).SetString(v.String())
	return ok && !slices.ContainsFunc(q.bounds, func(b bound) bool { return r.Cmp(b.limit)*b.sign < b.atLeast })
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
	if q.unique && !distinct(v) {
		return false
	}
	return q.items == nil || !slices.ContainsFunc(v, func(item any) bool { return !q.items.good(item) })
}

// distinct reports whether a list is of texts, no two of them the same.
func distinct(list []any) bool {
	for i, v := range list {
		text, ok := v.(string)
		if !ok || len(list) > 50 || slices.Contains(list[:i], any(text)) {
			return false
		}
	}
	return true
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
