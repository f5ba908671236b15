package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"muniment.dev/api/gen"
)

// serveReference serves the two documents that describe the API, to anybody:
// they say nothing that the sources do not. It reports whether it was asked
// for one.
func serveReference(w http.ResponseWriter, r *http.Request) bool {
	var body, contentType string
	switch r.URL.Path {
	case "/openapi.json":
		body, contentType = gen.OpenAPI(), "application/json"
	case "/api":
		body, contentType = gen.Reference(), "text/html; charset=utf-8"
		w.Header().Set("Content-Security-Policy", referencePolicy(body))
	default:
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
	return true
}

// referencePolicy allows the page its one inline style, and nothing else.
func referencePolicy(page string) string {
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	digest := sha256.Sum256([]byte(style))
	return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(digest[:]) + "'"
}
