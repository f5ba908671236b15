// Package cloudevents reads CloudEvents 1.0 as they come over HTTP: structured,
// binary and batched. It knows the words of that specification only; what an
// event means here is for its callers.
//
// The sections that comments name are those of the HTTP protocol binding and of
// the JSON event format, 1.0.2.
package cloudevents

import (
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"muniment.dev/fault"
)

// Event is an event with JSON data.
type Event struct {
	ID, Source, Type    string // never empty
	Subject, DataSchema string // empty: not given
	Time                time.Time
	Data                string // JSON text; empty: none
	// Extensions are the attributes that the specification does not name, in
	// the canonical text form of their types.
	Extensions map[string]string
}

// Identity is text that is the same for the same event, by its source and id
// (section 3.1.1 of the specification). A source is compared percent-decoded:
// SDKs that do not encode it for a header send in one mode what comes out of
// the other as something else.
func (e *Event) Identity() string {
	source := decodePercent(e.Source)
	return strconv.Itoa(len(source)) + ":" + source + e.ID
}

// The media types of whole events.
const (
	structured = "application/cloudevents"
	batched    = "application/cloudevents-batch"
	format     = "+json"
)

// Read reads the events of a request, at most most of them.
func Read(header map[string][]string, body []byte, most int) ([]Event, error) {
	text, err := contentType(header)
	if err != nil {
		return nil, err
	}
	name, params, err := mime.ParseMediaType(text)
	if err != nil && text != "" {
		return nil, fault.Field("Content-Type", "is not a media type")
	}
	// Section 3: the prefix application/cloudevents tells whole events from data.
	switch {
	case name == batched+format:
		return one(utf8Only(params), func() ([]Event, error) { return batch(body, most) })
	case name == structured+format:
		return one(utf8Only(params), func() ([]Event, error) {
			e, err := whole(body)
			return []Event{e}, inEvent(0, err)
		})
	case strings.HasPrefix(name, structured):
		return nil, fault.Field("Content-Type", "events are read in the JSON format only: %s%s or %s%s", structured, format, batched, format)
	}
	e, err := binary(header, text, body)
	return []Event{e}, inEvent(0, err)
}

func one(err error, read func() ([]Event, error)) ([]Event, error) {
	if err != nil {
		return nil, err
	}
	return read()
}

func utf8Only(params map[string]string) error {
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return fault.Field("Content-Type", "the body must be UTF-8")
	}
	return nil
}

func contentType(header map[string][]string) (string, error) {
	var found []string
	for name, values := range header {
		if strings.EqualFold(name, "Content-Type") {
			found = append(found, values...)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fault.Field("Content-Type", "stands there twice")
}

// inEvent says which event of a request an error is about.
func inEvent(i int, err error) error {
	f, ok := err.(*fault.Error)
	if !ok {
		return err
	}
	if f.Field == "Content-Type" {
		return f
	}
	e := *f
	e.Field = "events[" + strconv.Itoa(i) + "]"
	if f.Field != "" {
		e.Field += "." + f.Field
	}
	return &e
}

// set takes an attribute in its text form.
func (e *Event) set(name, value string) (err error) {
	if !isName(name) {
		return fault.Field(clip(name), "names of attributes are lower-case letters and digits")
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, isControl) {
		return fault.Field(clip(name), "holds a control character, or is not UTF-8")
	}
	switch name {
	case "specversion":
		if value != "1.0" {
			err = fault.Field(name, "only version 1.0 of CloudEvents is read")
		}
	case "id":
		e.ID = value
	case "source":
		e.Source = value
	case "type":
		e.Type = value
	case "subject":
		e.Subject = value
	case "dataschema":
		e.DataSchema = value
	case "datacontenttype":
		err = jsonOnly(name, value)
	case "time":
		if e.Time, err = time.Parse(time.RFC3339Nano, value); err != nil {
			err = fault.Field(name, "must be a time as RFC 3339 writes it")
		}
	case "data", "data_base64":
		err = fault.Field(name, "is not an attribute")
	default:
		if e.Extensions == nil {
			e.Extensions = map[string]string{}
		}
		e.Extensions[name] = value
	}
	return err
}

// complete refuses an event without what the specification requires.
func (e *Event) complete() error {
	for _, a := range [][2]string{{"id", e.ID}, {"source", e.Source}, {"type", e.Type}} {
		if a[1] == "" {
			return fault.Field(a[0], "is missing; CloudEvents require it")
		}
	}
	return nil
}

// jsonOnly refuses data that is not JSON.
func jsonOnly(field, text string) error {
	name, params, err := mime.ParseMediaType(text)
	if err != nil || !strings.HasSuffix(name, "/json") && !strings.HasSuffix(name, "+json") {
		return fault.Field(field, "the data of events must be JSON")
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
		return fault.Field(field, "the data of events must be UTF-8")
	}
	return nil
}

const maxName = 64

func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// isControl reports what the specification's strings must not hold.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }

// clip makes a stranger's name fit for an error.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxName {
		s = strings.ToValidUTF8(s[:maxName], "")
	}
	return s
}
