package event

import (
	"bytes"
	"encoding/binary"
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
	var (
		e       mapEncoder
		buf     [512]byte
		entries [12]mapEntry
	)
	e.buf, e.entries = buf[:0], entries[:0]
	for name, v := range m {
		e.begin()
		e.buf = appendText(e.buf, name)
		if err := e.value(v); err != nil {
			return nil, err
		}
	}
	return e.encode(), nil
}

// mapEncoder encodes a map whose entries come in any order. They are written
// one behind the other first, and put in order in the end.
type mapEncoder struct {
	buf     []byte
	entries []mapEntry
}

// mapEntry says where an entry stands.
type mapEntry struct{ start, value, end int }

// begin begins an entry; the caller appends its key to buf, then its value.
func (e *mapEncoder) begin() {
	e.entries = append(e.entries, mapEntry{start: len(e.buf)})
}

// value ends the entry with a value.
func (e *mapEncoder) value(v any) (err error) {
	last := &e.entries[len(e.entries)-1]
	last.value = len(e.buf)
	e.buf, err = AppendValue(e.buf, v)
	last.end = len(e.buf)
	return err
}

// encode returns the map, its keys in the bytewise order of their encodings
// (RFC 8949 §4.2.1).
func (e *mapEncoder) encode() []byte {
	slices.SortFunc(e.entries, func(a, b mapEntry) int { return bytes.Compare(e.buf[a.start:a.value], e.buf[b.start:b.value]) })
	out := head(make([]byte, 0, len(e.buf)+binary.MaxVarintLen64), majorMap, uint64(len(e.entries)))
	for _, at := range e.entries {
		out = append(out, e.buf[at.start:at.end]...)
	}
	return out
}
