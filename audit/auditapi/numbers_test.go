package auditapi

import (
	"encoding/json"
	"testing"

	"muniment.dev/audit"
	"muniment.dev/event"
)

// A number is answered as a number if a reader of JSON has the same one then,
// and as its digits otherwise; the text beside it is exact.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		value      any
		json, text string
	}{
		{int64(1 << 53), "9007199254740992", ""},
		{int64(1<<53 + 1), `"9007199254740993"`, "9007199254740993"},
		{int64(-1<<53 - 1), `"-9007199254740993"`, "-9007199254740993"},
		{json.Number("0.1"), "0.1", ""},
		{json.Number("0.12345678901234567890123"), `"0.12345678901234567890123"`, "0.12345678901234567890123"},
		{[]any{int64(1), map[string]any{"n": int64(1<<62 + 1)}}, `[1,{"n":"4611686018427387905"}]`, `[1,{"n":4611686018427387905}]`},
		{[]string{"a"}, `["a"]`, ""},
		{nil, "null", ""},
	} {
		got, err := value(audit.Shown{State: event.Present, Value: c.value})
		if err != nil {
			t.Fatalf("%v: %v", c.value, err)
		}
		b, err := json.Marshal(got.GetValue().AsInterface())
		if err != nil || string(b) != c.json || got.GetValueJson() != c.text {
			t.Errorf("%v: %s and %q, want %s and %q", c.value, b, got.GetValueJson(), c.json, c.text)
		}
	}
}
