package event

import (
	"bytes"
	"encoding/json"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/fault"
)

// JSON is the kind of fields that hold any JSON value (RFC 8259). In memory a
// JSON value is nil, bool, int64, json.Number, string, []any or map[string]any
// of these. A number that is an integer within int64 is an int64, however it
// was spelled; a json.Number is any other, in the one form that Decimal gives.
const JSON Kind = "json"

// MaxJSONDepth is how deep a JSON value may nest, itself counted, so that a
// leaf or a sealed block that holds it stays within what a leaf may.
const MaxJSONDepth = 12

// maxExponent bounds decimal fractions: 1e1000 is a number, and a bomb for
// whoever writes it out.
const maxExponent = 400

// ParseJSON reads one JSON value. It refuses (fault.Invalid) what two readers
// could understand differently: names that repeat, text that is not UTF-8 or
// half a surrogate pair, numbers that cannot be recorded exactly (a mantissa
// of more than 64 bits, an exponent beyond ±400), and what is nested deeper
// than MaxJSONDepth. Field is the JSON pointer (RFC 6901) of the place.
func ParseJSON(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, fault.New(fault.Invalid, "the JSON is not UTF-8")
	}
	if i := loneSurrogate(raw); i >= 0 {
		return nil, fault.New(fault.Invalid, "the JSON holds half a surrogate pair at byte %d", i)
	}
	p := jsonParser{d: json.NewDecoder(bytes.NewReader(raw))}
	p.d.UseNumber()
	v, err := p.value("", 1)
	if err != nil {
		return nil, err
	}
	if _, err := p.d.Token(); err != io.EOF {
		return nil, fault.New(fault.Invalid, "there is more after the JSON value, at byte %d", p.d.InputOffset())
	}
	return v, nil
}

// loneSurrogate finds an escaped surrogate without its other half, which
// encoding/json would replace in silence; -1 if there is none.
func loneSurrogate(raw []byte) int {
	unit := func(i int) (uint64, bool) {
		if len(raw) < i+6 || raw[i] != '\\' || raw[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
		return n, err == nil
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		n, ok := unit(i)
		switch {
		case !ok || n < 0xd800 || n > 0xdfff:
			i++
		case n <= 0xdbff:
			if low, ok := unit(i + 6); !ok || low < 0xdc00 || low > 0xdfff {
				return i
			}
			i += 11
		default:
			return i
		}
	}
	return -1
}

type jsonParser struct{ d *json.Decoder }

func (p *jsonParser) token() (json.Token, error) {
	t, err := p.d.Token()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, fault.New(fault.Invalid, "the JSON ends before it is complete")
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "malformed JSON at byte %d", p.d.InputOffset())
	}
	return t, nil
}

func (p *jsonParser) value(at string, depth int) (any, error) {
	t, err := p.token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if depth >= MaxJSONDepth {
			return nil, fault.Field(at, "nested deeper than %d", MaxJSONDepth)
		}
		if t == '[' {
			return p.array(at, depth)
		}
		return p.object(at, depth)
	case json.Number:
		v, err := Decimal(t.String())
		if err != nil {
			return nil, fault.Field(at, "%s", fault.Public(err))
		}
		return v, nil
	}
	return t, nil
}

