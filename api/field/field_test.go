package field_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"muniment.dev/api/field"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// Only what text can give is found, by either name.
func TestFind(t *testing.T) {
	md := (&munimentv1.ListEventsRequest{}).ProtoReflect().Descriptor()
	for name, want := range map[string]int{
		"page_size": 1, "pageSize": 1, "filter.types": 2, "filter.from": 2, "filter.afterPosition": 2, "read.at_position": 2,
		"": 0, ".": 0, "filter": 0, "read": 0, "filter.": 0, ".filter": 0, "types": 0, "filter.types.x": 0,
		"filter.from.seconds": 0, "page_size.x": 0, "PAGE_SIZE": 0,
	} {
		if p := field.Find(md, name); len(p) != want {
			t.Errorf("%q: a path of %d, want %d", name, len(p), want)
		}
	}
	found := map[string]bool{}
	for _, p := range field.All(md) {
		found[string(p.Leaf().Name())] = true
	}
	for _, name := range []string{"types", "streams", "from", "before_position", "descending", "page_token", "at_position", "stale_ok"} {
		if !found[name] {
			t.Errorf("%s is not among all", name)
		}
	}
	if len(found) != 21 {
		t.Errorf("%d fields: %v", len(found), found)
	}
}

// What is set at one place leaves the others alone.
func TestSet(t *testing.T) {
	msg := &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{Actors: []string{"user:1"}}, PageSize: 3}
	md := msg.ProtoReflect().Descriptor()
	for _, x := range []struct {
		name   string
		values []string
	}{
		{"filter.types", []string{"a", "b"}},
		{"filter.after_position", []string{"18446744073709551615"}},
		{"filter.to", []string{"2026-01-02T03:04:05Z"}},
		{"descending", []string{"true"}},
	} {
		if err := field.Set(msg, field.Find(md, x.name), x.values); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	want := &munimentv1.ListEventsRequest{}
	if err := prototext.Unmarshal([]byte(`filter{actors:"user:1" types:"a" types:"b" after_position:18446744073709551615 to{seconds:1767323045}} page_size:3 descending:true`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(msg, want) {
		t.Errorf("%v, want %v", msg, want)
	}
}

// Any text for any field: it is set, or refused as invalid with the message
// as it was; a text field keeps it byte for byte.
func FuzzSet(f *testing.F) {
	f.Add("filter.streams", "user:\"1\"\n")
	f.Add("filter.from", "2026-01-02T03:04:05Z")
	f.Add("page_size", "1e3")
	f.Add("descending", "TRUE")
	f.Fuzz(func(t *testing.T, name, value string) {
		msg := &munimentv1.ListEventsRequest{PageToken: "kept"}
		path := field.Find(msg.ProtoReflect().Descriptor(), name)
		if path == nil {
			t.Skip()
		}
		before := proto.CloneOf(msg)
		if err := field.Set(msg, path, []string{value}); err != nil {
			if !fault.Is(err, fault.Invalid) || !proto.Equal(msg, before) {
				t.Fatalf("%s: %v, now %v", name, err, msg)
			}
			return
		}
		if name == "filter.streams" && msg.GetFilter().GetStreams()[0] != value {
			t.Fatalf("%q became %q", value, msg.GetFilter().GetStreams())
		}
	})
}
