package event

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// AppendValue appends the deterministic encoding (RFC 8949 §4.2.1) of what
// fields hold. The common kinds are written here, in the bytes that
// Deterministic makes; everything else is left to it.
func AppendValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendText(dst, v), nil
	case []byte:
		return appendBytes(dst, v), nil
	case ID:
		return appendBytes(dst, v[:]), nil
	case SubjectID:
		return appendBytes(dst, v.ID[:]), nil
	case KeyID:
		return appendBytes(dst, v.ID[:]), nil
	case LogID:
		return appendBytes(dst, v.ID[:]), nil
	case Instant:
		return appendInt(dst, int64(v)), nil
	case int:
		return appendInt(dst, int64(v)), nil
	case int64:
		return appendInt(dst, v), nil
	case uint32:
		return head(dst, majorUint, uint64(v)), nil
	case uint64:
		return head(dst, majorUint, v), nil
	case bool:
		if v {
			return append(dst, simpleTrue), nil
		}
		return append(dst, simpleFalse), nil
	case nil, json.Number, []any, map[string]any:
		return appendJSON(dst, v)
	case cbor.RawMessage:
		if len(v) > 0 {
			return append(dst, v...), nil
		}
	}
	b, err := Deterministic.Marshal(v)
	return append(dst, b...), err
}

// Simple values (RFC 8949 §3.3).
const (
	simpleFalse = 0xf4
	simpleTrue  = 0xf5
)

// EncodeMap returns the deterministic encoding of a map with text keys. A
// cbor.RawMessage among the values must be encoded deterministically already.
func EncodeMap[V any](m map[string]V) ([]byte, error) {
	names := make([]string, 0, 16)
	size := 8
	for name := range m {
		names = append(names, name)
		size += len(name) + 48
	}
	slices.SortFunc(names, compareText)
	b := head(make([]byte, 0, size), majorMap, uint64(len(m)))
	for _, name := range names {
		var err error
		if b, err = AppendValue(appendText(b, name), m[name]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// compareText is the bytewise order of the encodings of texts (RFC 8949
// §4.2.1), whose lengths stand in front.
func compareText(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// publicValue is a field of a public payload with its value.
type publicValue struct {
	*Field
	value any
}

// encodePublic returns the map of a public payload: fields with numbers for
// keys come before those with names. nil if there are none.
func encodePublic(values []publicValue) ([]byte, error) {
	if len(values) == 0 {
		return nil, nil
	}
	slices.SortFunc(values, func(a, b publicValue) int {
		if (a.Key == 0) != (b.Key == 0) {
			return cmp.Compare(b.Key, a.Key)
		}
		return cmp.Or(cmp.Compare(a.Key, b.Key), compareText(a.Name, b.Name))
	})
	b := head(make([]byte, 0, 32+48*len(values)), majorMap, uint64(len(values)))
	for _, v := range values {
		if v.Key != 0 {
			b = head(b, majorUint, v.Key)
		} else {
			b = appendText(b, v.Name)
		}
		var err error
		if b, err = AppendValue(b, v.value); err != nil {
			return nil, err
		}
	}
	return b, nil
}
