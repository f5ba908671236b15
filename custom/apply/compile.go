package apply

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"muniment.dev/fault"
)

// A compiler reads one declaration.
type compiler struct {
	env        Env
	limits     Limits
	event      map[string]bool // fields that expressions and pointers may read; nil: any
	entity     map[string]bool
	variables  []string // of expressions
	celEnv     *cel.Env // made when an expression asks for it
	flows      map[Flow]bool
	writes     map[string]bool // fields of the entity
	ends       map[string]bool // what decides whether it is deleted
	conditions []string        // what the step's condition reads
	late       Late
}

func newCompiler(env Env, variables ...string) *compiler {
	return &compiler{
		env: env, limits: env.Limits.orDefault(), variables: variables,
		event: setOf(env.EventFields), entity: setOf(env.EntityFields), flows: map[Flow]bool{},
		writes: map[string]bool{}, ends: map[string]bool{},
	}
}

func setOf(names []string) map[string]bool {
	if names == nil {
		return nil
	}
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

func invalid(at, format string, args ...any) error { return fault.Field(at, format, args...) }

// steps reads a step or a list of steps.
func (c *compiler) steps(at string, raw any) ([]step, error) {
	list, isList := raw.([]any)
	if !isList {
		s, err := c.step(at, raw)
		return []step{s}, err
	}
	if len(list) == 0 {
		return nil, invalid(at, "there is no step: leave it out to merge all fields, or write {\"unset\": []} to change nothing")
	}
	if len(list) > c.limits.Steps {
		return nil, invalid(at, "%d steps, the limit is %d", len(list), c.limits.Steps)
	}
	steps := make([]step, len(list))
	for i, raw := range list {
		var err error
		if steps[i], err = c.step(fmt.Sprintf("%s/%d", at, i), raw); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// kinds are what a step may do, by the name that says so.
func (c *compiler) kinds() map[string]func(at string, raw any) (action, error) {
	return map[string]func(string, any) (action, error){
		"merge": c.merge, "set": c.set, "unset": c.unset, "add": c.add, "remove": c.remove,
		"increment": c.increment, "decrement": c.decrement, "delete": c.delete,
		"wasm": c.wasm, "go": c.goFunc,
	}
}

func (c *compiler) step(at string, raw any) (step, error) {
	m, ok := raw.(map[string]any)
	if !ok {
		return step{}, invalid(at, "a step is an object such as {\"merge\": true}")
	}
	s := step{at: at}
	var err error
	if text, ok := m["if"]; ok {
		if s.cond, err = c.condition(pointerTo(at, "if"), text); err != nil {
			return step{}, err
		}
		c.conditions = s.cond.reads
		defer func() { c.conditions = nil }()
	}
	kind, err := c.kindOf(at, m)
	if err != nil {
		return step{}, err
	}
	s.opaque = kind == "wasm" || kind == "go"
	if s.opaque {
		c.late.Reads = append(c.late.Reads, "state.*")
	}
	c.late.Deletes = c.late.Deletes || s.opaque || kind == "delete"
	if kind == "wasm" {
		s.do, err = c.wasm(at, m)
		return s, err
	}
	s.do, err = c.kinds()[kind](pointerTo(at, kind), m[kind])
	return s, err
}

// kindOf finds the one thing that a step does, and refuses what it does not
// know: a name that is passed over would be a step that does not happen.
func (c *compiler) kindOf(at string, m map[string]any) (string, error) {
	kinds := c.kinds()
	kind := ""
	for _, name := range slices.Sorted(maps.Keys(m)) {
		switch {
		case name == "if", name == "function" && m["wasm"] != nil:
		case kinds[name] == nil:
			return "", invalid(pointerTo(at, name), "unknown; a step is one of %s, and may have an \"if\"", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		case kind != "":
			return "", invalid(at, "a step does one thing: make two of %q and %q", kind, name)
		default:
			kind = name
		}
	}
	if kind == "" {
		return "", invalid(at, "the step does nothing: it is one of %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	return kind, nil
}

// target checks the name of a field that is written, and notes what reaches it.
func (c *compiler) target(at, name string, reads ...string) error {
	if c.entity != nil && !c.entity[name] {
		return invalid(at, "the entity has no field %q: declare it there, or name another", name)
	}
	c.writes[name] = true
	for _, from := range reads {
		c.flow(from, name)
	}
	for _, from := range c.conditions {
		c.flow(from, name)
	}
	return nil
}

// flow notes that a field reaches another, each of the event's or the state's
// if from ends in .*, and each of the entity's if to is *.
func (c *compiler) flow(from, to string) {
	if to == "*" && c.entity != nil {
		for name := range c.entity {
			c.flow(from, name)
		}
		return
	}
	if strings.HasPrefix(from, "meta.") {
		c.late.Fields = append(c.late.Fields, to)
		return
	}
	names := c.entity
	variable, isAll := strings.CutSuffix(from, ".*")
	if variable == "event" {
		names = c.event
	}
	if !isAll || names == nil {
		c.flows[Flow{from, to}] = true
		return
	}
	for name := range names {
		c.flows[Flow{variable + "." + name, to}] = true
	}
}

func (c *compiler) flowList() []Flow {
	return slices.SortedFunc(maps.Keys(c.flows), func(a, b Flow) int {
		return cmp.Or(strings.Compare(a.To, b.To), strings.Compare(a.From, b.From))
	})
}

// reads checks the name of a field of the event.
func (c *compiler) reads(at, name string) error {
	if c.event != nil && !c.event[name] {
		return invalid(at, "the event has no field %q", name)
	}
	return nil
}

// names reads a list of names without repetition.
func names(at string, raw any) ([]string, error) {
	list, ok := raw.([]any)
	if !ok {
		return nil, invalid(at, "this is a list of fields' names")
	}
	var result []string
	for i, v := range list {
		name, ok := v.(string)
		if !ok || name == "" || slices.Contains(result, name) {
			return nil, invalid(fmt.Sprintf("%s/%d", at, i), "this is the name of a field, each once, and not as a JSON pointer")
		}
		result = append(result, name)
	}
	return result, nil
}

// members gives an object's members in the order of their names.
func members(at string, raw any) ([]member, error) {
	m, ok := raw.(map[string]any)
	if !ok || len(m) == 0 {
		return nil, invalid(at, "this is an object whose names are fields")
	}
	var list []member
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, member{pointerTo(at, name), name, m[name]})
	}
	return list, nil
}

type member struct {
	at, name string
	value    any
}
