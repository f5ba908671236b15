package apply

import (
	"context"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// mergeStep merges fields of the event into those of the same name, or a patch
// that one of its fields holds into all.
type mergeStep struct {
	fields []string  // nil: all
	patch  fromEvent // nil: the fields themselves
}

func (c *compiler) merge(at string, raw any) (action, error) {
	switch v := raw.(type) {
	case bool:
		if v {
			return c.mergeAll(at)
		}
	case string:
		return c.mergePatch(at, v)
	case []any:
		return c.mergeFields(at, v)
	}
	return nil, invalid(at, "this is true, a list of fields' names, or a JSON pointer to the field that holds the patch")
}

func (c *compiler) mergeAll(at string) (action, error) {
	if c.event == nil {
		return mergeStep{}, c.target(at, "*", "event.*")
	}
	for _, name := range c.env.EventFields {
		if c.entity != nil && !c.entity[name] {
			return nil, invalid(at, "the event has a field %q, the entity has not: declare it there, or name the fields to merge", name)
		}
		if err := c.target(at, name, "event."+name); err != nil {
			return nil, err
		}
	}
	return mergeStep{}, nil
}

func (c *compiler) mergeFields(at string, raw []any) (action, error) {
	fields, err := names(at, raw)
	if err != nil {
		return nil, err
	}
	for _, name := range fields {
		if err := c.reads(at, name); err != nil {
			return nil, err
		}
		if err := c.target(at, name, "event."+name); err != nil {
			return nil, err
		}
	}
	return mergeStep{fields: append([]string{}, fields...)}, nil
}

func (c *compiler) mergePatch(at, text string) (action, error) {
	s, reads, err := c.pointer(at, text)
	if err != nil {
		return nil, err
	}
	return mergeStep{patch: s.(fromEvent)}, c.writesAny(at, reads...)
}

// writesAny notes that any field of the entity may be written.
func (c *compiler) writesAny(at string, reads ...string) error {
	c.writes["*"] = true
	for _, from := range append(reads, c.conditions...) {
		c.flow(from, "*")
	}
	return nil
}

func (s mergeStep) act(r *run) error {
	patch := r.in.Event
	if s.patch != nil {
		v, ok, _ := s.patch.get(r)
		if !ok || v == nil {
			return nil
		}
		if patch, ok = v.(map[string]any); !ok {
			return fault.New(fault.Refused, "the patch is no object")
		}
	}
	if s.fields == nil {
		for name, v := range patch {
			if err := r.put(name, mergePatch(r.state[name], v)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range s.fields {
		if v, ok := patch[name]; ok {
			if err := r.put(name, mergePatch(r.state[name], v)); err != nil {
				return err
			}
		}
	}
	return nil
}

// assignment is a field and what it gets.
type assignment struct {
	field string
	from  source
}

// assignments reads an object of fields and sources. That what a field holds
// already reaches it, as when it is added to, goes without saying.
func (c *compiler) assignments(at string, raw any) ([]assignment, error) {
	list, err := members(at, raw)
	if err != nil {
		return nil, err
	}
	var result []assignment
	for _, m := range list {
		from, reads, err := c.source(m.at, m.value)
		if err != nil {
			return nil, err
		}
		if err := c.target(m.at, m.name, reads...); err != nil {
			return nil, err
		}
		result = append(result, assignment{m.name, from})
	}
	return result, nil
}

// setStep sets fields. All sources are read before the first is set.
type setStep []assignment

func (c *compiler) set(at string, raw any) (action, error) {
	list, err := c.assignments(at, raw)
	return setStep(list), err
}

func (s setStep) act(r *run) error {
	values := make([]any, len(s))
	present := make([]bool, len(s))
	for i, a := range s {
		var err error
		if values[i], present[i], err = a.from.get(r); err != nil {
			return err
		}
	}
	for i, a := range s {
		if !present[i] {
			continue
		}
		if err := r.put(a.field, values[i]); err != nil {
			return err
		}
	}
	return nil
}

// unsetStep removes fields.
type unsetStep []string

func (c *compiler) unset(at string, raw any) (action, error) {
	fields, err := names(at, raw)
	if err != nil {
		return nil, err
	}
	for _, name := range fields {
		if err := c.target(at, name); err != nil {
			return nil, err
		}
	}
	return unsetStep(fields), nil
}

func (s unsetStep) act(r *run) error {
	for _, name := range s {
		delete(r.state, name)
	}
	return nil
}

// deleteStep deletes the entity, and ends the program.
type deleteStep struct{}

func (c *compiler) delete(at string, raw any) (action, error) {
	if raw != true {
		return nil, invalid(at, "this is true; use \"if\" for a condition, and \"unset\" for fields")
	}
	for _, from := range c.conditions {
		c.ends[from] = true
	}
	return deleteStep{}, nil
}

func (deleteStep) act(r *run) error {
	r.deleted = true
	return nil
}

// addStep adds to lists what is not in them yet; removeStep takes it out.
type (
	addStep    []assignment
	removeStep []assignment
)

func (c *compiler) add(at string, raw any) (action, error) {
	list, err := c.assignments(at, raw)
	return addStep(list), err
}

func (c *compiler) remove(at string, raw any) (action, error) {
	list, err := c.assignments(at, raw)
	return removeStep(list), err
}

func (s addStep) act(r *run) error {
	for _, a := range s {
		list, more, err := listAnd(r, a)
		if err != nil {
			return err
		}
		has := newBag(list)
		grown := slices.Clip(list) // so that append copies
		for _, v := range more {
			if has.put(v) {
				grown = append(grown, v)
			}
		}
		if len(grown) > len(list) {
			if err := r.put(a.field, grown); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s removeStep) act(r *run) error {
	for _, a := range s {
		list, less, err := listAnd(r, a)
		if err != nil {
			return err
		}
		unwanted := newBag(less)
		kept := make([]any, 0, len(list))
		for _, v := range list {
			if !unwanted.has(v) {
				kept = append(kept, v)
			}
		}
		if len(kept) < len(list) {
			if err := r.put(a.field, kept); err != nil {
				return err
			}
		}
	}
	return nil
}

// listAnd gives the list that a field holds, and that which is to be added to
// or removed from it.
func listAnd(r *run, a assignment) (list, other []any, err error) {
	if v, ok := r.state[a.field]; ok {
		if list, ok = v.([]any); !ok {
			return nil, nil, fault.New(fault.Refused, "the entity's field is no list")
		}
	}
	other, err = listOf(a.from, r)
	return list, other, err
}

// A bag knows values by what they are. Texts, the usual ones, need no encoding.
type bag map[string]bool

func newBag(list []any) bag {
	b := make(bag, len(list))
	for _, v := range list {
		b.put(v)
	}
	return b
}

func keyOf(v any) string {
	if s, ok := v.(string); ok {
		return "\"" + s
	}
	return string(event.FormatJSON(v)) // which begins with a quotation mark for texts only
}

func (b bag) has(v any) bool { return b[keyOf(v)] }

// put adds v, and tells whether it is new.
func (b bag) put(v any) bool {
	key := keyOf(v)
	if b[key] {
		return false
	}
	b[key] = true
	return true
}

// goStep calls a function of whoever uses Muniment as a library.
type goStep func(Input) (Output, error)

func (c *compiler) goFunc(at string, raw any) (action, error) {
	name, _ := raw.(string)
	f := c.env.Go[name]
	if f == nil {
		return nil, invalid(at, "there is no Go function of this name; register it where the server is built")
	}
	return goStep(f), c.writesAny(at, "event.*", "state.*")
}

func (f goStep) act(r *run) error {
	in := Input{Event: cloneFields(r.in.Event), Meta: r.in.Meta}
	if r.in.Untimed {
		in.Meta.Position, in.Meta.Time = 0, 0
	}
	if r.in.State != nil || len(r.state) > 0 {
		in.State = cloneFields(r.state)
	}
	out, err := f(in)
	if err != nil {
		return foreign(r.ctx, err)
	}
	return r.replace(out)
}

// foreign gives the error of a function that is not ours a kind.
func foreign(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.New(fault.Unavailable, "there was not enough time")
	}
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return &fault.Error{Kind: fault.Refused, Msg: "the function refused the event", Err: err}
}

// replace takes a whole new state.
func (r *run) replace(out Output) error {
	if out.Deleted {
		r.deleted = true
		return nil
	}
	r.state = make(map[string]any, len(out.State))
	for name, v := range out.State {
		if err := r.put(name, v); err != nil {
			return err
		}
	}
	return nil
}
