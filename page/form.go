package page

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"mime"
	"net/http"

	"muniment.dev/fault"
)

// TokenField is the name of the hidden field that every form carries.
const TokenField = "form_token"

// visit returns the random value that binds forms to this browser, making one
// if the browser has none.
func (s *Site) visit(w http.ResponseWriter, r *http.Request) string {
	if v := s.Cookie(r, visitCookie); tokenText(v) {
		return v
	}
	v := rand.Text()
	s.SetCookie(w, visitCookie, v, 0)
	s.replaceCookie(r, visitCookie, v) // one visit for all that this answer holds
	return v
}

// Token returns a fresh form token for this browser and its current session:
// nonce ‖ HMAC-SHA256(key, LP(purpose) ‖ LP(visit) ‖ LP(session) ‖ nonce), in
// base64url. It may set a cookie, so it comes before the body.
func (s *Site) Token(w http.ResponseWriter, r *http.Request) string {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	mac := s.mac("muniment/form/v1", s.visit(w, r), s.Session(r), nonce)
	return base64.RawURLEncoding.EncodeToString(append(nonce, mac...))
}

// mac authenticates the parts, each with its length in front.
func (s *Site) mac(purpose, visit, session string, rest []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	for _, p := range []string{purpose, visit, session} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	h.Write(rest)
	return h.Sum(nil)
}

// checkForm accepts a form of this origin, this browser and this session only,
// and leaves it parsed.
func (s *Site) checkForm(r *http.Request) error {
	if err := s.cross.Check(r); err != nil {
		return fault.New(fault.Denied, "this form was sent from another site; open the page here and send it again")
	}
	if err := parseForm(r); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return fault.New(fault.Exhausted, "the form is larger than %d KiB", bodyLimit(r)>>10)
		}
		return fault.New(fault.Invalid, "the form cannot be read; it is sent as application/x-www-form-urlencoded, or with files as multipart/form-data")
	}
	if !s.goodToken(r, r.PostForm[TokenField]) {
		return fault.New(fault.Denied, "this page was open for too long or in another session; go back, reload it and send the form again")
	}
	return nil
}

// The encodings of a form (HTML Living Standard §4.10.21.7), without files and
// with.
const (
	encoded   = "application/x-www-form-urlencoded"
	multipart = "multipart/form-data"
)

func encoding(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

func bodyLimit(r *http.Request) int64 {
	if encoding(r) == multipart {
		return maxFiles
	}
	return maxForm
}

// parseForm reads a form in memory.
func parseForm(r *http.Request) error {
	switch encoding(r) {
	case encoded:
		return r.ParseForm()
	case multipart:
		return r.ParseMultipartForm(maxFiles)
	}
	return errors.New("another encoding")
}

func (s *Site) goodToken(r *http.Request, fields []string) bool {
	visit := s.Cookie(r, visitCookie)
	if len(fields) != 1 || !tokenText(visit) {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(fields[0])
	if err != nil || len(b) != 16+sha256.Size {
		return false
	}
	return hmac.Equal(b[16:], s.mac("muniment/form/v1", visit, s.Session(r), b[:16]))
}
