package oidc

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// jar keeps what a person has begun in this browser and not finished, so that
// the server need not: one cookie per flow, named after the flow's id, which is
// also in the address of the pages. Several tabs therefore do not disturb each
// other. The value is sealed with AES-256-GCM, bound to issuer, kind and id; it
// holds no secrets, but personal data (login_hint).
type jar struct {
	issuer string
	keys   []cipher.AEAD // the first seals, all open
	secure bool
	now    func() time.Time
}

const (
	flowLife = time.Hour
	// Browsers keep 4096 bytes of a cookie; proxies often refuse a Cookie
	// header above 8 KiB, in which the session cookie also needs a place.
	maxFlow  = 3800
	maxFlows = 6000
)

// errFlowGone is what a stranger's, an expired and a finished flow look like.
var errFlowGone = fault.New(fault.NotFound, "this sign-in has expired or was completed; go back to the application and start again")

var errFlowTooLarge = errors.New("flow does not fit into a cookie")

type sealedFlow struct {
	Expires int64           `json:"e"` // unix seconds
	Value   json.RawMessage `json:"v"`
}

func newJar(issuer string, keys [][32]byte, now func() time.Time) (*jar, error) {
	j := &jar{issuer: issuer, secure: strings.HasPrefix(issuer, "https://"), now: now}
	for _, k := range keys {
		if k == [32]byte{} {
			return nil, fault.New(fault.Invalid, "a flow key must be 32 random bytes, not zeros")
		}
		b, err := aes.NewCipher(k[:])
		if err != nil {
			return nil, err
		}
		a, err := cipher.NewGCMWithRandomNonce(b)
		if err != nil {
			return nil, err
		}
		j.keys = append(j.keys, a)
	}
	if len(j.keys) == 0 {
		return nil, fault.New(fault.Invalid, "at least one flow key is needed")
	}
	return j, nil
}

// prefix of the cookies' names. Plain http is for loopback only, where
// browsers refuse the __Host- prefix.
func (j *jar) prefix() string {
	if j.secure {
		return "__Host-muniment-flow-"
	}
	return "muniment-flow-"
}

func (j *jar) aad(kind, id string) []byte {
	return []byte("muniment flow 1\x00" + j.issuer + "\x00" + kind + "\x00" + id)
}

// put stores v under id and lets go of the oldest flows that would make the
// Cookie header too long.
func (j *jar) put(w http.ResponseWriter, r *http.Request, kind, id string, v any) error {
	inner, err := json.Marshal(v)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(sealedFlow{Expires: j.now().Add(flowLife).Unix(), Value: inner})
	if err != nil {
		return err
	}
	value := base64.RawURLEncoding.EncodeToString(j.keys[0].Seal(nil, nil, plain, j.aad(kind, id)))
	if len(value) > maxFlow {
		return errFlowTooLarge
	}
	j.makeRoom(w, r, id, len(value))
	j.set(w, id, value, int(flowLife/time.Second))
	return nil
}

func (j *jar) set(w http.ResponseWriter, id, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: j.prefix() + id, Value: value, Path: "/", MaxAge: maxAge,
		Secure: j.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (j *jar) drop(w http.ResponseWriter, id string) { j.set(w, id, "", -1) }

// get reads the flow into v. Its error is errFlowGone.
func (j *jar) get(r *http.Request, kind, id string, v any) error {
	if _, err := event.ParseID(id); err != nil || len(id) != 32 {
		return errFlowGone
	}
	c, err := r.Cookie(j.prefix() + id)
	if err != nil {
		return errFlowGone
	}
	s, ok := j.open(c.Value, kind, id)
	if !ok || json.Unmarshal(s.Value, v) != nil {
		return errFlowGone
	}
	return nil
}

func (j *jar) open(value, kind, id string) (sealedFlow, bool) {
	var s sealedFlow
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(value) > maxFlow {
		return s, false
	}
	for _, k := range j.keys {
		plain, err := k.Open(nil, nil, b, j.aad(kind, id))
		if err == nil {
			return s, json.Unmarshal(plain, &s) == nil && j.now().Unix() < s.Expires
		}
	}
	return s, false
}

// makeRoom drops flows of this browser until size more bytes fit: first those
// that cannot be opened (expired, or of another server on this host: cookies
// do not know ports), then the oldest.
func (j *jar) makeRoom(w http.ResponseWriter, r *http.Request, except string, size int) {
	type kept struct {
		id      string
		size    int
		expires int64
	}
	var all []kept
	total := size
	for _, c := range r.Cookies() {
		id, ok := strings.CutPrefix(c.Name, j.prefix())
		if !ok || id == except {
			continue
		}
		k := kept{id: id, size: len(c.Value)}
		for _, kind := range [...]string{kindSignIn, kindLogout} {
			if s, ok := j.open(c.Value, kind, id); ok {
				k.expires = s.Expires
			}
		}
		all = append(all, k)
		total += k.size
	}
	slices.SortFunc(all, func(a, b kept) int { return cmp.Compare(a.expires, b.expires) })
	for _, k := range all {
		if total <= maxFlows {
			break
		}
		j.drop(w, k.id)
		total -= k.size
	}
}

// newID names a flow: 128 random bits, so that no other site can guess it and
// make this browser go on with it.
func newID() string { return event.NewID().String() }

// newCode returns an authorization code of 256 random bits.
func newCode() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
