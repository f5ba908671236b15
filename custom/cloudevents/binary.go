package cloudevents

import (
	"strings"

	"muniment.dev/fault"
)

// prefix is that of the headers which hold attributes (section 3.1.3).
const prefix = "ce-"

// binary reads an event whose attributes are headers, and whose data is the body.
func binary(header map[string][]string, contentType string, body []byte) (e Event, err error) {
	version := false
	for name, values := range header {
		name = strings.ToLower(name)
		attribute, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if len(values) != 1 {
			return e, fault.Field(clip(attribute), "stands there twice")
		}
		if attribute == "datacontenttype" { // section 3.1.1: it is Content-Type
			return e, fault.Field(attribute, "is the header Content-Type")
		}
		version = version || attribute == "specversion"
		if err := e.set(attribute, decodeHeader(values[0])); err != nil {
			return e, err
		}
	}
	if !version {
		return e, fault.Field("specversion", "there is no header Ce-Specversion, and the body is no event in the JSON format (%s%s)", structured, format)
	}
	if len(body) > 0 {
		if err := jsonOnly("Content-Type", contentType); err != nil {
			return e, err
		}
		e.Data = string(body)
	}
	return e, e.complete()
}

// decodeHeader decodes the value of a header (section 3.1.3.2): out of quotation
// marks first, then a single round of percent-decoding. A percent sign that
// begins no encoded byte stands for itself, and so do bytes beyond ASCII: not
// every SDK encodes them, that of Go among others. The result has to be UTF-8,
// which set sees to.
func decodeHeader(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = unquote(s[1 : len(s)-1])
	}
	return decodePercent(s)
}

func decodePercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if high, low := digit(s[i+1]), digit(s[i+2]); high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unquote takes the backslashes out of a quoted string (RFC 9110 §5.6.4).
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
