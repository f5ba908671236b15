package apply

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Requirement E13: of what was erased of an old event an upcast makes nothing,
// says so of every field that it would have made of it, and leaves the others as
// they were; it never fails on what is missing.
func TestUpErased(t *testing.T) {
	env := Env{OldFields: []string{"a", "b"}, EventFields: []string{"a", "b", "c"}, GoUpcasts: map[string]func(map[string]any) (map[string]any, error){
		"up": func(map[string]any) (map[string]any, error) { return map[string]any{"c": "made up"}, nil }}}
	for declaration, c := range map[string]struct{ event, gone, want, erased string }{
		`{"set":{"c":1}}`:                           {`{"b":2}`, "a", `{"b":2,"c":1}`, "a"},
		`{"rename":{"a":"c"}}`:                      {`{"b":2}`, "a", `{"b":2}`, "c"},
		`{"rename":{"a":"b","b":"a"}}`:              {`{"b":2}`, "a", `{"a":2}`, "b"},
		`{"unset":["a"]}`:                           {`{"b":2}`, "a", `{"b":2}`, ""},
		`{"unset":["a"],"cel":{"c":"event.a + 1"}}`: {`{"b":2}`, "a", `{"b":2}`, "c"},
		`{"cel":{"c":"event.?a.orValue(7)"}}`:       {`{"b":2}`, "a", `{"b":2}`, "a c"},
		`{"cel":{"c":"has(event.a) ? 1 : 2"}}`:      {`{"b":2}`, "a", `{"b":2}`, "a c"},
		`{"cel":{"c":"event.b * 2"}}`:               {`{"b":2}`, "a", `{"b":2,"c":4}`, "a"},
		`{"cel":{"b":"event.a + event.b"}}`:         {`{"b":2}`, "a", `{}`, "a b"},
		`{"go":"up"}`:                               {`{"b":2}`, "a", `{}`, "a b c"},
	} {
		u, err := CompileUpcast(value(t, declaration), env)
		if err != nil {
			t.Errorf("%s: %v", declaration, err)
			continue
		}
		got, gone, err := u.UpErased(context.Background(), object(t, c.event), map[string]bool{c.gone: true})
		if err != nil || !reflect.DeepEqual(got, object(t, c.want)) || strings.Join(slices.Sorted(maps.Keys(gone)), " ") != c.erased {
			t.Errorf("%s of %s without %s gives %v, erased %v, %v; want %s, erased %s", declaration, c.event, c.gone, got, gone, err, c.want, c.erased)
		}
	}
}
