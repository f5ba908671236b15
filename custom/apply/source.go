package apply

import (
	"slices"
	"strings"

	"muniment.dev/fault"
)

// A source is where a value comes from.
type source interface {
	// get gives the value. If there is none (absent), what would have been set
	// stays as it is; null is a value.
	get(r *run) (v any, present bool, err error)
}

// source reads where a value comes from: "/field" of the event, {"value": v},
// {"cel": "expression"} or {"meta": "name"}; and what it reads.
func (c *compiler) source(at string, raw any) (source, []string, error) {
	if text, ok := raw.(string); ok {
		return c.pointer(at, text)
	}
	m, ok := raw.(map[string]any)
	if ok && len(m) == 1 {
		for kind, v := range m {
			at := pointerTo(at, kind)
			switch kind {
			case "value":
				return constant(at, v)
			case "cel":
				e, err := c.expression(at, v)
				if err != nil {
					return nil, nil, err
				}
				return e, e.reads, nil
			case "meta":
				return metaOf(at, v)
			}
		}
	}
	return nil, nil, invalid(at, "say where it comes from: \"/field\" of the event, {\"value\": …}, {\"cel\": \"…\"} or {\"meta\": \"…\"}")
}

// fromEvent is a place in the event.
type fromEvent []string

func (c *compiler) pointer(at, text string) (source, []string, error) {
	tokens, ok := parsePointer(text)
	if !ok {
		return nil, nil, invalid(at, "this is no JSON pointer into the event, such as \"/field\"; write {\"value\": %q} if the text itself is meant", text)
	}
	if err := c.reads(at, tokens[0]); err != nil {
		return nil, nil, err
	}
	return fromEvent(tokens), []string{"event." + tokens[0]}, nil
}

func (p fromEvent) get(r *run) (any, bool, error) {
	v, ok := lookup(r.in.Event, p)
	return v, ok, nil
}

// always is a value that stands in the declaration.
type always struct{ v any }

func constant(at string, v any) (source, []string, error) {
	if v == nil {
		return nil, nil, invalid(at, "no field is null: use \"unset\"")
	}
	return always{v}, nil, nil
}

func (k always) get(*run) (any, bool, error) { return k.v, true, nil }

// fromMeta is something that is known of the event beside its fields.
type fromMeta string

func metaOf(at string, raw any) (source, []string, error) {
	name, _ := raw.(string)
	if !slices.Contains(metaNames[:], name) {
		return nil, nil, invalid(at, "it is one of %s", strings.Join(metaNames[:], ", "))
	}
	if isLate(name) {
		return fromMeta(name), []string{"meta." + name}, nil
	}
	return fromMeta(name), nil, nil
}

func (m fromMeta) get(r *run) (any, bool, error) {
	v, ok := r.metaValues()[string(m)]
	return v, ok, nil
}

// listOf gives a source's value as a list: its elements, or itself.
func listOf(s source, r *run) ([]any, error) {
	v, ok, err := s.get(r)
	if err != nil || !ok || v == nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return []any{v}, nil
	}
	if slices.Contains(list, nil) {
		return nil, fault.New(fault.Refused, "a list holds null")
	}
	return list, nil
}
