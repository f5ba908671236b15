package schema_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"muniment.dev/custom/apply"
	"muniment.dev/custom/schema"
	"muniment.dev/fault"
)

// Each difference between two sets gets the verdict that keeps every stored
// event readable, and every promise about who reads it.
func TestPlan(t *testing.T) {
	const reg, second, house = "household-registered.json", "household-registered.2.json", "household.json"
	third := func(changes ...string) []string {
		return append([]string{"/x-event", `"household-registered"`, "/x-entity", `"household"`, "/x-revision", `3`, "/type", `"object"`, "/x-creates", `true`, "/x-upcast", `{}`,
			"/properties", `{"name": {"type": "string"}, "village": {"type": "string"}, "card": {"type": "string", "x-public": true}}`, "/examples", `[{}]`}, changes...)
	}
	for _, c := range []struct {
		name    string
		file    string
		changes []string // none: the document is removed
		want    string   // all lines
	}{
		{"title", house, []string{"/title", `"Home"`}, "~ entity household: has another title"},
		{"sentence", second, []string{"/x-sentence", `"{actor} did"`}, "~ event household-registered revision 2: has another sentence"},
		{"nested description", second, []string{"/properties/card/description", `"x"`}, ""},
		{"examples", second, []string{"/examples", `[{"name": "x"}]`}, "~ event household-registered revision 2: has other examples"},
		{"applier", second, []string{"/x-apply", `{"set": {}}`}, "~ event household-registered revision 2: has another applier: the states are computed anew, compared, and swapped"},
		{"upcast", second, []string{"/x-upcast", `{}`}, "~ event household-registered revision 2: events of earlier revisions are brought up in another way: the states are computed anew"},
		{"conflict", second, []string{"/x-conflict", `"refuse"`}, "~ event household-registered revision 2: conflicts are settled by refuse, was ask"},
		{"longer", "household.json", []string{"/x-retention", `9000`}, "~ entity household: sealed fields are kept 9000 days, was 3650 days"},
		{"shorter", "household.json", []string{"/x-retention", `1`}, "? entity household: sealed fields are kept 1 day, was 3650 days: what is older is erased for good"},
		{"duplicates", house, []string{"/x-duplicates", `[["village", "name"], ["card"]]`}, "~ entity household: possible duplicates are looked for by: card, name + village, was nothing"},
		{"retired", second, []string{"/x-retired", `true`}, "~ event household-registered revision 2: is retired: what is there stays, and nothing new is published"},
		{"tag", second, []string{"/properties/size/x-tag", `true`}, "~ event household-registered revision 2 /size: can be selected by in events from now on"},
		{"search", house, []string{"/properties/card/x-search", ``}, "~ entity household /card: can be searched for: not, was exact"},
		{"unique", house, []string{"/properties/card/x-unique", `"instance"`}, "~ entity household /card: is unique within: instance, was organization"},
		{"entity sealed", house, []string{"/properties/size/x-public", ``}, "~ entity household /size: is sealed from now on in what is read; what events hold is a matter of their types"},
		{"entity public", house, []string{"/properties/card/x-public", `true`}, "? entity household /card: becomes public: whoever may list the entities reads it, and it outlives nobody's erasure"},
		{"entity field", house, []string{"/properties/more", `{}`}, "~ entity household /more: is added, sealed under the entity\n~ entity household: takes other values; states are computed anew and compared with it"},
		{"new type", "moved.json", []string{"/x-event", `"household-moved"`, "/x-entity", `"household"`, "/type", `"object"`, "/x-creates", `false`, "/properties", `{"a": {"x-public": true}, "b": {}}`}, "+ event household-moved revision 1: is added, with 2 fields, 1 of them public"},
		{"new revision", "third.json", third(), `+ event household-registered revision 3: is added, with 3 fields, 1 of them public; events of earlier ones are applied as it says, and the states are computed anew
? event household-registered revision 3 /card: becomes public: from this revision on it stands in the log in clear, for ever
? event household-registered revision 2 /village: is sealed from revision 3 on: events of earlier ones hold it in clear, and nothing can reach back`},
		{"stricter", reg, []string{"/properties/name/maxLength", `9`}, `! event household-registered revision 1: has events, and takes what it took: write the change as a new document with "x-revision": 3`},
		{"looser", second, []string{"/properties/card/maxLength", ``}, `! event household-registered revision 2: has events, and takes what it took: write the change as a new document with "x-revision": 3`},
		{"shared", "shared.json", []string{"/$defs/phone/pattern", `"^.[0-9]+$"`}, `! event household-registered revision 2: has events, and takes what it took: write the change as a new document with "x-revision": 3`},
		{"sealed in place", second, []string{"/properties/size/x-public", ``}, `! event household-registered revision 2 /size: stands in stored events in clear, and nothing can reach back: seal it in a new document with "x-revision": 3`},
		{"public in place", second, []string{"/properties/card/x-public", `true`}, `! event household-registered revision 2 /card: is sealed in stored events: make it public in a new document with "x-revision": 3`},
		{"subject", "person-joined.json", []string{"/properties/reason/x-subject", ``}, `! event person-joined revision 1 /reason: is sealed in stored events under the subject as it was: change it in a new document with "x-revision": 2`},
		{"event type gone", "person-joined.json", nil, `! event person-joined: has events, which must stay readable: keep its documents, with "x-retired": true in the newest`},
		{"revision gone", second, nil, `! event household-registered revision 2: has events, which must stay readable: keep its document
~ event household-registered revision 1: x`},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := household(t)
			if c.changes == nil {
				delete(files, c.file)
			} else {
				files = with(t, files, c.file, c.changes...)
			}
			plan := schema.Compare(parse(t, household(t)), parse(t, files), nil)
			want := c.want + "\n"
			if c.want == "" {
				want = "nothing changes\n"
			}
			if c.name == "revision gone" { // the first becomes the newest, and differs in nothing
				want = strings.SplitAfter(want, "\n")[0]
			}
			if got := plan.Text(); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// Without events a document may change as it likes, and go.
func TestPlanOfWhatHasNoEvents(t *testing.T) {
	none := func(string, uint32) bool { return false }
	files := with(t, household(t), "household-registered.2.json", "/properties/size/x-public", ``, "/properties/name/maxLength", ``)
	delete(files, "person-joined.json")
	got := schema.Compare(parse(t, household(t)), parse(t, files), none).Text()
	want := "~ event household-registered revision 2: is another; it has no events yet\n- event person-joined: is removed; it has no events\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

// A set differs from itself in nothing; from nothing by all that it has; and
// nothing from it, where there are events, by what is refused.
func TestPlanOfTheSame(t *testing.T) {
	set := parse(t, household(t))
	if p := schema.Compare(set, parse(t, household(t)), nil); len(p.Changes) > 0 || p.Check() != nil {
		t.Error(p.Text())
	}
	if p := schema.Compare(nil, set, nil); len(p.Of(schema.Added)) != 5 || len(p.Changes) != 5 || p.Check() != nil {
		t.Error(p.Text())
	}
	empty := parse(t, nil)
	if p := schema.Compare(set, empty, nil); len(p.Of(schema.Refused)) != 3 || !fault.Is(p.Check(), fault.Refused) {
		t.Error(p.Text())
	}
}

// What is asked holds a plan up until it is acknowledged by its key.
func TestPlanAsks(t *testing.T) {
	files := with(t, household(t), "household.json", "/properties/card/x-public", `true`, "/x-retention", `1`)
	p := schema.Compare(parse(t, household(t)), parse(t, files), nil)
	err := p.Check("public:household/card")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Refused || f.Field != "acknowledge" || !strings.Contains(f.Msg, "acknowledge retention:household if") {
		t.Errorf("%v", err)
	}
	if err := p.Check("public:household/card", "retention:household"); err != nil {
		t.Error(err)
	}
}

// A public field of an entity is not fed from what is sealed.
func TestExposure(t *testing.T) {
	for _, c := range []struct {
		flow schema.Flow
		want string
	}{
		{schema.Flow{From: "name", To: "name"}, ""},
		{schema.Flow{From: "", To: ""}, ""},
		{schema.Flow{From: "name", To: "village"}, `/properties/name/x-public: is not true, but the field feeds "village" of household, which is public`},
		{schema.Flow{From: "", To: "size"}, `/properties/name/x-public: is not true`},
		{schema.Flow{From: "name", To: ""}, `feeds "village"`},
		{schema.Flow{From: "village", To: "village"}, ""},
		{schema.Flow{From: "card", To: "village", State: true}, `#/x-apply: computes "village" of household, which is public, from its field "card", which is sealed`},
		{schema.Flow{From: "size", To: "village", State: true}, ""},
	} {
		_, err := schema.Parse(household(t), schema.Options{Apply: func(d *schema.Definition, _ *schema.Entity) ([]schema.Flow, error) {
			if d.Event != "household-registered" {
				return nil, nil
			}
			return []schema.Flow{c.flow}, nil
		}})
		if got := problems(err); !strings.Contains(got, c.want) || (c.want == "") != (err == nil) {
			t.Errorf("%+v: %s, want %s", c.flow, got, c.want)
		}
	}
	files := with(t, household(t), "household-registered.json", "/properties/village/x-public", ``, "/properties/village/x-tag", ``)
	_, err := schema.Parse(files, schema.Options{Apply: func(d *schema.Definition, _ *schema.Entity) ([]schema.Flow, error) {
		if d.Revision != 2 {
			return nil, nil
		}
		return []schema.Flow{{From: "", To: ""}}, nil
	}})
	if got := problems(err); !strings.Contains(got, `/properties/village/x-public: is fed from "village" of revision 1, which is sealed, and feeds "village" of household`) {
		t.Error(got)
	}
}

// What appliers and upcasters say is told at their place; an upcaster must make
// good events of the examples of the revision before.
func TestAppliersAndUpcasters(t *testing.T) {
	refuse := fault.Field("/set", "there is no field x")
	_, err := schema.Parse(household(t), schema.Options{Apply: func(*schema.Definition, *schema.Entity) ([]schema.Flow, error) { return nil, refuse }})
	if got := problems(err); !strings.Contains(got, "household-registered.json#/x-apply: there is no field x") {
		t.Error(got)
	}
	files := with(t, household(t), "household-registered.json", "/examples", `[{"name": "Amina"}]`)
	files = with(t, files, "household-registered.2.json", "/x-upcast", `{"rename": 1}`)
	for name, up := range map[string]func(map[string]any) (map[string]any, error){
		"": func(v map[string]any) (map[string]any, error) { return v, nil },
		"/x-upcast: makes nothing good of example 0 of revision 1: /name is missing": func(map[string]any) (map[string]any, error) { return map[string]any{}, nil },
		"of revision 1: there is no field x":                                         func(map[string]any) (map[string]any, error) { return nil, refuse },
	} {
		_, err := schema.Parse(files, schema.Options{Upcast: func(d, before *schema.Definition) (func(map[string]any) (map[string]any, error), error) {
			if d.Revision != 2 || before.Revision != 1 {
				t.Error(d.Revision, before.Revision)
			}
			return up, nil
		}})
		if got := problems(err); !strings.Contains(got, name) || (name == "") != (err == nil) {
			t.Errorf("%s, want %s", got, name)
		}
	}
}

// Nor by way of an upcaster.
func TestExposureByUpcast(t *testing.T) {
	for _, c := range []struct {
		up   []schema.Flow
		want string
	}{
		{nil, ""},
		{[]schema.Flow{{From: "village", To: "village"}}, ""},
		{[]schema.Flow{{From: "name", To: "village"}}, `is fed from "name" of revision 1, which is sealed, and feeds "village"`},
		{[]schema.Flow{{From: "", To: "village"}}, `is fed from "name" of revision 1`},
		{[]schema.Flow{{From: "name", To: ""}}, `is fed from "name" of revision 1`},
		{[]schema.Flow{{From: "name", To: "card"}}, ""},
	} {
		files := with(t, household(t), "household-registered.2.json", "/x-upcast", `{"set": {}}`)
		_, err := schema.Parse(files, schema.Options{
			Apply: func(*schema.Definition, *schema.Entity) ([]schema.Flow, error) {
				return []schema.Flow{{From: "village", To: "village"}}, nil
			},
			Upcast: func(d, _ *schema.Definition) (func(map[string]any) (map[string]any, error), error) {
				d.UpFlows = c.up
				return nil, nil
			},
		})
		if got := problems(err); !strings.Contains(got, c.want) || (c.want == "") != (err == nil) {
			t.Errorf("%+v: %s, want %s", c.up, got, c.want)
		}
	}
}

// What custom/apply says of a program is read as it is meant.
func TestFlowsOf(t *testing.T) {
	got := schema.FlowsOf([]apply.Flow{{From: "event.a", To: "b"}, {From: "event.*", To: "*"}, {From: "state.c", To: "d"}, {From: "meta.time", To: "e"}})
	want := []schema.Flow{{From: "a", To: "b"}, {}, {From: "c", To: "d", State: true}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
