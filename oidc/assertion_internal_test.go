package oidc

import (
	"net/http/httptest"
	"testing"
)

// Whatever is sent as an assertion, nothing is believed that no key has signed,
// and what it says of itself is one client (RFC 7523 §3).
func FuzzAssertion(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.AAAA", "")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "a")
	f.Add("e30.e30.", "")
	f.Add("..", "")
	f.Fuzz(func(t *testing.T, assertion, id string) {
		ps := params{m: map[string]string{"client_assertion": assertion, "client_assertion_type": assertionType, "client_id": id}}
		cr, e := assertionCredentials(httptest.NewRequest("POST", "/oauth/token", nil), ps)
		if _, _, ok := verifyAssertion(fuzzClient(), assertion); ok {
			t.Fatal("believed without a key")
		}
		if e != nil {
			checkText(t, e)
			return
		}
		if cr.id == "" || !clean(cr.id) || id != "" && id != cr.id || cr.secret != "" {
			t.Fatalf("%+v of %q", cr, assertion)
		}
	})
}