func (p *jsonParser) array(at string, depth int) (any, error) {
	list := []any{}
	for p.d.More() {
		v, err := p.value(at+"/"+strconv.Itoa(len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.token()
	return list, err
}

func (p *jsonParser) object(at string, depth int) (any, error) {
	m := map[string]any{}
	for p.d.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		here := at + "/" + EscapePointer(name)
		if _, ok := m[name]; ok {
			return nil, fault.Field(here, "stands there twice")
		}
		if m[name], err = p.value(here, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := p.token()
	return m, err
}

// EscapePointer writes a name as a token of a JSON pointer (RFC 6901 §3).
func EscapePointer(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// Decimal gives a JSON number the one form that it has here: an int64, or the
// json.Number of a decimal fraction whose mantissa does not end in 0. It
// refuses (fault.Invalid) what cannot be recorded.
func Decimal(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && text[0] != '+' {
		return n, nil
	}
	negative, mantissa, exp, err := takeDecimal(text)
	if err != nil {
		return nil, err
	}
	if n, ok := integer(negative, mantissa, exp); ok {
		return n, nil
	}
	return json.Number(decimalText(negative, mantissa, exp)), nil
}

// takeDecimal reads a number as mantissa × 10^exp, the mantissa without zeros
// at its end.
func takeDecimal(text string) (negative bool, mantissa uint64, exp int64, err error) {
	number, power, hasPower := strings.Cut(strings.ReplaceAll(text, "E", "e"), "e")
	if hasPower {
		if exp, err = strconv.ParseInt(power, 10, 32); err != nil {
			return false, 0, 0, fault.New(fault.Invalid, "the number's exponent is too large")
		}
	}
	number, negative = strings.CutPrefix(number, "-")
	whole, fraction, _ := strings.Cut(number, ".")
	exp -= int64(len(fraction))
	digits := strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	exp += int64(len(digits) - len(short))
	if short == "" {
		return false, 0, 0, nil
	}
	if mantissa, err = strconv.ParseUint(short, 10, 64); err != nil {
		return false, 0, 0, fault.New(fault.Invalid, "the number has more than 19 digits; send it as text")
	}
	if exp > maxExponent || exp < -maxExponent {
		return false, 0, 0, fault.New(fault.Invalid, "the number's exponent is too large")
	}
	return negative, mantissa, exp, nil
}

func integer(negative bool, mantissa uint64, exp int64) (int64, bool) {
	if exp < 0 || exp > 19 {
		return 0, mantissa == 0
	}
	n := new(big.Int).Mul(new(big.Int).SetUint64(mantissa), new(big.Int).Exp(big.NewInt(10), big.NewInt(exp), nil))
	if negative {
		n.Neg(n)
	}
	return n.Int64(), n.IsInt64()
}

func decimalText(negative bool, mantissa uint64, exp int64) string {
	digits := strconv.FormatUint(mantissa, 10)
	sign := ""
	if negative {
		sign = "-"
	}
	point := int64(len(digits)) + exp // where the point stands in digits
	switch {
	case exp >= 0:
		return sign + digits + "e" + strconv.FormatInt(exp, 10)
	case point > 0:
		return sign + digits[:point] + "." + digits[point:]
	case point > -20:
		return sign + "0." + strings.Repeat("0", int(-point)) + digits
	}
	return sign + digits + "e" + strconv.FormatInt(exp, 10)
}

// FormatJSON writes a JSON value on one line, names sorted.
func FormatJSON(v any) []byte { return formatJSON(make([]byte, 0, 128), v) }

func formatJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case json.Number:
		if v != "" && strings.Trim(string(v), "0123456789-+.eE") == "" {
			return append(dst, v...)
		}
	case string:
		return formatText(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = formatJSON(dst, item)
		}
		return append(dst, ']')
	case map[string]any:
		return formatObject(dst, v)
	}
	return formatOther(dst, v)
}

func formatObject(dst []byte, m map[string]any) []byte {
	names := make([]string, 0, 16)
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = formatJSON(append(formatText(dst, name), ':'), m[name])
	}
	return append(dst, '}')
}

// formatText writes text; what needs to be escaped is left to the library.
func formatText(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return formatOther(dst, s)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

func formatOther(dst []byte, v any) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("event: not a JSON value: " + err.Error()) // the programmer's mistake
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// tagDecimal marks a decimal fraction (RFC 8949 §3.4.4) in its initial byte.
const (
	tagDecimal = 0xc4
	simpleNull = 0xf6
	majorTag   = 0xc0
)

// appendJSON appends the deterministic encoding of a JSON value.
func appendJSON(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, simpleNull), nil
	case json.Number:
		return appendDecimal(dst, v)
	case []any:
		dst = head(dst, majorArray, uint64(len(v)))
		var err error
		for _, item := range v {
			if dst, err = appendJSON(dst, item); err != nil {
				return nil, err
			}
		}
		return dst, nil
	case map[string]any:
		return appendObject(dst, v)
	}
	return AppendValue(dst, v)
}

func appendObject(dst []byte, m map[string]any) ([]byte, error) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, compareText)
	dst = head(dst, majorMap, uint64(len(m)))
	var err error
	for _, name := range names {
		if dst, err = appendJSON(appendText(dst, name), m[name]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendDecimal(dst []byte, n json.Number) ([]byte, error) {
	negative, mantissa, exp, err := takeDecimal(n.String())
	if err != nil {
		return nil, err
	}
	if i, ok := integer(negative, mantissa, exp); ok {
		return appendInt(dst, i), nil
	}
	dst = appendInt(head(append(dst, tagDecimal), majorArray, 2), exp)
	if negative {
		return head(dst, majorNeg, mantissa-1), nil
	}
	return head(dst, majorUint, mantissa), nil
}

// DecodeJSON reads what AppendValue wrote of a JSON value; fault.Corrupt for
// anything else.
func DecodeJSON(raw cbor.RawMessage) (any, error) {
	d := leafParser{b: raw}
	v := d.json(1)
	if len(d.b) > 0 {
		d.fail("ends before its bytes do")
	}
	if d.wrong != "" {
		return nil, fault.New(fault.Corrupt, "a field is not the JSON value that it must be: it %s", d.wrong)
	}
	return v, nil
}

func (d *leafParser) json(depth int) any {
	if len(d.b) == 0 || depth > maxNested {
		d.fail("is cut off, or nested too deep")
		return nil
	}
	switch d.b[0] & 0xe0 {
	case majorUint, majorNeg:
		return d.int()
	case majorText:
		return d.text()
	case majorArray:
		list := make([]any, d.count(1))
		for i := range list {
			list[i] = d.json(depth + 1)
		}
		return list
	case majorMap:
		return d.object(depth)
	case majorTag:
		return d.decimal()
	}
	b := d.b[0]
	d.b = d.b[1:]
	switch b {
	case simpleFalse, simpleTrue:
		return b == simpleTrue
	case simpleNull:
		return nil
	}
	d.fail("has a value of the wrong kind")
	return nil
}

func (d *leafParser) object(depth int) any {
	n := d.head(majorMap)
	if n > uint64(len(d.b)) {
		d.fail("has a map that is longer than it")
		return nil
	}
	m := make(map[string]any, n)
	last := ""
	for i := range n {
		name := d.text()
		if i > 0 && compareText(last, name) >= 0 {
			d.fail("has a map whose keys are out of order")
		}
		m[name], last = d.json(depth+1), name
	}
	return m
}

func (d *leafParser) decimal() any {
	if d.b[0] != tagDecimal {
		d.fail("has a tag that it must not have")
		return nil
	}
	d.b = d.b[1:]
	d.array(2)
	exp := d.int()
	negative := len(d.b) > 0 && d.b[0]&0xe0 == majorNeg
	major := byte(majorUint)
	if negative {
		major = majorNeg
	}
	mantissa := d.head(major)
	if negative {
		if mantissa++; mantissa == 0 {
			d.fail("has a number of more than 64 bits")
		}
	}
	if _, whole := integer(negative, mantissa, exp); whole || mantissa%10 == 0 || exp > maxExponent || exp < -maxExponent {
		d.fail("has a number that is not in its one form")
		return nil
	}
	return json.Number(decimalText(negative, mantissa, exp))
}
