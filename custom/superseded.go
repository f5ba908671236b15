package custom

import (
	"bytes"
	"maps"

	"muniment.dev/event"
)

// ContextSuperseded is the item of a record's context that says which of its
// fields another event won over, made by somebody who did not know of this one;
// "" is all of it. The event stands in the log as it was made; an entity is what
// it is without those. It is written where events of devices are recorded,
// never by publishers.
const ContextSuperseded = "superseded"

// Superseded are the fields of a record that do not count.
func Superseded(r *event.Record) []string {
	if !bytes.Contains(r.Context, []byte(ContextSuperseded)) {
		return nil
	}
	list, _ := ContextOf(r)[ContextSuperseded].([]any)
	out := make([]string, 0, len(list))
	for _, v := range list {
		if name, ok := v.(string); ok {
			out = append(out, name)
		}
	}
	return out
}

// ContextOf is what is recorded around an event in clear.
func ContextOf(r *event.Record) map[string]any {
	var context map[string]any
	if err := event.Strict.Unmarshal(r.Context, &context); err != nil {
		return nil
	}
	return context
}

// leave is what is said of an event's fields without some of them.
func leave[V any](value map[string]V, fields []string) map[string]V {
	if len(fields) == 0 || len(value) == 0 {
		return value
	}
	out := maps.Clone(value)
	for _, name := range fields {
		delete(out, name)
	}
	return out
}
