// Package eventtest keeps examples of event types for ever. Each type and
// revision that was ever released has a file testdata/events/<type>.<revision>.json
// in its slice, which is written once and never changed: whatever is done to the
// code later, those bytes must decode to what they said then.
package eventtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/event"
)

// folder is where the examples of a slice are.
const folder = "testdata/events"

// example is one record's payload as stored, and what it says.
type example struct {
	Type     string            `json:"type"`
	Revision uint32            `json:"revision"`
	Public   string            `json:"public"` // CBOR, hexadecimal
	Tags     []event.Tag       `json:"tags,omitempty"`
	Sealed   map[string]string `json:"sealed,omitempty"` // by subject: CBOR map by path, hexadecimal, in the clear
	Says     map[string]any    `json:"says"`
}

// Golden checks the examples of a slice's event types: every file decodes to
// what it says, and is written again as the same bytes; every type has a file
// for its revision. With MUNIMENT_UPDATE=1 in the environment missing files are
// made; none is changed.
func Golden(t *testing.T, types []event.Descriptor) {
	t.Helper()
	if os.Getenv("MUNIMENT_UPDATE") != "" {
		for i := range types {
			write(t, &types[i])
		}
	}
	paths, err := filepath.Glob(folder + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range paths {
		e := read(t, path)
		seen[path] = true
		t.Run(filepath.Base(path), func(t *testing.T) {
			i := slices.IndexFunc(types, func(d event.Descriptor) bool { return d.Type == e.Type && d.Revision == e.Revision })
			if i < 0 {
				t.Fatal("records of this type can be in logs, and nothing decodes them any more")
			}
			check(t, &types[i], e)
		})
	}
	for i := range types {
		if path := file(&types[i]); !seen[path] {
			t.Errorf("there is no %s: run go test with MUNIMENT_UPDATE=1, and look at what it makes", path)
		}
	}
}

func file(d *event.Descriptor) string {
	return filepath.Join(folder, fmt.Sprintf("%s.%d.json", d.Type, d.Revision))
}

func read(t *testing.T, path string) (e example) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return e
}

// check decodes an example and writes it again.
func check(t *testing.T, d *event.Descriptor, e example) {
	t.Helper()
	f, err := d.Decode(e.record(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := says(d, f.Payload); !reflect.DeepEqual(got, e.Says) {
		t.Errorf("it says\n%v\nand once said\n%v", got, e.Says)
	}
	parts, err := d.Split(f.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(parts.Public) != e.Public || !slices.Equal(parts.Tags, e.Tags) {
		t.Errorf("written again it is %x %v", parts.Public, parts.Tags)
	}
	if got := sealed(t, parts); !maps.Equal(got, e.Sealed) {
		t.Errorf("written again, what is sealed is\n%v, was\n%v", got, e.Sealed)
	}
}

// record is the example as a record whose blocks were opened.
func (e example) record(t *testing.T) (*event.Record, []event.Opened) {
	t.Helper()
	r := &event.Record{Type: e.Type, Revision: e.Revision, Public: unhex(t, e.Public), Tags: e.Tags}
	var opened []event.Opened
	for _, subject := range slices.Sorted(maps.Keys(e.Sealed)) {
		fields := map[string]cbor.RawMessage{}
		if err := event.Strict.Unmarshal(unhex(t, e.Sealed[subject]), &fields); err != nil {
			t.Fatal(err)
		}
		b := event.Block{Subject: event.SubjectID{ID: event.MustID(subject)}}
		for path := range fields {
			b.Fields = append(b.Fields, event.Commitment{Path: path})
		}
		r.Blocks, opened = append(r.Blocks, b), append(opened, event.Opened{State: event.Present, Fields: fields})
	}
	return r, opened
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sealed(t *testing.T, p *event.Parts) map[string]string {
	t.Helper()
	var out map[string]string
	for subject, fields := range p.Sealed {
		b, err := event.Deterministic.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[subject.String()] = hex.EncodeToString(b)
	}
	return out
}

// says is a payload as JSON knows it, by field name.
func says(d *event.Descriptor, payload any) map[string]any {
	v := reflect.ValueOf(payload)
	out := map[string]any{}
	for i := range d.Fields {
		value := v.Field(i).Interface()
		if !d.Fields[i].Public {
			s := v.Field(i)
			value = map[string]any{s.FieldByName("State").Interface().(event.State).String(): s.FieldByName("Value").Interface()}
		}
		out[d.Fields[i].Name] = value
	}
	var plain map[string]any
	b, err := json.Marshal(out)
	if err == nil {
		err = json.Unmarshal(b, &plain)
	}
	if err != nil {
		panic(err) // a kind of field that JSON does not know
	}
	return plain
}

// write makes the example of a type that has none.
func write(t *testing.T, d *event.Descriptor) {
	t.Helper()
	if _, err := os.Stat(file(d)); err == nil {
		return
	}
	e := example{Type: d.Type, Revision: d.Revision}
	public, hidden := map[any]any{}, map[string]map[string]cbor.RawMessage{}
	for _, f := range d.Fields {
		v := sample(f.Kind, f.Name)
		switch {
		case f.Public && f.Key != 0:
			public[f.Key] = v
		case f.Public:
			public[f.Name] = v
		case !f.Only:
			subject := sample(event.IDRef, f.Of).(event.ID).String()
			if hidden[subject] == nil {
				hidden[subject] = map[string]cbor.RawMessage{}
			}
			hidden[subject][f.Path()] = encoded(t, v)
		}
	}
	e.Public = hex.EncodeToString(encoded(t, public))
	for subject, fields := range hidden {
		if e.Sealed == nil {
			e.Sealed = map[string]string{}
		}
		e.Sealed[subject] = hex.EncodeToString(encoded(t, fields))
	}
	f, err := d.Decode(e.record(t))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := d.Split(f.Payload)
	if err != nil {
		t.Fatal(err)
	}
	e.Tags, e.Says = parts.Tags, says(d, f.Payload)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file(d), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := event.Deterministic.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sample is a value of a kind, the same for the same name.
func sample(k event.Kind, name string) any {
	id := func(s string) event.ID { h := sha256.Sum256([]byte(s)); return event.ID(h[:16]) }
	switch k {
	case event.Int:
		return int64(42)
	case event.Bool:
		return true
	case event.Bytes:
		return []byte(name)
	case event.Time:
		return int64(1_700_000_000_000_000)
	case event.IDRef:
		return id(name)
	case event.Texts:
		return []string{name + " one", name + " two"}
	case event.IDs:
		return []event.ID{id(name + " one"), id(name + " two")}
	}
	return "a " + name
}
