package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// Note is a message shown once, on the next page: what the person just did and
// what follows from it. It travels in a cookie, never in an address.
type Note struct {
	Tone Tone
	Text string
}

// Tone says what a note, a badge or a box is about; it chooses colour and icon.
type Tone string

// The tones. Calm is the zero value.
const (
	Calm Tone = ""
	Good Tone = "good"
	Warn Tone = "warn"
	Bad  Tone = "bad"
)

// maxNote bounds a note, in bytes, so that it fits a cookie.
const maxNote = 1024

// Say keeps a note for the next page that this browser opens.
func (s *Site) Say(w http.ResponseWriter, r *http.Request, n Note) {
	b := []byte(string(n.Tone) + "\n" + n.Text)
	b = b[:min(len(b), maxNote)]
	mac := s.mac("muniment/note/v1", s.visit(w, r), "", b)
	s.SetCookie(w, flashCookie, base64.RawURLEncoding.EncodeToString(append(mac, b...)), 2*time.Minute)
}

// note takes the kept note, or nil. One that this site did not write for this
// browser is dropped.
func (s *Site) note(w http.ResponseWriter, r *http.Request) *Note {
	v := s.Cookie(r, flashCookie)
	if v == "" {
		return nil
	}
	s.ClearCookie(w, flashCookie)
	b, err := base64.RawURLEncoding.Strict().DecodeString(v)
	if err != nil || len(b) < sha256.Size {
		return nil
	}
	mac, b := b[:sha256.Size], b[sha256.Size:]
	if !hmac.Equal(mac, s.mac("muniment/note/v1", s.Cookie(r, visitCookie), "", b)) {
		return nil
	}
	tone, text, ok := strings.Cut(strings.ToValidUTF8(string(b), ""), "\n")
	if !ok {
		return nil
	}
	return &Note{Tone: Tone(tone), Text: text}
}
