package apply

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"muniment.dev/event"
)

// mergePatch is RFC 7396 §2: what target becomes. It copies what it changes.
func mergePatch(target, patch any) any {
	members, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	// §2: a target that is no object is taken for an empty one.
	object, _ := target.(map[string]any)
	merged := make(map[string]any, len(object)+len(members))
	maps.Copy(merged, object)
	for name, v := range members {
		if v == nil {
			delete(merged, name)
			continue
		}
		merged[name] = mergePatch(merged[name], v)
	}
	return merged
}

// equal compares JSON values. Numbers have one form each, so they are equal if
// their forms are.
func equal(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	}
	switch b.(type) {
	case []any, map[string]any:
		return false // not comparable
	}
	return a == b
}

// clone copies a JSON value, for those who may not keep their hands off it.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = clone(v[i])
		}
		return list
	case map[string]any:
		return cloneFields(v)
	}
	return v
}

func cloneFields(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	c := make(map[string]any, len(m))
	for name, v := range m {
		c[name] = clone(v)
	}
	return c
}

// within takes the size of v, about that of its JSON, from left. It tells
// whether there was enough, and whether v nests no deeper than depth.
func within(v any, left *int, depth int) bool {
	*left -= 2
	switch v := v.(type) {
	case string:
		*left -= len(v)
	case json.Number:
		*left -= len(v)
	case []any:
		for i := range v {
			if *left < 0 || depth <= 1 || !within(v[i], left, depth-1) {
				return false
			}
		}
		return *left >= 0 && depth > 0
	case map[string]any:
		for name := range v {
			*left -= len(name)
			if *left < 0 || depth <= 1 || !within(v[name], left, depth-1) {
				return false
			}
		}
		return *left >= 0 && depth > 0
	}
	return *left >= 0
}

// parsePointer splits a JSON pointer (RFC 6901 §3) into its tokens.
func parsePointer(text string) ([]string, bool) {
	rest, ok := strings.CutPrefix(text, "/")
	if !ok || strings.HasSuffix(text, "~") {
		return nil, false
	}
	tokens := strings.Split(rest, "/")
	for i, t := range tokens {
		for j := range len(t) {
			if t[j] == '~' && (j+1 == len(t) || t[j+1] != '0' && t[j+1] != '1') {
				return nil, false
			}
		}
		// §4: first ~1, then ~0.
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, true
}

// lookup follows a pointer's tokens (RFC 6901 §4).
func lookup(v any, tokens []string) (any, bool) {
	for _, t := range tokens {
		switch in := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = in[t]; !ok {
				return nil, false
			}
		case []any:
			i, ok := arrayIndex(t)
			if !ok || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// arrayIndex reads an index: digits without a leading zero (RFC 6901 §4).
func arrayIndex(t string) (int, bool) {
	if t == "" || len(t) > 9 || len(t) > 1 && t[0] == '0' || strings.Trim(t, "0123456789") != "" {
		return 0, false
	}
	i, err := strconv.Atoi(t)
	return i, err == nil
}

// pointerTo appends a name to a JSON pointer.
func pointerTo(at, name string) string { return at + "/" + event.EscapePointer(name) }
