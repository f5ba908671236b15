package api_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// The description of the API is there for everybody; its page runs nothing and
// its policy allows exactly its style.
func TestReference(t *testing.T) {
	_, hs := serve(t, options(&users{}, &events{}))
	status, h, body := send(t, "GET", hs.URL+"/openapi.json", nil, "")
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || status != 200 || doc.OpenAPI != "3.1.0" || doc.Paths["/v1/users"] == nil || h.Get("Content-Type") != "application/json" {
		t.Errorf("document: %d %v %v", status, h, err)
	}
	status, h, body = send(t, "GET", hs.URL+"/api", nil, "")
	styles := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllStringSubmatch(body, -1)
	if status != 200 || len(styles) != 1 || strings.Contains(body, "<script") || strings.Contains(body, " style=") {
		t.Fatalf("page: %d, %d styles", status, len(styles))
	}
	digest := sha256.Sum256([]byte(styles[0][1]))
	want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, want) {
		t.Errorf("policy %q, want %s", csp, want)
	}
	if status, _, _ := send(t, "POST", hs.URL+"/api", nil, "x"); status != 405 {
		t.Errorf("POST: %d", status)
	}
}
