package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// What strangers call themselves does not control the terminal or break the
// table.
func TestHostileText(t *testing.T) {
	const evil = "\x1b]0;owned\x07\x1b[2J\r\n0000\tadmin\u202e\u0085"
	for _, m := range []proto.Message{
		&munimentv1.ListUsersResponse{Users: []*munimentv1.User{{Id: evil, Email: &munimentv1.Text{Value: evil}}}},
		&munimentv1.GetUserResponse{User: &munimentv1.User{Id: evil, DisplayName: &munimentv1.Text{Value: evil}}},
		&munimentv1.GetEventResponse{
			Event:  &munimentv1.Event{Sentence: evil, Actor: &munimentv1.Actor{Kind: evil}},
			Fields: []*munimentv1.FieldChange{{Path: evil, After: &munimentv1.FieldValue{Value: structpb.NewStringValue(evil)}}},
			Tags:   []string{evil},
		},
	} {
		for _, asJSON := range []bool{false, true} {
			var b bytes.Buffer
			if err := (&printer{w: &b, json: asJSON}).print(m.ProtoReflect()); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(b.String(), "\x1b\x07\r\x7f") || !asJSON && strings.ContainsAny(b.String(), "\t\u202e\u0085") {
				t.Errorf("json=%v: %q", asJSON, b.String())
			}
		}
	}
}

// Erased, withheld and never set are three things; each is shown as what it is.
func TestErased(t *testing.T) {
	var b bytes.Buffer
	err := (&printer{w: &b}).print((&munimentv1.GetEventResponse{Fields: []*munimentv1.FieldChange{
		{Path: "/email", After: &munimentv1.FieldValue{Erased: true}, Before: &munimentv1.FieldValue{Withheld: true}},
		{Path: "/name", After: &munimentv1.FieldValue{Value: structpb.NewStringValue("Ada")}},
	}}).ProtoReflect())
	want := "fields[0].path    /email\nfields[0].before  (withheld)\nfields[0].after   (erased)\nfields[1].path    /name\nfields[1].after   Ada\n"
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}

// Each method of the API has a command of its own, explained, and each column
// of a table exists.
func TestCommands(t *testing.T) {
	all, err := commands()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range all {
		name := c.noun + " " + c.verb
		if seen[name] || c.doc == "" || c.about == "" || c.verb == "" {
			t.Errorf("%s: %s is there twice, or not explained", name, c.method.FullName())
		}
		seen[name] = true
		for _, f := range c.flags {
			if f.doc == "" {
				t.Errorf("%s: --%s is not explained", name, f.name)
			}
		}
		if list := rows(c.method.Output()); list != nil {
			for _, f := range columns(list.Message()) {
				if f == nil {
					t.Errorf("%s: a column of %s does not exist", name, list.Message().Name())
				}
			}
		} else if strings.HasPrefix(string(c.method.Name()), "List") {
			t.Errorf("%s is not shown as a table", name)
		}
	}
	for _, name := range []string{"user create", "user list", "user lock", "user get-erasure", "grant grant-role", "member add",
		"project add-role", "application create-web", "application create-secret", "session end", "event list", "event watch",
		"event get", "event list-types", "instance get-checkpoint", "me get", "me list-events", "organization rename"} {
		if !seen[name] {
			t.Errorf("there is no %s", name)
		}
	}
	if len(all) < 50 {
		t.Errorf("only %d commands", len(all))
	}
}

// A token that has expired is not sent.
func TestExpired(t *testing.T) {
	env := Env{ConfigDir: t.TempDir()}
	s, err := openStore(env)
	if err != nil {
		t.Fatal(err)
	}
	s.Servers = map[string]session{"a": {"x", time.Now().Add(-time.Second)}, "b": {"y", time.Now().Add(time.Hour)}}
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	s, err = openStore(env)
	if err != nil || s.token("a") != "" || s.token("b") != "y" || s.token("c") != "" {
		t.Errorf("%v: %q %q %q", err, s.token("a"), s.token("b"), s.token("c"))
	}
}

// The steps of a plan are read as the plan writes them, not field by field.
func TestSteps(t *testing.T) {
	var out strings.Builder
	p := &printer{w: &out}
	m := &munimentv1.InstallFieldPackResponse{Steps: []*munimentv1.SchemaStep{{Verdict: "added", Entity: "group", Text: "+ entity group: is added"}, {Text: "~ a\x1b[2J"}}, Change: &munimentv1.Change{Position: 7}}
	if err := p.print(m.ProtoReflect()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"+ entity group: is added\n", "~ a\ufffd[2J\n", "change.position"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "steps[") {
		t.Error(out.String())
	}
}
