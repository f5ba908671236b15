package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// prefix is that of a secret as people see it (Standard Webhooks, "Signature
// scheme": whsec_ and the key in base64).
const prefix = "whsec_"

// Secret is a key as it is shown to people.
func Secret(key []byte) string { return prefix + base64.StdEncoding.EncodeToString(key) }

// signatures are those of a message by each key, with spaces between them, so
// that a receiver goes on while one secret replaces another.
func signatures(m Message) string {
	var list []string
	for _, key := range m.Keys {
		list = append(list, sign(key, m.ID, m.Time.Unix(), m.Body))
	}
	return strings.Join(list, " ")
}

// sign signs id.timestamp.body with HMAC-SHA256.
func sign(key []byte, id string, unix int64, body []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "." + strconv.FormatInt(unix, 10) + "."))
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}
