package datacollect

import (
	"bytes"
	"encoding/json"
	"testing"

	"muniment.dev/custom"
	"muniment.dev/field"
)

// Whatever clients send is refused, or fits what the pack takes, and comes back
// as it was sent.
func TestFit(t *testing.T) {
	files, err := field.Pack()
	if err != nil {
		t.Fatal(err)
	}
	d, err := custom.Define(custom.Documents{Files: files}, custom.Go{})
	if err != nil {
		t.Fatal(err)
	}
	for typ, text := range map[string]string{
		"create-individual": `{"name":"Ada","dob":"1815-12-10","phone":7}`,
		"update-individual": `{"anything":{"deep":[1]}}`,
		"create-group":      `{"name":"Ockham","members":[{"guid":"x"}]}`,
		"add-member":        `{"members":[{"guid":"0190a1b2-0000-7000-8000-000000000001","name":"Ada","type":"individual"}]}`,
	} {
		var data map[string]any
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			t.Fatal(err)
		}
		body, _ := json.Marshal(map[string]any{"events": []any{map[string]any{"guid": "0190a1b2-0000-7000-8000-0000000000aa", "entityGuid": "0190a1b2-0000-7000-8000-0000000000bb", "type": typ, "data": data, "timestamp": "2026-03-01T00:00:00.000Z", "syncLevel": 0}}, "configId": "default"})
		got, err := parse(bytes.NewReader(body))
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v", typ, err)
		}
		def := d.Set.Events[typ].Latest()
		out := fit(def, got[0].data)
		if err := def.Validate(out); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
		if out[more] == nil || (typ == "create-individual") != (out["name"] == "Ada") || typ == "add-member" && out["members"] == nil {
			t.Errorf("%s: %v", typ, out)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"events":[{"guid":"0190a1b2-0000-7000-8000-0000000000aa","entityGuid":"0190a1b2-0000-7000-8000-0000000000bb","type":"x","data":{},"timestamp":"2026-03-01T00:00:00.000Z"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := parse(bytes.NewReader(raw))
		if err == nil && len(events) > maxEvents {
			t.Error("too many")
		}
	})
}
