package view

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Stored values are nil, int64, string or []byte, as the driver takes and gives
// them. Bool and Time (microseconds) are int64, ids are 16 bytes, Texts is a
// JSON array, IDs is 16 bytes for each.

// encode makes a stored value of v, which must fit the kind. Errors never hold
// the value.
func encode(k event.Kind, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch v := v.(type) { // the common ones without reflection
	case string:
		if k == event.Text {
			return checkText(v)
		}
	case event.ID:
		if k == event.IDRef {
			return v[:], nil
		}
	case event.Instant:
		if k == event.Time {
			return int64(v), nil
		}
	case time.Time:
		if k == event.Time {
			return v.UnixMicro(), nil
		}
	case bool:
		if k == event.Bool {
			return number(v), nil
		}
	}
	return encodeOther(k, reflect.ValueOf(v))
}

func encodeOther(k event.Kind, v reflect.Value) (any, error) {
	switch {
	case k == event.Text && v.Kind() == reflect.String:
		return checkText(v.String())
	case k == event.Int && v.CanInt():
		return v.Int(), nil
	case k == event.Int && v.CanUint() && v.Uint() <= math.MaxInt64:
		return int64(v.Uint()), nil
	case k == event.Bool && v.Kind() == reflect.Bool:
		return number(v.Bool()), nil
	case k == event.Bytes && v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return append([]byte{}, v.Bytes()...), nil
	case k == event.IDRef:
		if id, ok := asID(v.Interface()); ok {
			return id[:], nil
		}
	case k == event.Texts && v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		list := make([]string, v.Len())
		for i := range list {
			list[i] = v.Index(i).String()
		}
		b, err := json.Marshal(list)
		return string(b), err
	case k == event.IDs && v.Kind() == reflect.Slice:
		out := make([]byte, 0, 16*v.Len())
		for i := range v.Len() {
			id, ok := asID(v.Index(i).Interface())
			if !ok {
				return nil, misfit(k, v)
			}
			out = append(out, id[:]...)
		}
		return out, nil
	}
	return nil, misfit(k, v)
}

func misfit(k event.Kind, v reflect.Value) error {
	return fault.New(fault.Internal, "a %s does not fit a column of kind %s", v.Type(), k)
}

// checkText refuses what is no text. Events cannot hold it either.
func checkText(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, fault.New(fault.Invalid, "text must be UTF-8")
	}
	return s, nil
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func asID(v any) (event.ID, bool) {
	switch v := v.(type) {
	case event.ID:
		return v, true
	case event.SubjectID:
		return v.ID, true
	case event.LogID:
		return v.ID, true
	case event.KeyID:
		return v.ID, true
	}
	return event.ID{}, false
}

// decode is the opposite of encode: string, int64, bool, []byte, event.Instant,
// event.ID, []string, []event.ID, or nil.
func decode(k event.Kind, stored any) (any, error) {
	switch s := stored.(type) {
	case nil:
		return nil, nil
	case string:
		switch k {
		case event.Text:
			return s, nil
		case event.Texts:
			var list []string
			err := json.Unmarshal([]byte(s), &list)
			return list, err
		}
	case int64:
		switch k {
		case event.Int:
			return s, nil
		case event.Bool:
			return s != 0, nil
		case event.Time:
			return event.Instant(s), nil
		}
	case []byte:
		switch {
		case k == event.Bytes:
			return append([]byte{}, s...), nil
		case k == event.IDRef && len(s) == 16:
			return event.ID(s), nil
		case k == event.IDs && len(s)%16 == 0:
			list := make([]event.ID, 0, len(s)/16)
			for ; len(s) > 0; s = s[16:] {
				list = append(list, event.ID(s[:16]))
			}
			return list, nil
		}
	}
	return nil, fault.New(fault.Corrupt, "a stored value is no %s", k)
}

// fits reports whether decode will take a stored value.
func fits(k event.Kind, stored any) bool {
	switch s := stored.(type) {
	case nil:
		return true
	case int64:
		return k == event.Int || k == event.Bool || k == event.Time
	case []byte:
		return k == event.Bytes || k == event.IDRef && len(s) == 16 || k == event.IDs && len(s)%16 == 0
	case string:
		return k == event.Text || k == event.Texts && json.Valid([]byte(s))
	}
	return false
}

// unseal reaches into an event.Sealed of any type; ok is false for anything
// else.
func unseal(v any) (value any, state event.State, ok bool) {
	switch s := v.(type) {
	case event.Sealed[string]:
		return s.Value, s.State, true
	case event.Sealed[int64]:
		return s.Value, s.State, true
	case event.Sealed[bool]:
		return s.Value, s.State, true
	}
	r := reflect.ValueOf(v)
	if !r.IsValid() || r.Kind() != reflect.Struct || r.Type().PkgPath() != sealedPackage || !strings.HasPrefix(r.Type().Name(), "Sealed[") {
		return nil, 0, false
	}
	return r.FieldByName("Value").Interface(), r.FieldByName("State").Interface().(event.State), true
}

var sealedPackage = reflect.TypeFor[event.Sealed[string]]().PkgPath()
