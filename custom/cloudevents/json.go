package cloudevents

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// batch reads a batch (JSON format, section 4): all of it or nothing.
func batch(body []byte, most int) ([]Event, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, fault.New(fault.Invalid, "a batch is a JSON array of events")
	}
	var out []Event
	for d.More() {
		if len(out) == most {
			return nil, fault.Field("events", "1 to %d events are published at a time", most)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, malformed(d)
		}
		e, err := whole(raw)
		if err != nil {
			return nil, inEvent(len(out), err)
		}
		out = append(out, e)
	}
	return out, end(d, ']')
}

// whole reads an event in the JSON format.
func whole(raw []byte) (e Event, err error) {
	members, err := object(raw)
	if err != nil {
		return e, err
	}
	if _, ok := members["specversion"]; !ok {
		return e, fault.Field("specversion", "is missing; CloudEvents require it")
	}
	if err := e.takeData(members); err != nil {
		return e, err
	}
	for name, raw := range members {
		text, unset, err := attribute(name, raw)
		if err != nil {
			return e, err
		}
		if unset {
			continue
		}
		if err := e.set(name, text); err != nil {
			return e, err
		}
	}
	return e, e.complete()
}

// takeData takes data out of the members of an event (section 3.1).
func (e *Event) takeData(members map[string]json.RawMessage) error {
	data, plain := members["data"]
	coded, binary := members["data_base64"]
	delete(members, "data")
	delete(members, "data_base64")
	switch {
	case plain && binary:
		return fault.Field("data", "give data or data_base64, not both")
	case plain:
		e.Data = string(data)
	case binary:
		v, err := event.ParseJSON(coded)
		text, ok := v.(string)
		if err != nil || !ok {
			return fault.Field("data_base64", "must be text")
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fault.Field("data_base64", "is not Base64")
		}
		e.Data = string(b)
	}
	return nil
}

// attribute is the value of an attribute as text (section 2.2); unset if it is
// null, which says that it is not there (section 2.5).
func attribute(name string, raw json.RawMessage) (text string, unset bool, err error) {
	v, err := event.ParseJSON(raw)
	if err != nil {
		return "", false, fault.Field(clip(name), "%s", fault.Public(err))
	}
	switch v := v.(type) {
	case nil:
		return "", true, nil
	case string:
		return v, false, nil
	case bool:
		return strconv.FormatBool(v), false, nil
	case int64:
		return strconv.FormatInt(v, 10), false, nil
	}
	return "", false, fault.Field(clip(name), "an attribute is text, an integer, or true or false")
}

// object reads the members of a JSON object, and refuses names that repeat.
func object(raw []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fault.New(fault.Invalid, "an event is a JSON object")
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, malformed(d)
		}
		if _, twice := out[name]; twice {
			return nil, fault.Field(clip(name), "stands there twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, malformed(d)
		}
		out[name] = value
	}
	return out, end(d, '}')
}

// end reads what closes the value, and refuses what comes after it.
func end(d *json.Decoder, want json.Delim) error {
	if t, err := d.Token(); err != nil || t != want {
		return malformed(d)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "there is more after the JSON value, at byte %d", d.InputOffset())
	}
	return nil
}

func malformed(d *json.Decoder) error {
	return fault.New(fault.Invalid, "malformed JSON at byte %d", d.InputOffset())
}
