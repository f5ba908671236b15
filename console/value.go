package console

import (
	"encoding/json"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
)

// valueText writes the value of an event's field: text as it is, all else as
// JSON.
func valueText(f *munimentv1.FieldValue) string {
	if f.GetValueJson() != "" {
		return f.GetValueJson()
	}
	v := f.GetValue().AsInterface()
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// plainValue is the value of an event's field, with its numbers exactly.
func plainValue(f *munimentv1.FieldValue) any {
	if v, err := event.ParseJSON([]byte(f.GetValueJson())); err == nil {
		return v
	}
	return f.GetValue().AsInterface()
}

// sameValue reports whether a field is now what it was.
func sameValue(a, b *munimentv1.FieldValue) bool {
	return a != nil && b != nil && !a.GetErased() && !b.GetErased() && !a.GetWithheld() && !b.GetWithheld() && valueText(a) == valueText(b)
}
