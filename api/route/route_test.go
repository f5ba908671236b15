package route

import (
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

func method(t testing.TB, name string) protoreflect.MethodDescriptor {
	t.Helper()
	for _, f := range []protoreflect.FileDescriptor{munimentv1.File_muniment_v1_user_proto, munimentv1.File_muniment_v1_project_proto, munimentv1.File_muniment_v1_event_proto} {
		for i := range f.Services().Len() {
			if m := f.Services().Get(i).Methods().ByName(protoreflect.Name(name)); m != nil {
				return m
			}
		}
	}
	t.Fatalf("no method %s", name)
	return nil
}

func post(path string) *annotations.HttpRule {
	return &annotations.HttpRule{Pattern: &annotations.HttpRule_Post{Post: path}, Body: "*"}
}

func get(path string) *annotations.HttpRule {
	return &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: path}}
}

// A path means a method exactly if its segments and verb are those of the
// template, byte for byte, and each variable has a value.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		template, path string
		want           string // values joined by a bar; "-" is no match
	}{
		{"/v1/users", "/v1/users", ""},
		{"/v1/users", "/v1/users/", "-"},
		{"/v1/users", "/v1//users", "-"},
		{"/v1/users", "/V1/users", "-"},
		{"/v1/users", "/v1/%75sers", "-"}, // only values may be escaped
		{"/v1/users", "v1/users", "-"},
		{"/v1/users", "", "-"},
		{"/v1/users/{user_id}", "/v1/users/a", "a"},
		{"/v1/users/{user_id}", "/v1/users/a%2Fb", "a/b"},
		{"/v1/users/{user_id}", "/v1/users/a%3Alock", "a:lock"},
		{"/v1/users/{user_id}", "/v1/users/a:lock", "-"},
		{"/v1/users/{user_id}", "/v1/users/", "-"},
		{"/v1/users/{user_id}", "/v1/users/%zz", "-"},
		{"/v1/users/{user_id}:lock", "/v1/users/a:lock", "a"},
		{"/v1/users/{user_id}:lock", "/v1/users/a:unlock", "-"},
		{"/v1/users/{user_id}:lock", "/v1/users/:lock", "-"},
		{"/v1/users/{user_id}:lock", "/v1/users/a", "-"},
		{"/v1/users/{user_id}:lock", "/v1/users/a:b:lock", "a:b"},
		{"/v1/users/{user_id}/roles/{reason}:lock", "/v1/users/a/roles/b:c:lock", "a|b:c"},
	} {
		r, err := parse(method(t, "LockUser"), post(c.template))
		if err != nil {
			t.Fatal(err)
		}
		vars, ok := r.Match(c.path)
		var got []string
		for _, v := range r.Vars() {
			got = append(got, vars[v])
		}
		if s := strings.Join(got, "|"); ok != (c.want != "-") || ok && s != c.want {
			t.Errorf("%s on %s: %q, %v; want %q", c.path, c.template, s, ok, c.want)
		}
	}
}

// What an annotation means that we do not know is refused at the start.
func TestRefusedAnnotations(t *testing.T) {
	for name, rule := range map[string]*annotations.HttpRule{
		"another HTTP method":  {Pattern: &annotations.HttpRule_Delete{Delete: "/v1/users"}},
		"post without body":    {Pattern: &annotations.HttpRule_Post{Post: "/v1/users"}},
		"part of a body":       {Pattern: &annotations.HttpRule_Post{Post: "/v1/users"}, Body: "user_id"},
		"get with body":        {Pattern: &annotations.HttpRule_Get{Get: "/v1/users"}, Body: "*"},
		"part of a response":   {Pattern: &annotations.HttpRule_Get{Get: "/v1/users"}, ResponseBody: "change"},
		"no field":             post("/v1/users/{id}"),
		"a pattern":            post("/v1/{user_id=users/*}"),
		"many segments":        post("/v1/**"),
		"a variable in a word": post("/v1/u{user_id}"),
		"no slash":             post("v1/users"),
		"two verbs":            post("/v1/users:a:b"),
		"nothing":              {},
	} {
		if r, err := parse(method(t, "LockUser"), rule); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
	if _, err := parse(method(t, "WatchEvents"), post("/v1/events:watch")); err == nil {
		t.Error("a stream was given a path for POST")
	}
	if _, err := parse(method(t, "GetUser"), get("/v1/{read}")); err == nil {
		t.Error("a message was taken for a variable")
	}
}

// Two routes for one path are found at the start.
func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b *annotations.HttpRule
		want bool
	}{
		{post("/v1/users/{user_id}"), post("/v1/users/{user_id}"), true},
		{post("/v1/users/{user_id}"), post("/v1/users/me"), true},
		{post("/v1/{user_id}/x"), post("/v1/users/{user_id}"), true},
		{post("/v1/users/{user_id}:a"), post("/v1/users/{user_id}:b"), false},
		{post("/v1/users/{user_id}:a"), post("/v1/users/{user_id}"), false},
		{post("/v1/users/{user_id}"), post("/v1/roles/{user_id}"), false},
		{post("/v1/users"), get("/v1/users"), false},
		{post("/v1/users"), post("/v1/users/{user_id}"), false},
	} {
		a, errA := parse(method(t, "LockUser"), c.a)
		b, errB := parse(method(t, "LockUser"), c.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if err := Overlap([]Route{a, b}); (err != nil) != c.want {
			t.Errorf("%s and %s: %v, want overlap %v", a.Template, b.Template, err, c.want)
		}
	}
}

// A value put into a path, escaped, comes out as it was.
func FuzzMatch(f *testing.F) {
	f.Add("/v1/users/a%2Fb:lock")
	f.Add("/v1/users/:lock:lock")
	r, err := parse(method(f, "LockUser"), post("/v1/users/{user_id}:lock"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		vars, ok := r.Match(path)
		if ok && (vars["user_id"] == "" || !strings.HasPrefix(path, "/v1/users/") || !strings.HasSuffix(path, ":lock")) {
			t.Fatalf("%q: %v", path, vars)
		}
	})
}
