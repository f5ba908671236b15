package node

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// header carries time, nonce and code of a message: three parts in base64url,
// with dots between.
const header = "Muniment-Node"

// window is how far the clocks of two nodes may be apart, and how long a
// message is good. Clocks further apart could not take turns at a log anyway.
const window = 30 * time.Second

// The directions of messages. One is never good for the other.
const (
	asking    = "muniment/node/ask/v1"
	answering = "muniment/node/answer/v1"
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

// code is the message's authentication code.
func (s stamp) code(key []byte, direction string, log event.LogID, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	sum := sha256.Sum256(body)
	m.Write([]byte(direction)) // of fixed lengths, all of them
	m.Write(log.ID[:])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(s.at.UnixMilli())))
	m.Write(s.nonce[:])
	m.Write(sum[:])
	return m.Sum(nil)
}

// sign makes the header of a message.
func (s stamp) sign(key []byte, direction string, log event.LogID, body []byte) string {
	at := binary.BigEndian.AppendUint64(nil, uint64(s.at.UnixMilli()))
	return text(at) + "." + text(s.nonce[:]) + "." + text(s.code(key, direction, log, body))
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

var errForged = fault.New(fault.Unauthenticated, "the message is not of a node of this log; do all nodes serve the same instance?")

// check takes a header apart and returns the stamp if the code is right.
func check(key []byte, direction string, log event.LogID, head string, body []byte) (stamp, error) {
	var s stamp
	parts := strings.Split(head, ".")
	if len(parts) != 3 || len(head) > 128 {
		return s, errForged
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil {
			return s, errForged
		}
		raw[i] = b
	}
	if len(raw[0]) != 8 || len(raw[1]) != len(s.nonce) {
		return s, errForged
	}
	s.at = time.UnixMilli(int64(binary.BigEndian.Uint64(raw[0])))
	copy(s.nonce[:], raw[1])
	if len(key) == 0 || !hmac.Equal(raw[2], s.code(key, direction, log, body)) {
		return s, errForged
	}
	return s, nil
}

// fresh refuses what is too old, or of a clock that is far ahead.
func (s stamp) fresh(now time.Time) error {
	if d := now.Sub(s.at).Abs(); d > window {
		return fault.New(fault.Unavailable, "the clocks of two nodes are %s apart; set them right: nothing was changed", d.Round(time.Second))
	}
	return nil
}
