package console

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"muniment.dev/event"
)

// nested is a JSON value as a page shows it: a value on one line, or the parts
// of an object or a list.
type nested struct {
	Text  string // of a value
	Empty string // what to say of an object or a list without parts
	List  bool
	Parts []part
}

type part struct {
	Name string
	Of   nested
}

// nest lays a value out.
func nest(v any) nested {
	switch v := v.(type) {
	case nil:
		return nested{Empty: "null"}
	case string:
		if v == "" {
			return nested{Empty: "empty"}
		}
		return nested{Text: v}
	case bool:
		return nested{Text: map[bool]string{true: "yes", false: "no"}[v]}
	case []any:
		n := nested{List: true, Empty: "empty list"}
		for i, item := range v {
			n.Parts = append(n.Parts, part{strconv.Itoa(i + 1), nest(item)})
		}
		return n
	case map[string]any:
		n := nested{Empty: "nothing in it"}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			n.Parts = append(n.Parts, part{name, nest(v[name])})
		}
		return n
	}
	b, _ := json.Marshal(v) // a number
	return nested{Text: string(b)}
}

// nestText lays a value out that is given as JSON text; what is none is shown
// as it stands.
func nestText(text string) nested {
	v, err := event.ParseJSON([]byte(text))
	if err != nil {
		return nested{Text: text}
	}
	return nest(v)
}

// structured reports whether a value has parts, so that one line is not enough.
func structured(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return true
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { _, text := x.(string); return !text })
	}
	return false
}
