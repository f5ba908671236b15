package event

import (
	"crypto/rand"
	"encoding/hex"

	"muniment.dev/fault"
)

// ID is 16 bytes from the system's random source: the identity of an event, an
// aggregate or a command. Its text form is 32 lower-case hexadecimal digits.
// Ids carry no meaning and are never made from names.
type ID [16]byte

// NewID returns a fresh random id.
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never fails (crypto/rand)
	return id
}

// ParseID reads the text form: exactly 32 lower-case hexadecimal digits, or
// the same with the four dashes of a UUID.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if len(s) != 32 {
		return id, fault.New(fault.Invalid, "an id is 32 lower-case hexadecimal digits")
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return id, fault.New(fault.Invalid, "an id is 32 lower-case hexadecimal digits")
		}
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err
}

// UUID is the id as a UUID is written (RFC 9562 §4), as customers' own are.
func (id ID) UUID() string {
	s := id.String()
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// MustID is ParseID for constants; it panics on error.
func MustID(s string) ID {
	id, err := ParseID(s)
	if err != nil {
		panic("event: bad id constant " + s)
	}
	return id
}

// IsZero reports whether the id was never set.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the text form.
func (id ID) String() string {
	var b [2 * len(id)]byte
	hex.Encode(b[:], id[:])
	return string(b[:])
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	if err == nil {
		*id = v
	}
	return err
}

// MarshalCBOR writes the id as a byte string of 16 bytes.
func (id ID) MarshalCBOR() ([]byte, error) { return append([]byte{0x50}, id[:]...), nil }

// UnmarshalCBOR reads a byte string of 16 bytes.
func (id *ID) UnmarshalCBOR(b []byte) error {
	if len(b) != 17 || b[0] != 0x50 {
		return fault.New(fault.Corrupt, "an id is a byte string of 16 bytes")
	}
	copy(id[:], b[1:])
	return nil
}

// LogID names a log: one instance's records in one generation.
type LogID struct{ ID }

// SubjectID names whatever has a key of its own: a person, an instance, a
// day's visitors.
type SubjectID struct{ ID }

// KeyID names one key of one subject, for ever.
type KeyID struct{ ID }

// Hash is a SHA-256 value.
type Hash [32]byte

// String returns lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }
