package app_test

import (
	"strings"
	"testing"

	"muniment.dev/app"
)

// What may be registered, RFC 6749 §3.1.2, RFC 8252 §7. What stands in a host
// goes into a policy of ours: nothing that ends a directive or begins another.
func TestCheckURI(t *testing.T) {
	for uri, want := range map[string]string{ // who may register it: "web", "native", "both", "none"
		"https://rp.example/cb":                          "both",
		"https://rp.example":                             "both",
		"https://rp.example:8443/cb?x=1&y=%20":           "both",
		"http://localhost:8080/cb":                       "both",
		"http://127.0.0.1/cb":                            "both",
		"http://[::1]:80/cb":                             "both",
		"com.example.app:/cb":                            "native",
		"com.example.app:/":                              "native",
		"":                                               "none",
		"/cb":                                            "none",
		"//rp.example/cb":                                "none",
		"rp.example/cb":                                  "none",
		"http://rp.example/cb":                           "none",
		"http://127.0.0.1.evil.example/cb":               "none",
		"https://rp.example/cb#x":                        "none",
		"https://rp.example/cb#":                         "none",
		"https://user@rp.example/cb":                     "none",
		"https://rp.example/../cb":                       "none",
		"https://rp.example/a/./cb":                      "none",
		"https://rp.example/%2e%2e/cb":                   "none",
		"https://*.rp.example/cb":                        "none",
		"https://rp.example\\@evil.example/":             "none",
		"https://rp.exämple/cb":                          "none",
		"https://rp.example/c b":                         "none",
		"https://rp.example/cb\n":                        "none",
		"https://RP.example/cb":                          "none",
		"HTTPS://rp.example/cb":                          "none",
		"https:///cb":                                    "none",
		"https:rp.example":                               "none",
		"https://rp.example:/cb":                         "none",
		"https://rp.example:0/cb":                        "none",
		"https://rp.example:99999/cb":                    "none",
		"javascript:alert(1)":                            "none",
		"data:text/html,x":                               "none",
		"myapp:/cb":                                      "none",
		"com.example.app://host/cb":                      "none",
		"https://rp.example;script-src-elem/cb":          "none",
		"https://rp.example,a/cb":                        "none",
		"https://rp.example'a/cb":                        "none",
		"https://[fe80::1%25eth0]/cb":                    "none",
		"https://rp_1.example/cb":                        "both",
		"http://0x7f000001/cb":                           "none",
		"https://rp.example/" + strings.Repeat("x", 500): "none",
	} {
		web, native := app.CheckURI(uri, false), app.CheckURI(uri, true)
		if (web == nil) != (want == "web" || want == "both") {
			t.Errorf("web %q: %v", uri, web)
		}
		if (native == nil) != (want == "native" || want == "both") {
			t.Errorf("native %q: %v", uri, native)
		}
	}
}
