package oidc

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Bounds of what a request may carry.
const (
	maxParamBytes = 16 << 10 // all parameters together, encoded
	maxParamCount = 64
	maxTokenBytes = 8 << 10 // a JWT that is handed to us
)

// params are the parameters of one request. Values that were empty count as
// not sent, RFC 6749 §3.1.
type params struct {
	m         map[string]string
	repeated  map[string]bool // names sent more than once; absent from m
	resources []string        // of resource, the one name that may be repeated (RFC 8707 §2)
}

func (p params) get(name string) string { return p.m[name] }

// once returns a refusal if any parameter was sent more than once, RFC 6749
// §3.1 and §3.2.
func (p params) once() *refusal {
	if len(p.repeated) > 0 {
		return refuse(codeInvalidRequest, "a parameter was sent more than once")
	}
	return nil
}

// parseParams reads application/x-www-form-urlencoded text. It refuses what
// is too long, badly encoded, not UTF-8, or holds control characters.
func parseParams(raw string) (params, *refusal) {
	p := params{m: map[string]string{}, repeated: map[string]bool{}}
	if len(raw) > maxParamBytes {
		return p, refuse(codeInvalidRequest, "the parameters are longer than 16 KiB")
	}
	seen := map[string]bool{}
	for n := 0; raw != ""; n++ {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if n == maxParamCount {
			return p, refuse(codeInvalidRequest, "there are more than 64 parameters")
		}
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil || !clean(name) || !clean(value) {
			return p, refuse(codeInvalidRequest, "a parameter is not encoded as application/x-www-form-urlencoded UTF-8 without control characters")
		}
		if name == "resource" {
			if value != "" {
				p.resources = append(p.resources, value)
			}
			continue
		}
		if seen[name] {
			p.repeated[name] = true
			delete(p.m, name)
			continue
		}
		seen[name] = true
		if value != "" {
			p.m[name] = value
		}
	}
	return p, nil
}

func clean(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// formParams reads the parameters of a POST: from the body only, because
// credentials must not stand in the address (RFC 6749 §2.3.1).
func formParams(r *http.Request) (params, *refusal) {
	if r.URL.RawQuery != "" {
		return params{}, refuse(codeInvalidRequest, "parameters of a POST belong into the body, not into the address")
	}
	ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || ct != "application/x-www-form-urlencoded" {
		return params{}, refuse(codeInvalidRequest, "the content type must be application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxParamBytes+1))
	if err != nil {
		return params{}, refuse(codeInvalidRequest, "the body could not be read")
	}
	return parseParams(string(body))
}

// requestParams reads the parameters of a GET from the address and those of a
// POST from the body.
func requestParams(r *http.Request) (params, *refusal) {
	if r.Method == http.MethodPost {
		return formParams(r)
	}
	return parseParams(r.URL.RawQuery)
}
