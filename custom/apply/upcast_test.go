package apply

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// TestUpcast: item 5 of what users can do: old revisions are brought up by
// declarations, and by Go, without a change of what was stored.
func TestUpcast(t *testing.T) {
	env := Env{GoUpcasts: map[string]func(map[string]any) (map[string]any, error){
		"up": func(m map[string]any) (map[string]any, error) {
			m["list"].([]any)[0] = "changed"
			return map[string]any{"n": int64(len(m))}, nil
		},
	}}
	for name, c := range map[string]struct{ declaration, event, want string }{
		"rename":                {`{"rename":{"name":"fullName"}}`, `{"name":"Ada","age":1}`, `{"fullName":"Ada","age":1}`},
		"rename what is absent": {`{"rename":{"name":"fullName"}}`, `{"age":1}`, `{"age":1}`},
		"swap":                  {`{"rename":{"a":"b","b":"a"}}`, `{"a":1,"b":2}`, `{"a":2,"b":1}`},
		"unset":                 {`{"unset":["a"]}`, `{"a":1,"b":2}`, `{"b":2}`},
		"rename onto an unset":  {`{"rename":{"a":"b"},"unset":["b"]}`, `{"a":1,"b":2}`, `{"b":1}`},
		"set":                   {`{"set":{"country":"DE","x":null}}`, `{"a":1}`, `{"a":1,"country":"DE","x":null}`},
		"cel":                   {`{"cel":{"name":"event.first + ' ' + event.last"},"unset":["first","last"]}`, `{"first":"Ada","last":"L"}`, `{"name":"Ada L"}`},
		"cel sees the old":      {`{"rename":{"a":"b"},"set":{"c":1},"cel":{"d":"event.a + 1"}}`, `{"a":1}`, `{"b":1,"c":1,"d":2}`},
		"cel without a value":   {`{"cel":{"a":"event.?b"}}`, `{"a":1}`, `{"a":1}`},
		"go":                    {`{"go":"up"}`, `{"list":["a"]}`, `{"n":1}`},
	} {
		u, err := CompileUpcast(value(t, c.declaration), env)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		old := object(t, c.event)
		got, err := u.Up(context.Background(), old)
		if err != nil || !reflect.DeepEqual(got, object(t, c.want)) {
			t.Errorf("%s gives %s %v, want %s", name, event.FormatJSON(got), err, c.want)
		}
		if !reflect.DeepEqual(old, object(t, c.event)) {
			t.Errorf("%s: the old event was changed: %v", name, old)
		}
	}
}

// TestUpcastRefuses: an upcast that would lose or invent a field is refused, if
// possible before there is an event.
func TestUpcastRefuses(t *testing.T) {
	env := Env{OldFields: []string{"a", "b"}, EventFields: []string{"b", "c"}}
	for declaration, at := range map[string]string{
		`1`:                                             "/x-upcast",
		`{}`:                                            "/x-upcast",
		`{"set":{"c":1}}`:                               "/x-upcast", // a is in the way
		`{"unset":["a"],"merge":true}`:                  "/x-upcast/merge",
		`{"rename":{"a":"d"}}`:                          "/x-upcast/rename/a",
		`{"rename":{"x":"c"}}`:                          "/x-upcast/rename/x",
		`{"rename":{"a":"b"}}`:                          "/x-upcast/rename",
		`{"rename":{"a":"c","b":"c"}}`:                  "/x-upcast/rename/b",
		`{"rename":{"a":1}}`:                            "/x-upcast/rename/a",
		`{"unset":["x"]}`:                               "/x-upcast/unset",
		`{"unset":["a"],"set":{"x":1}}`:                 "/x-upcast/set/x",
		`{"unset":["a"],"cel":{"c":"event.x"}}`:         "/x-upcast/cel/c",
		`{"unset":["a"],"cel":{"c":"state.a"}}`:         "/x-upcast/cel/c",
		`{"unset":["a"],"cel":{"x":"event.a"}}`:         "/x-upcast/cel/x",
		`{"unset":["a"],"set":{"c":1},"cel":{"c":"1"}}`: "/x-upcast",
		`{"go":"nobody"}`:                               "/x-upcast/go",
	} {
		_, err := CompileUpcast(value(t, declaration), env)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != at || f.Msg == "" {
			t.Errorf("%s gives %v, want it refused at %s", declaration, err, at)
		}
	}
	for declaration, fields := range map[string]string{
		`{"cel":{"b":"event.a / 0"},"unset":["a"]}`: `{"a":1}`,
		`{"unset":["a"]}`:      `{"c":1}`, // which the old revision does not have
		`{"rename":{"a":"c"}}`: `{"a":1,"c":1}`,
	} {
		e := env
		if strings.Contains(declaration, "unset") {
			e.EventFields = []string{"b"}
		}
		u, err := CompileUpcast(value(t, declaration), e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Up(context.Background(), object(t, fields)); fault.KindOf(err) != fault.Refused {
			t.Errorf("%s of %s gives %v", declaration, fields, err)
		}
	}
}

// TestUpcastFlows: what was sealed in an old revision is known to reach a field
// of the new one.
func TestUpcastFlows(t *testing.T) {
	env := Env{OldFields: []string{"a", "b"}, EventFields: []string{"b", "c"}, GoUpcasts: map[string]func(map[string]any) (map[string]any, error){"up": func(m map[string]any) (map[string]any, error) { return m, nil }}}
	for declaration, want := range map[string]string{
		`{"rename":{"a":"c"}}`:                    "event.b>b event.a>c",
		`{"unset":["a"],"set":{"b":1}}`:           "",
		`{"unset":["a"],"cel":{"c":"event.a+1"}}`: "event.b>b event.a>c",
		`{"go":"up"}`:                             "event.a>b event.b>b event.a>c event.b>c",
	} {
		u, err := CompileUpcast(value(t, declaration), env)
		if err != nil {
			t.Error(err)
			continue
		}
		var got []string
		for _, f := range u.Flows() {
			got = append(got, f.From+">"+f.To)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", declaration, strings.Join(got, " "), want)
		}
	}
}
