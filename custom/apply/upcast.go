package apply

import (
	"context"
	"maps"
	"slices"
	"strings"

	"muniment.dev/fault"
)

// An Upcast makes an event of one revision what the next revision would have
// recorded. Stored events stay as they are: it is applied whenever one is read.
// It may be used by many at a time.
type Upcast struct {
	at      string
	rename  map[string]string // old name → new one
	unset   []string
	set     []assignment                         // constants and expressions over the old event
	foreign func(r *run) (map[string]any, error) // in place of all that
	fields  map[string]bool                      // of the new revision; nil: any
	limits  Limits
	flows   []Flow
}

// CompileUpcast reads an "x-upcast": an object of rename, unset, set and cel, or
// of wasm or go alone. Expressions see the old event only. Env.OldFields are
// those of the revision that it begins with, Env.EventFields those of the next.
func CompileUpcast(raw any, env Env) (*Upcast, error) {
	c := newCompiler(env, "event")
	c.event, c.entity = setOf(env.OldFields), setOf(env.EventFields)
	u := &Upcast{at: "/x-upcast", fields: c.entity, limits: c.limits}
	m, ok := raw.(map[string]any)
	if !ok || len(m) == 0 {
		return nil, invalid(u.at, "an upcast is an object such as {\"rename\": {\"old\": \"new\"}}")
	}
	read := c.declaredUpcast
	if m["wasm"] != nil || m["go"] != nil {
		read = c.foreignUpcast
	}
	if err := read(u, m); err != nil {
		return nil, err
	}
	u.flows = c.flowList()
	return u, nil
}

// Flows says which old fields reach which new ones, each pair once, in order.
func (u *Upcast) Flows() []Flow { return slices.Clone(u.flows) }

// Up gives the fields of the next revision. Errors are as those of
// Program.Apply.
func (u *Upcast) Up(ctx context.Context, fields map[string]any) (map[string]any, error) {
	result, _, err := u.UpErased(ctx, fields, nil)
	return result, err
}

// UpErased is Up for an event of which fields were erased, by name. What would
// have been made of them is left out, and named as erased in the next revision:
// without that, an upcast would fail on what it misses, or make up something.
func (u *Upcast) UpErased(ctx context.Context, fields map[string]any, gone map[string]bool) (map[string]any, map[string]bool, error) {
	r := &run{ctx: ctx, in: Input{Event: fields}, limits: u.limits}
	if len(gone) > 0 {
		r.in.Gone = make(map[string]bool, len(gone))
		for name := range gone {
			r.in.Gone["event."+name] = true
		}
	}
	result, err := u.up(r)
	if err != nil {
		return nil, nil, locate(u.at, err)
	}
	for name, v := range result {
		if u.fields != nil && !u.fields[name] {
			return nil, nil, locate(u.at, fault.New(fault.Refused, "what the upcast makes has a field that the next revision has not: rename it, or unset it"))
		}
		if left := u.limits.Field; !within(v, &left, maxDepth) {
			return nil, nil, locate(u.at, fault.New(fault.Exhausted, "a field would be larger than %d bytes, or nested deeper than %d", u.limits.Field, maxDepth))
		}
	}
	return result, u.erased(result, gone), nil
}

// erased takes out of a result what was made of erased fields, and names it.
func (u *Upcast) erased(result map[string]any, gone map[string]bool) map[string]bool {
	if len(gone) == 0 {
		return nil
	}
	next := map[string]bool{}
	for _, f := range u.flows {
		from := strings.TrimPrefix(f.From, "event.")
		switch {
		case !gone[from] && from != "*":
		case f.To == "*":
			for name := range gone {
				next[name] = true
			}
		default:
			next[f.To] = true
			delete(result, f.To)
		}
	}
	return next
}

func (u *Upcast) up(r *run) (map[string]any, error) {
	if u.foreign != nil && len(r.in.Gone) > 0 {
		return map[string]any{}, nil // nobody knows what it reads
	}
	if u.foreign != nil {
		return u.foreign(r)
	}
	result := make(map[string]any, len(r.in.Event)+len(u.set))
	maps.Copy(result, r.in.Event)
	for old := range u.rename {
		delete(result, old)
	}
	for _, name := range u.unset {
		delete(result, name)
	}
	for old, name := range u.rename {
		v, ok := r.in.Event[old]
		if !ok {
			continue
		}
		if _, taken := result[name]; taken {
			return nil, fault.New(fault.Refused, "a field is renamed to one that the event has: unset that, or rename it as well")
		}
		result[name] = v
	}
	for _, a := range u.set {
		v, ok, err := a.from.get(r)
		if err != nil {
			return nil, err
		}
		if ok {
			result[a.field] = v
		}
	}
	return result, nil
}

