package apply

import (
	"context"
	"os"
	"reflect"
	"regexp"
	"testing"
	"time"

	"muniment.dev/event"
)

// TestReference: the examples of the reference do what they say.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/appliers.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 11 {
		t.Fatalf("only %d examples", len(blocks))
	}
	for _, b := range blocks {
		example := object(t, b[1])
		if raw, ok := example["x-upcast"]; ok {
			referenceUpcast(t, raw, example)
			continue
		}
		p, err := Compile(example["x-apply"], Env{})
		if err != nil {
			t.Errorf("%s%v", b[1], err)
			continue
		}
		in := Input{Meta: meta}
		in.State, _ = example["state"].(map[string]any)
		in.Event, _ = example["event"].(map[string]any)
		if m, ok := example["meta"].(map[string]any); ok {
			at, err := time.Parse(time.RFC3339, m["time"].(string))
			if err != nil {
				t.Fatal(err)
			}
			in.Meta.Time = event.Instant(at.UnixMicro())
		}
		out, err := p.Apply(context.Background(), in)
		want, _ := example["result"].(map[string]any)
		if err != nil || !reflect.DeepEqual(out.State, want) || out.Deleted != (example["deleted"] == true) {
			t.Errorf("%sgives %s %v", b[1], event.FormatJSON(out.State), err)
		}
	}
}

func referenceUpcast(t *testing.T, raw any, example map[string]any) {
	u, err := CompileUpcast(raw, Env{})
	if err != nil {
		t.Error(err)
		return
	}
	got, err := u.Up(context.Background(), example["event"].(map[string]any))
	if err != nil || !reflect.DeepEqual(got, example["result"]) {
		t.Errorf("gives %s %v", event.FormatJSON(got), err)
	}
}
