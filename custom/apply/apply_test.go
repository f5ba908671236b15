package apply

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// value reads a JSON value as events hold it; "" is nil.
func value(t testing.TB, text string) any {
	t.Helper()
	if text == "" {
		return nil
	}
	v, err := event.ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	m, _ := value(t, text).(map[string]any)
	return m
}

var meta = Meta{
	Entity: "0198c5f2-0000-7000-8000-000000000001", Type: "case-worker-assigned", Revision: 1,
	Version: 3, Position: 41, Time: 1764180000000000, Actor: "user:7",
}

// run compiles and applies a declaration, and checks what holds of all: the
// same again gives the same, and nothing of what went in was changed.
func apply(t testing.TB, declaration, state, ev string, env Env) (Output, error) {
	t.Helper()
	p, err := Compile(value(t, declaration), env)
	if err != nil {
		t.Fatalf("compile %s: %v", declaration, err)
	}
	in := Input{State: object(t, state), Event: object(t, ev), Meta: meta}
	out, err := p.Apply(context.Background(), in)
	again, errAgain := p.Apply(context.Background(), Input{State: object(t, state), Event: object(t, ev), Meta: meta})
	if !reflect.DeepEqual(out, again) || (err == nil) != (errAgain == nil) {
		t.Errorf("%s: %v %v, and again: %v %v", declaration, out, err, again, errAgain)
	}
	if !reflect.DeepEqual(in.State, object(t, state)) || !reflect.DeepEqual(in.Event, object(t, ev)) {
		t.Errorf("%s: its input was changed: %v", declaration, in)
	}
	return out, err
}