func (c *compiler) declaredUpcast(u *Upcast, m map[string]any) error {
	for _, part := range slices.Sorted(maps.Keys(m)) {
		at, raw := pointerTo(u.at, part), m[part]
		var err error
		switch part {
		case "rename":
			err = c.renames(u, at, raw)
		case "unset":
			if u.unset, err = names(at, raw); err == nil {
				err = c.readsAll(at, u.unset)
			}
		case "set":
			err = c.constants(u, at, raw)
		case "cel":
			err = c.computed(u, at, raw)
		default:
			err = invalid(at, "unknown; an upcast has rename, unset, set and cel, or wasm or go alone")
		}
		if err != nil {
			return err
		}
	}
	return c.kept(u)
}

func (c *compiler) readsAll(at string, names []string) error {
	for _, name := range names {
		if err := c.reads(at, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) renames(u *Upcast, at string, raw any) error {
	list, err := members(at, raw)
	if err != nil {
		return err
	}
	u.rename = map[string]string{}
	taken := map[string]bool{}
	for _, m := range list {
		name, ok := m.value.(string)
		if !ok || name == "" || taken[name] {
			return invalid(m.at, "this is the field's new name, which no other field gets")
		}
		if err := c.reads(m.at, m.name); err != nil {
			return err
		}
		if err := c.target(m.at, name, "event."+m.name); err != nil {
			return err
		}
		u.rename[m.name], taken[name] = name, true
	}
	return nil
}

// constants reads what fields are set to, whatever the old event holds.
func (c *compiler) constants(u *Upcast, at string, raw any) error {
	list, err := members(at, raw)
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := c.target(m.at, m.name); err != nil {
			return err
		}
		u.set = append(u.set, assignment{m.name, always{m.value}})
	}
	return nil
}

func (c *compiler) computed(u *Upcast, at string, raw any) error {
	list, err := members(at, raw)
	if err != nil {
		return err
	}
	for _, m := range list {
		e, err := c.expression(m.at, m.value)
		if err != nil {
			return err
		}
		if err := c.target(m.at, m.name, e.reads...); err != nil {
			return err
		}
		u.set = append(u.set, assignment{m.name, e})
	}
	return nil
}

// kept checks the fields that stay as they are: the next revision has them, and
// no other gets their names.
func (c *compiler) kept(u *Upcast) error {
	replaced := map[string]bool{}
	for i, a := range u.set {
		if slices.ContainsFunc(u.set[:i], func(b assignment) bool { return a.field == b.field }) {
			return invalid(u.at, "%q is both set and computed", a.field)
		}
		replaced[a.field] = true
	}
	if c.event == nil {
		c.flow("event.*", "*")
		return nil
	}
	for _, name := range c.env.OldFields {
		if u.rename[name] != "" || slices.Contains(u.unset, name) {
			continue
		}
		for old, to := range u.rename {
			if to == name {
				return invalid(pointerTo(u.at, "rename"), "%q becomes %q, which the event has: rename that as well, or unset it", old, name)
			}
		}
		if replaced[name] {
			continue
		}
		if err := c.target(u.at, name, "event."+name); err != nil {
			return invalid(u.at, "the next revision has no field %q: rename it, or unset it", name)
		}
	}
	return nil
}

// foreignUpcast reads an upcast that code makes.
func (c *compiler) foreignUpcast(u *Upcast, m map[string]any) error {
	c.flow("event.*", "*")
	if m["wasm"] != nil {
		return c.wasmUpcast(u, m)
	}
	name, _ := m["go"].(string)
	f := c.env.GoUpcasts[name]
	if f == nil || len(m) > 1 {
		return invalid(pointerTo(u.at, "go"), "this is the name of a Go function, alone; register it where the server is built")
	}
	u.foreign = func(r *run) (map[string]any, error) {
		result, err := f(cloneFields(r.in.Event))
		if err != nil {
			return nil, foreign(r.ctx, err)
		}
		return result, nil
	}
	return nil
}
