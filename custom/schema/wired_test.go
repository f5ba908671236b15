package schema_test

import (
	"context"
	"strings"
	"testing"

	"muniment.dev/custom/apply"
	"muniment.dev/custom/schema"
)

// wired are the options with custom/apply in its place.
func wired() schema.Options {
	names := func(fields []schema.Field) []string {
		out := make([]string, len(fields))
		for i := range fields {
			out[i] = fields[i].Name
		}
		return out
	}
	return schema.Options{
		Reserved: reserved,
		Apply: func(d *schema.Definition, e *schema.Entity) ([]schema.Flow, error) {
			p, err := apply.Compile(d.Apply, apply.Env{EventFields: names(d.Fields), EntityFields: names(e.Fields)})
			if err != nil {
				return nil, err
			}
			return schema.FlowsOf(p.Flows()), nil
		},
		Upcast: func(d, before *schema.Definition) (func(map[string]any) (map[string]any, error), error) {
			u, err := apply.CompileUpcast(d.Upcast, apply.Env{EventFields: names(d.Fields), OldFields: names(before.Fields)})
			if err != nil {
				return nil, err
			}
			d.UpFlows = schema.FlowsOf(u.Flows())
			return func(v map[string]any) (map[string]any, error) { return u.Up(context.Background(), v) }, nil
		},
	}
}

// With real appliers and upcasters, what they declare is checked against what
// the documents seal.
func TestWithAppliers(t *testing.T) {
	const second, house = "household-registered.2.json", "household.json"
	base := with(t, household(t), "household-registered.json", "/examples", `[{"name": "Amina"}]`)
	base = with(t, base, second, "/x-upcast", `{"set": {"size": 1}}`)
	if _, err := schema.Parse(base, wired()); err != nil {
		t.Fatal(problems(err))
	}
	for _, c := range []struct {
		file    string
		changes []string
		want    string
	}{
		{second, []string{"/x-apply", `{"merge": ["nome"]}`}, second + "#/x-apply/merge"},
		{second, []string{"/x-apply", `{"set": {"village": "/name"}}`}, `#/properties/name/x-public: is not true, but the field feeds "village" of household`},
		{second, []string{"/x-apply", `{"set": {"village": {"cel": "state.card + 'x'"}}}`}, `#/x-apply: computes "village" of household, which is public, from its field "card", which is sealed`},
		{second, []string{"/x-upcast", `{"cel": {"village": "event.name"}}`}, `is fed from "name" of revision 1, which is sealed, and feeds "village"`},
		{second, []string{"/x-upcast", `{"rename": {"nome": "name"}}`}, second + "#/x-upcast"},
		{second, []string{"/x-upcast", `{"unset": ["name"]}`}, "makes nothing good of example 0 of revision 1: /name is missing"},
		{house, []string{"/properties/name/x-public", `true`}, `the field feeds "name" of household, which is public`},
	} {
		_, err := schema.Parse(with(t, base, c.file, c.changes...), wired())
		if got := problems(err); !strings.Contains(got, c.want) {
			t.Errorf("%q:\n%s\nwant %s", c.changes, got, c.want)
		}
	}
}
