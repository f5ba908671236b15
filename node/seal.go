package node

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"strings"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// header carries what authenticates a message, so that nobody reads the body of
// one that is not of a node: two parts in base64url with a dot between, what is
// bound (time, nonce, length and digest of the body) and its code.
const header = "Muniment-Node"

// window is how far the clocks of two nodes may be apart, and how long a
// message is good. Clocks further apart could not take turns at a log anyway.
const window = 30 * time.Second

// The directions of messages. One is never good for the other.
const (
	asking    = "muniment/node/ask/v2"
	answering = "muniment/node/answer/v2"
	following = "muniment/node/follow/v1"
	handing   = "muniment/node/hand/v1"
)

// stamp is what a message is bound to besides log, direction and body.
type stamp struct {
	at    time.Time // milliseconds
	nonce [16]byte  // an answer has that of what it answers
}

func newStamp(now time.Time) stamp {
	s := stamp{at: now}
	rand.Read(s.nonce[:]) // never fails (crypto/rand)
	return s
}

// envelope is what the header says of a message.
type envelope struct {
	stamp
	length uint64
	digest [sha256.Size]byte // of the body
}

// bound is how long the first part of the header is: time, nonce, length, digest.
const bound = 8 + 16 + 8 + sha256.Size

func (s stamp) envelope(body []byte) envelope {
	return envelope{s, uint64(len(body)), sha256.Sum256(body)}
}

func (e *envelope) bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, bound), uint64(e.at.UnixMilli()))
	b = append(b, e.nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, e.length)
	return append(b, e.digest[:]...)
}

// code authenticates what is bound.
func code(key []byte, direction string, log event.LogID, bound []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(direction)) // none is the beginning of another, and the rest is of fixed length
	m.Write(log.ID[:])
	m.Write(bound)
	return m.Sum(nil)
}

// sign makes the header of a message.
func (s stamp) sign(key []byte, direction string, log event.LogID, body []byte) string {
	e := s.envelope(body)
	b := e.bytes()
	return text(b) + "." + text(code(key, direction, log, b))
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

var errForged = fault.New(fault.Unauthenticated, "the message is not of a node of this log; do all nodes serve the same instance?")

// open takes a header apart and returns what it says if the code is right, and
// the body may be as long as it says.
func open(key []byte, direction string, log event.LogID, head string) (e envelope, err error) {
	first, second, ok := strings.Cut(head, ".")
	if !ok || len(head) > 256 {
		return e, errForged
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil || len(b) != bound {
		return e, errForged
	}
	got, err := base64.RawURLEncoding.Strict().DecodeString(second)
	if err != nil || len(key) == 0 || !hmac.Equal(got, code(key, direction, log, b)) {
		return e, errForged
	}
	e.at = time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	copy(e.nonce[:], b[8:])
	e.length = binary.BigEndian.Uint64(b[24:])
	copy(e.digest[:], b[32:])
	if e.length > maxBody {
		return e, errForged
	}
	return e, nil
}

// read reads the body that the header announced.
func (e *envelope) read(from io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, int64(e.length)))
	if err != nil {
		return nil, err
	}
	// Nothing in it is secret from whoever sent it: it may be compared as it comes.
	if uint64(len(body)) != e.length || sha256.Sum256(body) != e.digest {
		return nil, errForged
	}
	return body, nil
}

// fresh refuses what is too old, or of a clock that is far ahead.
func (s stamp) fresh(now time.Time) error {
	if d := now.Sub(s.at).Abs(); d > window {
		return fault.New(fault.Unavailable, "the clocks of two nodes are %s apart; set them right: nothing was changed", d.Round(time.Second))
	}
	return nil
}
