package pebblelog

import (
	"encoding/binary"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var errMalformed = fault.New(fault.Corrupt, "a stored value is malformed")

// appendHead writes a head: format, term, holder, size, last, time in
// microseconds, then the frontier.
const headFormat = 2 // 1: digests of blind tags did not stand together

func appendHead(dst []byte, h eventlog.Head) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, headFormat), h.Term)
	dst = append(dst, h.Holder[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Size))
	dst = append(dst, h.Last[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Time.UnixMicro()))
	for _, f := range h.Frontier {
		dst = append(dst, f[:]...)
	}
	return dst
}

func parseHead(b []byte) (h eventlog.Head, err error) {
	r := reader{b: b}
	if format := r.bytes(1); r.bad || format[0] != headFormat {
		return h, fault.New(fault.Corrupt, "the log's head has a format that this version does not know")
	}
	h.Term = r.uint64()
	copy(h.Holder[:], r.bytes(16))
	h.Size = event.Position(r.uint64())
	copy(h.Last[:], r.bytes(32))
	h.Time = time.UnixMicro(int64(r.uint64())).UTC()
	for !r.bad && len(r.b) > 0 {
		var f event.Hash
		copy(f[:], r.bytes(32))
		h.Frontier = append(h.Frontier, f)
	}
	return h, r.err()
}

func appendStream(dst []byte, h eventlog.StreamHead) []byte {
	return append(binary.BigEndian.AppendUint64(dst, h.Version), h.Hash[:]...)
}

func parseStream(b []byte) (h eventlog.StreamHead, err error) {
	r := reader{b: b}
	h.Version = r.uint64()
	copy(h.Hash[:], r.bytes(32))
	return h, r.end()
}

// appendUse writes the other half of a key use: under a subject its key, under
// a key its subject.
func appendUse(dst []byte, other event.ID, erased bool) []byte {
	state := byte(0)
	if erased {
		state = 1
	}
	return append(append(dst, other[:]...), state)
}

func parseUse(b []byte) (other event.ID, erased bool, err error) {
	r := reader{b: b}
	copy(other[:], r.bytes(16))
	state := r.bytes(1)
	if !r.bad && state[0] > 1 {
		return other, false, errMalformed
	}
	return other, !r.bad && state[0] == 1, r.end()
}

func appendOutcome(dst []byte, o eventlog.Outcome) []byte {
	dst = append(dst, o.Digest[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(o.First))
	return binary.BigEndian.AppendUint64(dst, uint64(o.Last))
}

func parseOutcome(b []byte, a event.Actor, command event.ID) (o eventlog.Outcome, err error) {
	r := reader{b: b}
	o.Actor, o.Command = a, command
	copy(o.Digest[:], r.bytes(32))
	o.First, o.Last = event.Position(r.uint64()), event.Position(r.uint64())
	return o, r.end()
}

// appendBlock writes what is detached from a leaf for one sealed block: the
// ciphertext, then the subject's blind tags.
func appendBlock(dst, ciphertext []byte, subject event.SubjectID, blind []event.BlindTag) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(ciphertext))), ciphertext...)
	for _, t := range blind {
		if t.Subject != subject {
			continue
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(t.Name))), t.Name...)
		dst = binary.AppendUvarint(dst, uint64(t.N))
		dst = binary.AppendUvarint(dst, uint64(t.Version))
		dst = append(dst, t.Value[:]...)
	}
	return dst
}

// parseBlock copies what it returns.
func parseBlock(b []byte, subject event.SubjectID) (ciphertext []byte, blind []event.BlindTag, err error) {
	r := reader{b: b}
	ciphertext = append([]byte{}, r.bytes(int(r.uvarint()))...)
	for !r.bad && len(r.b) > 0 {
		t := event.BlindTag{Subject: subject, Name: string(r.bytes(int(r.uvarint()))), N: int(r.uvarint()), Version: uint32(r.uvarint())}
		copy(t.Value[:], r.bytes(32))
		blind = append(blind, t)
	}
	return ciphertext, blind, r.err()
}

// reader takes a value apart; after the first shortage it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); !r.bad {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) err() error {
	if r.bad {
		return errMalformed
	}
	return nil
}

// end is err for values that must be used up.
func (r *reader) end() error {
	if len(r.b) > 0 {
		return errMalformed
	}
	return r.err()
}