// TestSteps: P09, and item 4 of what users can do: each declaration does what
// docs/reference/appliers.md says.
func TestSteps(t *testing.T) {
	for name, c := range map[string]struct{ declaration, state, event, want string }{
		"nothing declared merges all":  {``, `{"name":"Ada","age":1}`, `{"age":2}`, `{"name":"Ada","age":2}`},
		"the first event creates":      {``, ``, `{"age":2}`, `{"age":2}`},
		"null removes":                 {``, `{"name":"Ada","age":1}`, `{"age":null}`, `{"name":"Ada"}`},
		"objects merge":                {`{"merge":true}`, `{"home":{"city":"Ulm","zip":"1"}}`, `{"home":{"zip":null,"street":"A"}}`, `{"home":{"city":"Ulm","street":"A"}}`},
		"lists are replaced":           {`{"merge":true}`, `{"l":[1,2]}`, `{"l":[3]}`, `{"l":[3]}`},
		"merge some":                   {`{"merge":["a"]}`, `{"b":1}`, `{"a":2,"b":3}`, `{"a":2,"b":1}`},
		"merge none":                   {`{"merge":[]}`, `{"b":1}`, `{"a":2,"b":3}`, `{"b":1}`},
		"merge a patch":                {`{"merge":"/changes"}`, `{"a":1,"b":{"c":1}}`, `{"changes":{"a":null,"b":{"d":2}}}`, `{"b":{"c":1,"d":2}}`},
		"merge an absent patch":        {`{"merge":"/changes"}`, `{"a":1}`, `{}`, `{"a":1}`},
		"set from the event":           {`{"set":{"caseWorker":"/worker"}}`, `{"x":1}`, `{"worker":"w"}`, `{"x":1,"caseWorker":"w"}`},
		"set from deep within":         {`{"set":{"a":"/list/1/x~1y"}}`, ``, `{"list":[0,{"x/y":5}]}`, `{"a":5}`},
		"set replaces":                 {`{"set":{"home":"/home"}}`, `{"home":{"city":"Ulm","zip":"1"}}`, `{"home":{"zip":null}}`, `{"home":{"zip":null}}`},
		"set from what is absent":      {`{"set":{"a":"/b"}}`, `{"a":1}`, `{}`, `{"a":1}`},
		"set from null":                {`{"set":{"a":"/b"}}`, `{"a":1}`, `{"b":null}`, `{}`},
		"set a value":                  {`{"set":{"status":{"value":"open"}}}`, ``, `{}`, `{"status":"open"}`},
		"set from meta":                {`{"set":{"assignmentDate":{"meta":"time"},"by":{"meta":"actor"},"n":{"meta":"version"}}}`, ``, `{}`, `{"assignmentDate":"2025-11-26T18:00:00Z","by":"user:7","n":3}`},
		"set from absent meta":         {`{"set":{"at":{"meta":"occurred"}}}`, ``, `{}`, `{}`},
		"set from CEL":                 {`{"set":{"total":{"cel":"event.price * event.count"}}}`, ``, `{"price":3,"count":4}`, `{"total":12}`},
		"set reads before it sets":     {`{"set":{"a":{"cel":"state.b"},"b":{"cel":"state.a"}}}`, `{"a":1,"b":2}`, `{}`, `{"a":2,"b":1}`},
		"add":                          {`{"add":{"members":"/member"}}`, `{"members":["a"]}`, `{"member":"b"}`, `{"members":["a","b"]}`},
		"add creates the list":         {`{"add":{"members":"/member"}}`, ``, `{"member":"b"}`, `{"members":["b"]}`},
		"add each of a list":           {`{"add":{"l":"/l"}}`, `{"l":["a"]}`, `{"l":["b","a","b",{"x":[1.50]}]}`, `{"l":["a","b",{"x":[1.5]}]}`},
		"add what is there":            {`{"add":{"l":"/x"}}`, `{"l":[{"a":1,"b":2}]}`, `{"x":{"b":2,"a":1}}`, `{"l":[{"a":1,"b":2}]}`},
		"a text is not what it spells": {`{"add":{"l":"/x"}}`, `{"l":["1","null"]}`, `{"x":1}`, `{"l":["1","null",1]}`},
		"add nothing":                  {`{"add":{"l":"/x"}}`, `{"a":1}`, `{}`, `{"a":1}`},
		"remove":                       {`{"remove":{"members":"/member"}}`, `{"members":["a","b"]}`, `{"member":"a"}`, `{"members":["b"]}`},
		"remove each of a list":        {`{"remove":{"l":"/l"}}`, `{"l":["a",{"x":1},"b","a"]}`, `{"l":["a",{"x":1}]}`, `{"l":["b"]}`},
		"remove what is not there":     {`{"remove":{"l":"/l"}}`, `{"a":1}`, `{"l":["a"]}`, `{"a":1}`},
		"unset":                        {`{"unset":["a","c"]}`, `{"a":1,"b":2}`, `{}`, `{"b":2}`},
		"unset nothing":                {`{"unset":[]}`, `{"a":1}`, `{}`, `{"a":1}`},
		"increment":                    {`{"increment":{"balance":"/amount"}}`, `{"balance":0.1}`, `{"amount":0.2}`, `{"balance":0.3}`},
		"increment from nothing":       {`{"increment":{"n":{"value":1}}}`, ``, `{}`, `{"n":1}`},
		"increment to a whole number":  {`{"increment":{"n":"/x"}}`, `{"n":1.25}`, `{"x":0.75}`, `{"n":2}`},
		"increment by nothing":         {`{"increment":{"n":"/x"}}`, `{"n":1}`, `{}`, `{"n":1}`},
		"increment beyond int64":       {`{"increment":{"n":"/x"}}`, `{"n":9223372036854775807}`, `{"x":1}`, `{"n":9223372036854775808}`},
		"decrement":                    {`{"decrement":{"balance":"/amount"}}`, `{"balance":100}`, `{"amount":99.99}`, `{"balance":0.01}`},
		"decrement below zero":         {`{"decrement":{"n":"/x"}}`, ``, `{"x":1e3}`, `{"n":-1000}`},
		"several steps, in order":      {`[{"merge":["a"]},{"set":{"b":{"cel":"state.a + 1"}}},{"unset":["a"]}]`, ``, `{"a":1}`, `{"b":2}`},
		"if":                           {`[{"if":"event.a > 1","set":{"big":{"value":true}}},{"if":"event.a <= 1","set":{"big":{"value":false}}}]`, ``, `{"a":2}`, `{"big":true}`},
		"if there is an entity":        {`{"if":"!meta.exists","set":{"n":{"value":1}}}`, `{"n":5}`, `{}`, `{"n":5}`},
		"delete on a condition":        {`[{"if":"event.gone","delete":true},{"merge":["x"]}]`, ``, `{"gone":false,"x":1}`, `{"x":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := apply(t, c.declaration, c.state, c.event, Env{})
			if err != nil || out.Deleted || !reflect.DeepEqual(out.State, value(t, c.want)) {
				t.Errorf("gives %s %v, want %s", event.FormatJSON(out.State), err, c.want)
			}
		})
	}
}

// TestDelete: an entity that is deleted has no state, and later steps are not
// taken.
func TestDelete(t *testing.T) {
	out, err := apply(t, `[{"delete":true},{"merge":true}]`, `{"a":1}`, `{"b":1}`, Env{})
	if err != nil || !out.Deleted || out.State != nil {
		t.Errorf("gives %v %v", out, err)
	}
}

// TestMergePatch: RFC 7396, appendix A.
func TestMergePatch(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		target, patch := value(t, c[0]), value(t, c[1])
		if got := mergePatch(target, patch); !reflect.DeepEqual(got, value(t, c[2])) {
			t.Errorf("%s patched by %s is %s, want %s", c[0], c[1], event.FormatJSON(got), c[2])
		}
		if !reflect.DeepEqual(target, value(t, c[0])) || !reflect.DeepEqual(patch, value(t, c[1])) {
			t.Errorf("%s or %s was changed", c[0], c[1])
		}
	}
}

// TestApplyRefuses: what does not fit is an error that says where, of a kind
// that says whether it will be the same for ever.
func TestApplyRefuses(t *testing.T) {
	env := Env{Limits: Limits{Field: 100, Cost: 1000}}
	for name, c := range map[string]struct {
		declaration, state, event string
		kind                      fault.Kind
		at                        string
	}{
		"add to no list":            {`{"add":{"l":"/x"}}`, `{"l":1}`, `{"x":1}`, fault.Refused, "/x-apply"},
		"add null":                  {`{"add":{"l":"/x"}}`, ``, `{"x":[null]}`, fault.Refused, "/x-apply"},
		"remove from no list":       {`[{"unset":[]},{"remove":{"l":"/x"}}]`, `{"l":{}}`, `{"x":1}`, fault.Refused, "/x-apply/1"},
		"increment a text":          {`{"increment":{"n":"/x"}}`, `{"n":"1"}`, `{"x":1}`, fault.Refused, "/x-apply"},
		"increment by a text":       {`{"increment":{"n":"/x"}}`, `{"n":1}`, `{"x":"1"}`, fault.Refused, "/x-apply"},
		"a sum of too many digits":  {`{"increment":{"n":"/x"}}`, `{"n":1e300}`, `{"x":1}`, fault.Refused, "/x-apply"},
		"a patch that is no object": {`{"merge":"/p"}`, ``, `{"p":[1]}`, fault.Refused, "/x-apply"},
		"what grows too large":      {`{"add":{"l":"/x"}}`, `{"l":["` + strings.Repeat("a", 90) + `"]}`, `{"x":"bbbbbbbbbb"}`, fault.Exhausted, ""},
		"what grows too deep":       {`{"set":{"a":{"cel":"[[[[[[[[[[[[1]]]]]]]]]]]]"}}}`, ``, `{}`, fault.Exhausted, "/x-apply"},
		"a condition on nothing":    {`{"if":"event.a","unset":[]}`, ``, `{}`, fault.Refused, "/x-apply"},
		"a condition of numbers":    {`{"if":"event.a","unset":[]}`, ``, `{"a":1}`, fault.Refused, "/x-apply"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := apply(t, c.declaration, c.state, c.event, env)
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != c.kind || f.Field != c.at || f.Msg == "" {
				t.Errorf("gives %v, want %v at %q", err, c.kind, c.at)
			}
		})
	}
}

// TestUnknownField: a patch or an expression cannot give an entity a field that
// its type does not have.
func TestUnknownField(t *testing.T) {
	_, err := apply(t, `{"merge":"/p"}`, ``, `{"p":{"b":1}}`, Env{EventFields: []string{"p"}, EntityFields: []string{"a"}})
	if fault.KindOf(err) != fault.Refused {
		t.Error(err)
	}
}

// TestCompileRefuses: a declaration that is not understood whole is refused, at
// the place where it goes wrong.
func TestCompileRefuses(t *testing.T) {
	env := Env{EventFields: []string{"a", "b"}, EntityFields: []string{"a", "s"}, Limits: Limits{Steps: 2}}
	for declaration, at := range map[string]string{
		`true`:    "/x-apply",
		`"merge"`: "/x-apply",
		`[]`:      "/x-apply",
		`{}`:      "/x-apply",
		`[{"unset":[]},{"unset":[]},{"unset":[]}]`: "/x-apply",
		`[{"unset":[]},1]`:                         "/x-apply/1",
		`{"merge":["a"],"unset":["a"]}`:            "/x-apply",
		`{"if":"true"}`:                            "/x-apply",
		`{"merge":["a"],"function":"f"}`:           "/x-apply/function",
		`{"mrege":true}`:                           "/x-apply/mrege",
		`{"merge":true}`:                           "/x-apply/merge", // b is no field of the entity
		`{"merge":false}`:                          "/x-apply/merge",
		`{"merge":["a","a"]}`:                      "/x-apply/merge/1",
		`{"merge":["/a"]}`:                         "/x-apply/merge",
		`{"merge":["b"]}`:                          "/x-apply/merge",
		`{"merge":["c"]}`:                          "/x-apply/merge",
		`{"merge":"c"}`:                            "/x-apply/merge",
		`{"merge":"/c"}`:                           "/x-apply/merge",
		`{"set":{}}`:                               "/x-apply/set",
		`{"set":["a"]}`:                            "/x-apply/set",
		`{"set":{"x":"/a"}}`:                       "/x-apply/set/x",
		`{"set":{"s":"/c"}}`:                       "/x-apply/set/s",
		`{"set":{"s":"a"}}`:                        "/x-apply/set/s",
		`{"set":{"s":"/a~2"}}`:                     "/x-apply/set/s",
		`{"set":{"s":1}}`:                          "/x-apply/set/s",
		`{"set":{"s":{"value":null}}}`:             "/x-apply/set/s/value",
		`{"set":{"s":{"value":1,"cel":"1"}}}`:      "/x-apply/set/s",
		`{"set":{"s":{"meta":"weather"}}}`:         "/x-apply/set/s/meta",
		`{"set":{"s":{"cel":"event.c"}}}`:          "/x-apply/set/s/cel",
		`{"set":{"s":{"cel":"state.b"}}}`:          "/x-apply/set/s/cel",
		`{"set":{"s":{"cel":"meta.b"}}}`:           "/x-apply/set/s/cel",
		`{"set":{"s":{"cel":"1 +"}}}`:              "/x-apply/set/s/cel",
		`{"set":{"s":{"cel":1}}}`:                  "/x-apply/set/s/cel",
		`{"if":"1","unset":[]}`:                    "/x-apply/if",
		`{"unset":["x"]}`:                          "/x-apply/unset",
		`{"unset":[1]}`:                            "/x-apply/unset/0",
		`{"unset":"a"}`:                            "/x-apply/unset",
		`{"delete":false}`:                         "/x-apply/delete",
		`{"add":{"x":"/a"}}`:                       "/x-apply/add/x",
		`{"increment":{"s":2}}`:                    "/x-apply/increment/s",
		`{"go":"nobody"}`:                          "/x-apply/go",
		`{"wasm":"nothing"}`:                       "/x-apply/wasm",
	} {
		_, err := Compile(value(t, declaration), env)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != at || f.Msg == "" {
			t.Errorf("%s gives %v, want it refused at %s", declaration, err, at)
		}
	}
}

// TestFlows: everything that reaches a field is named, whether it is copied,
// computed with, or decides.
func TestFlows(t *testing.T) {
	env := Env{EventFields: []string{"a", "b"}, EntityFields: []string{"a", "b", "s"}}
	for declaration, want := range map[string]string{
		``:                               "event.a>a event.b>b",
		`{"merge":["b"]}`:                "event.b>b",
		`{"merge":"/a"}`:                 "event.a>a event.a>b event.a>s",
		`{"set":{"s":"/a/deep"}}`:        "event.a>s",
		`{"set":{"s":{"value":1}}}`:      "",
		`{"set":{"s":{"meta":"actor"}}}`: "",
		`{"set":{"s":{"cel":"event.a + state.b + meta.version"}}}`:                              "event.a>s state.b>s",
		`{"set":{"s":{"cel":"event[\"a\"] + event.?b.orValue(0) + event[?\"b\"].orValue(1)"}}}`: "event.a>s event.b>s",
		`{"set":{"s":{"cel":"has(event.a) ? 1 : 2"}}}`:                                          "event.a>s",
		`{"set":{"s":{"cel":"size(event)"}}}`:                                                   "event.a>s event.b>s",
		`{"set":{"s":{"cel":"state[event.a]"}}}`:                                                "event.a>s state.a>s state.b>s state.s>s",
		`{"set":{"s":{"cel":"[event].map(e, e.a)"}}}`:                                           "event.a>s event.b>s",
		`{"if":"event.b > 1","set":{"s":"/a"}}`:                                                 "event.a>s event.b>s",
		`[{"if":"event.b > 1","unset":["s"]},{"add":{"a":"/a"}}]`:                               "event.a>a event.b>s",
		`{"go":"f"}`: "event.a>a event.b>a state.a>a state.b>a state.s>a event.a>b event.b>b state.a>b state.b>b state.s>b event.a>s event.b>s state.a>s state.b>s state.s>s",
	} {
		env.Go = map[string]func(Input) (Output, error){"f": func(Input) (Output, error) { return Output{}, nil }}
		p, err := Compile(value(t, declaration), env)
		if err != nil {
			t.Errorf("%s: %v", declaration, err)
			continue
		}
		var got []string
		for _, f := range p.Flows() {
			got = append(got, f.From+">"+f.To)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", declaration, strings.Join(got, " "), want)
		}
	}
	p, err := Compile(value(t, `{"merge":true}`), Env{})
	if err != nil || len(p.Flows()) != 1 || p.Flows()[0] != (Flow{"event.*", "*"}) {
		t.Errorf("without lists of fields: %v %v", p.Flows(), err)
	}
}

// TestGo: a function gets copies, sees what the steps before made, and its
// errors and unknown fields are refusals.
func TestGo(t *testing.T) {
	env := Env{EntityFields: []string{"n", "list"}, Go: map[string]func(Input) (Output, error){
		"count": func(in Input) (Output, error) {
			in.Event["list"].([]any)[0] = "changed"
			n, _ := in.State["n"].(int64)
			in.State["n"] = n + 1
			return Output{State: in.State}, nil
		},
		"delete": func(Input) (Output, error) { return Output{Deleted: true}, nil },
		"fail":   func(Input) (Output, error) { return Output{}, errors.New("secret") },
		"stray":  func(Input) (Output, error) { return Output{State: map[string]any{"x": true}}, nil },
	}}
	out, err := apply(t, `[{"set":{"n":{"value":1}}},{"go":"count"}]`, ``, `{"list":["a"]}`, env)
	if err != nil || !maps.Equal(out.State, map[string]any{"n": int64(2)}) {
		t.Errorf("gives %v %v", out, err)
	}
	if out, err := apply(t, `{"go":"delete"}`, `{"n":1}`, `{}`, env); err != nil || !out.Deleted {
		t.Errorf("gives %v %v", out, err)
	}
	for _, name := range []string{"fail", "stray"} {
		if _, err := apply(t, `{"go":"`+name+`"}`, `{"n":1}`, `{}`, env); fault.KindOf(err) != fault.Refused || strings.Contains(fault.Public(err), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
