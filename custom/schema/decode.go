package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// maxLevels is how deep a document's JSON may nest. A schema within a schema
// takes two levels or three.
const maxLevels = 4*MaxNesting + 4

// A wrong is what is wrong at one place.
type wrong struct{ pointer, msg string }

func (w *wrong) Error() string { return w.msg }

// decoder reads a document strictly: no name twice in one object, UTF-8 only,
// nothing after the end. Numbers are int64 where they can be, else json.Number.
type decoder struct {
	json  *json.Decoder
	order []string // names of the root's properties, in their order
}

func decode(raw []byte) (doc any, order []string, err *wrong) {
	if len(raw) > MaxDocument {
		return nil, nil, &wrong{"", fmt.Sprintf("is %d bytes long; the limit is %d: split it, and point to the parts with $ref", len(raw), MaxDocument)}
	}
	if !utf8.Valid(raw) {
		return nil, nil, &wrong{"", "is not UTF-8"}
	}
	d := decoder{json: json.NewDecoder(bytes.NewReader(raw))}
	d.json.UseNumber()
	doc, err = d.value("", 0)
	if err != nil {
		return nil, nil, err
	}
	if _, end := d.json.Token(); end != io.EOF {
		return nil, nil, &wrong{"", "goes on after its end"}
	}
	return doc, d.order, nil
}

func (d *decoder) value(pointer string, level int) (any, *wrong) {
	t, err := d.json.Token()
	if err != nil {
		return nil, d.malformed(pointer, err)
	}
	if level > maxLevels {
		return nil, &wrong{pointer, fmt.Sprintf("is nested more than %d levels deep", maxLevels)}
	}
	switch t := t.(type) {
	case json.Number:
		return number(pointer, t)
	case json.Delim:
		if t == '[' {
			return d.array(pointer, level)
		}
		return d.object(pointer, level)
	}
	return t, nil
}

func (d *decoder) array(pointer string, level int) (any, *wrong) {
	list := []any{}
	for d.json.More() {
		v, w := d.value(at(pointer, strconv.Itoa(len(list))), level+1)
		if w != nil {
			return nil, w
		}
		list = append(list, v)
	}
	return list, d.end(pointer)
}

func (d *decoder) object(pointer string, level int) (any, *wrong) {
	object := map[string]any{}
	for d.json.More() {
		t, err := d.json.Token()
		if err != nil {
			return nil, d.malformed(pointer, err)
		}
		name, _ := t.(string)
		if _, ok := object[name]; ok {
			return nil, &wrong{at(pointer, name), "stands there twice"}
		}
		if pointer == "/properties" {
			d.order = append(d.order, name)
		}
		v, w := d.value(at(pointer, name), level+1)
		if w != nil {
			return nil, w
		}
		object[name] = v
	}
	return object, d.end(pointer)
}

func (d *decoder) end(pointer string) *wrong {
	if _, err := d.json.Token(); err != nil {
		return d.malformed(pointer, err)
	}
	return nil
}

func (d *decoder) malformed(pointer string, err error) *wrong {
	what := "it ends too early"
	if syntax, ok := err.(*json.SyntaxError); ok {
		what = syntax.Error()
	}
	return &wrong{pointer, fmt.Sprintf("is not JSON: %s, at byte %d", what, d.json.InputOffset())}
}

// number gives numbers the form that values have, and keeps what an exponent
// can cost in bounds.
func number(pointer string, n json.Number) (any, *wrong) {
	v, err := event.Decimal(n.String())
	if err != nil {
		return nil, &wrong{pointer, fault.Public(err)}
	}
	return v, nil
}
