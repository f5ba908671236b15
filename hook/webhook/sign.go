package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// prefix is that of a secret as people see it (Standard Webhooks, "Signature
// scheme": whsec_ and the key in base64).
const prefix = "whsec_"

// Secret is a key as it is shown to people.
func Secret(key []byte) string { return prefix + base64.StdEncoding.EncodeToString(key) }

// Key is the key of a secret as it is shown to people.
func Key(secret string) ([]byte, bool) {
	text, ours := strings.CutPrefix(secret, prefix)
	key, err := base64.StdEncoding.DecodeString(text)
	return key, ours && err == nil
}

// Sign puts the headers of a signed message: its id, the time of this attempt,
// and a signature by each key, so that a receiver goes on while one secret
// replaces another.
func Sign(h http.Header, id string, at time.Time, body []byte, keys ...[]byte) {
	var list []string
	for _, key := range keys {
		list = append(list, sign(key, id, at.Unix(), body))
	}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", strings.Join(list, " "))
}

// sign signs id.timestamp.body with HMAC-SHA256.
func sign(key []byte, id string, unix int64, body []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "." + strconv.FormatInt(unix, 10) + "."))
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}
