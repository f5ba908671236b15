package customapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// compare computes, beside what is served, the entities that the change is
// about, and adds to the plan what becomes of them: how many come out otherwise,
// which have an applier that fails then, and which hold a value that is to be
// unique and that another holds, too.
func (s SchemaService) compare(ctx context.Context, c *change, old, next *custom.Definitions) error {
	c.at = s.core.Runner.Log.Mark().Size
	for _, name := range slices.Sorted(maps.Keys(next.Set.Entities)) {
		sh := s.newShadow(c, name, old, next)
		if sh == nil {
			continue
		}
		if err := sh.begin(ctx, c.at); err != nil {
			return err
		}
		c.shadows = append(c.shadows, sh)
		a := &c.cmd.Applied
		a.Compared, a.Differ, a.Fail = a.Compared+sh.compared, a.Differ+sh.differ.count, a.Fail+sh.fail.count
		if n := sh.differ.count; n > 0 {
			c.about(sh.step(schema.Changed, sh.differ, "", "%d of %s are otherwise then than they are served now", n, entities(sh.compared)))
		}
		if n := sh.fail.count; n > 0 {
			c.about(sh.step(schema.Asked, sh.fail, "fail:"+name, "the applier of %s fails then, and did not before; they stay as they were at that event until it is mended", entities(n)))
		}
		if x := sh.collisions(); x.count > 0 {
			c.about(sh.collide(x))
		}
		a.Rebuild = a.Rebuild || len(sh.claims()) > 0
	}
	c.cmd.Applied.Claims, c.cmd.Applied.Searched = c.claims(), searched(old.Set, next.Set)
	return nil
}

func entities(n int64) string {
	if n == 1 {
		return "1 entity"
	}
	return fmt.Sprintf("%d entities", n)
}

func (sh *shadow) collide(x examples) (schema.Change, *munimentv1.SchemaStep) {
	var ids []string
	for _, e := range x.named[:min(len(x.named), 6)] {
		ids = append(ids, e.GetEntityId()+" ("+strings.Join(e.GetFields(), ", ")+")")
	}
	return sh.step(schema.Refused, x, "", "%s hold a value that is to be unique, and that another holds, too: %s; publish events that give them others", entities(x.count), strings.Join(ids, ", "))
}

// about adds a step that is about entities.
func (c *change) about(ch schema.Change, st *munimentv1.SchemaStep) {
	c.plan.Changes, c.steps = append(c.plan.Changes, ch), append(c.steps, st)
}

// claims are the fields whose values are to be claimed anew.
func (c *change) claims() (out []string) {
	for _, sh := range c.shadows {
		out = append(out, sh.claims()...)
	}
	return out
}

// searched are the fields of types that are there which can be searched for and
// could not, so that the rows by which they are found are to be made.
func searched(old, next *schema.Set) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(next.Entities)) {
		before := old.Entities[name]
		if before == nil {
			continue
		}
		for _, f := range next.Entities[name].Fields {
			was := before.Field(f.Name)
			if indexed(&f) && (was == nil || !indexed(was) || was.Public != f.Public) {
				out = append(out, custom.FieldName(name, f.Name))
			}
		}
	}
	return out
}

func indexed(f *schema.Field) bool { return f.Search != "" || f.Unique != "" }

// maxRaces is how often a change is tried that races with publishers.
const maxRaces = 64

// errRaced refuses a change that loses the race.
var errRaced = fault.New(fault.Conflict, "entities whose values are to be unique are changed faster than they can be compared; stop publishing for a moment, or try again")

// apply applies the change. Values that are to be unique are compared up to the
// position of it: what was published since the plan is looked at, and made a
// condition.
func (s SchemaService) apply(ctx context.Context, env decide.Envelope, c *change) (res decide.Result, err error) {
	watched := slices.DeleteFunc(slices.Clone(c.shadows), func(sh *shadow) bool { return !sh.unique() })
	for range maxRaces {
		env.Also = event.Condition{}
		for _, sh := range watched {
			env.Also.Query, env.Also.After = env.Also.Query.Or(sh.facts()), c.at
		}
		if res, err = decide.Run(ctx, s.core.Runner, custom.Applying, env, c.cmd); !errors.Is(err, decide.ErrAlso) {
			return res, err
		}
		c.at = s.core.Runner.Log.Mark().Size
		for _, sh := range watched {
			if err := sh.advance(ctx, c.at); err != nil {
				return res, err
			}
			if x := sh.collisions(); x.count > 0 {
				ch, _ := sh.collide(x)
				return res, fault.New(fault.Refused, "%s", ch.String())
			}
		}
		c.cmd.Applied.Claims = c.claims()
		c.cmd.Applied.Rebuild = c.cmd.Applied.Rebuild || len(c.cmd.Applied.Claims) > 0
	}
	return res, errRaced
}
