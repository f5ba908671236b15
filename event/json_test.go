package event_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ledger/verify"
)

// Every number has one form, however it was spelled (docs/record-format.md).
func TestDecimal(t *testing.T) {
	for text, want := range map[string]any{
		"12": int64(12), "12.0": int64(12), "1.2e1": int64(12), "1200e-2": int64(12), "-0": int64(0), "0e9": int64(0), "0.0": int64(0),
		"9223372036854775807": int64(1<<63 - 1), "-9223372036854775808": int64(-1 << 63),
		"12.5": json.Number("12.5"), "12.50": json.Number("12.5"), "125e-1": json.Number("12.5"), "-0.05": json.Number("-0.05"),
		"9223372036854775808": json.Number("9223372036854775808e0"), "1e30": json.Number("1e30"), "10E29": json.Number("1e30"),
		"1e-30": json.Number("1e-30"),
	} {
		if got, err := event.Decimal(text); err != nil || got != want {
			t.Errorf("%s: %v (%T), %v; want %v", text, got, got, err, want)
		}
	}
	for _, text := range []string{"123456789012345678901", "1e401", "1e-999999999999", "1.00000000000000000000001"} {
		if got, err := event.Decimal(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// The bytes are those that the record format names.
func TestJSONBytes(t *testing.T) {
	for text, want := range map[string]string{
		"12.5": "c48220187d", "1e30": "c482181e01", "null": "f6", `[1,"a",false]`: "830161" + "61f4", `{"bb":1,"a":null}`: "a26161f662626201",
	} {
		v, err := event.ParseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.AppendValue(nil, v)
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v; want %s", text, got, err, want)
		}
	}
}

// What two readers could understand differently is refused, with its place.
func TestJSONRefuses(t *testing.T) {
	for text, place := range map[string]string{
		`{"a":1,"a":2}`: "/a", `{"x/y":{"b":1,"b":1}}`: "/x~1y/b", `[1,1e999]`: "/1", `{"a":`: "", `1 2`: "", "\"\xff\"": "", `"\ud800"`: "", `"\udc00\ud800"`: "",
		strings.Repeat("[", 12) + strings.Repeat("]", 12): strings.Repeat("/0", 11),
		``: "", `{"a":tru}`: "", `NaN`: "",
	} {
		v, err := event.ParseJSON([]byte(text))
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%.40s: %v, %v", text, v, err)
		}
		if e, ok := err.(*fault.Error); ok && e.Field != place {
			t.Errorf("%.40s: at %q, want %q", text, e.Field, place)
		}
	}
}

// Whatever is read can be written, recorded, verified by a stranger and read
// again; one value has one encoding, as JSON and as CBOR.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5,1e30,null,true,"\u00e9\ud83d\ude00"],"b":{}}`, `{"b":"<&>\u2028\t\u007f","a\"\\":[[],-7,{"é":"\n"}]}`, `"\\ud800"`, `-0`, `1e-400`, `18446744073709551615`, `-18446744073709551615`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := event.ParseJSON(raw)
		if err != nil {
			return
		}
		text := event.FormatJSON(v)
		if library := libraryJSON(v); !bytes.Equal(text, library) {
			t.Fatalf("%s: the library writes %s", text, library)
		}
		again, err := event.ParseJSON(text)
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%s: %v, read again as %v: %v", text, v, again, err)
		}
		enc, err := event.AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		back, err := event.DecodeJSON(enc)
		if err != nil || !reflect.DeepEqual(v, back) {
			t.Fatalf("%x: %v, decoded as %v: %v", enc, v, back, err)
		}
		if err := verify.CheckValue(enc); err != nil {
			t.Fatalf("%x: a stranger does not take it: %v", enc, err)
		}
	})
}

// libraryJSON is what encoding/json writes.
func libraryJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Only what AppendValue writes is read.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{"f6", "c48220187d", "a26161f662626201", "1817", "c4820001", "c48201f6", "c482203bffffffffffffffff"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := event.DecodeJSON(raw)
		if err != nil {
			return
		}
		if enc, err := event.AppendValue(nil, v); err != nil || !bytes.Equal(enc, raw) {
			t.Fatalf("%x is read as %v, written as %x: %v", raw, v, enc, err)
		}
	})
}

// A customer's event goes through the codec and comes back as it was.
func TestCustomRoundTrip(t *testing.T) {
	d := event.Descriptor{Type: "OrderCreated", Revision: 1, Fields: []event.Field{
		{Name: "entity", Kind: event.IDRef, Public: true, Tag: "entity"},
		{Name: "total", Kind: event.JSON, Public: true},
		{Name: "status", Kind: event.JSON, Public: true, Tag: "status"},
		{Name: "customer", Kind: event.JSON, Of: "entity", Blind: "customer", Fold: true},
	}}
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	id := event.NewID()
	c := event.Custom{Type: d.Type, Revision: 1, Fields: map[string]any{
		"entity": id, "total": json.Number("12.5"), "status": "new", "customer": "Ada"}}
	parts, err := d.Split(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := []event.Tag{event.NewTag("entity", id.String()), "status:new"}; !reflect.DeepEqual(parts.Tags, want) {
		t.Errorf("tags %v, want %v", parts.Tags, want)
	}
	if len(parts.Blind) != 1 || parts.Blind[0].Value != "Ada" {
		t.Errorf("blind tags %v", parts.Blind)
	}
	subject := event.SubjectID{ID: id}
	r := &event.Record{Type: d.Type, Revision: 1, Public: parts.Public,
		Blocks: []event.Block{{Subject: subject, Fields: []event.Commitment{{Path: "/customer"}}}}}
	fact, err := d.Decode(r, []event.Opened{{State: event.Present, Fields: parts.Sealed[subject]}})
	if err != nil || !reflect.DeepEqual(fact.Payload, c) {
		t.Errorf("came back as %v, %v", fact.Payload, err)
	}
	fact, err = d.Decode(r, []event.Opened{{State: event.Erased}})
	if got := fact.Payload.(event.Custom); err != nil || got.Gone["customer"] != event.Erased || got.Fields["customer"] != nil {
		t.Errorf("after the erasure: %v, %v", got, err)
	}
}

// A log's own types are learned when one is missing, and not before.
func TestLearn(t *testing.T) {
	r := event.NewRegistry()
	log := event.LogID{ID: event.NewID()}
	asked := 0
	r.Learn(log, func() error {
		if asked++; asked == 2 {
			return r.Add(log, event.Descriptor{Type: "OrderCreated", Revision: 1})
		}
		return nil
	})
	if _, err := r.Lookup(log, "subject.erased", 1); err != nil || asked > 0 {
		t.Errorf("a built-in type: %v, asked %d times", err, asked)
	}
	if _, err := r.Lookup(log, "OrderCreated", 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("before it exists: %v", err)
	}
	for range 2 {
		if _, err := r.Lookup(log, "OrderCreated", 1); err != nil || asked != 2 {
			t.Errorf("once it exists: %v, asked %d times", err, asked)
		}
	}
	if _, err := r.Lookup(event.LogID{ID: event.NewID()}, "OrderCreated", 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("in another log: %v", err)
	}
}
