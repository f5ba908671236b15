package console

import (
	"strings"
	"testing"
)

// A form sent twice carries the same command id, and the second answer shows no
// secret.
func TestSentTwice(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	for _, c := range []struct {
		path, secret, instead string
		form                  []string
	}{
		{"/console/people/new", "/setup/q3v7", "was shown already", []string{"email", "joan@analytical.example", "given", "Joan", "org", acmeID}},
		{"/console/people/" + graceID + "/setup-link", "/setup/fresh", "was shown already", nil},
		{"/console/projects/" + booksID + "/applications/new", "Xo9s-7Vn2q", "was shown already", []string{"name", "A", "uris", "https://a.example/cb"}},
	} {
		open := v.get(c.path).want(200).body
		v.send(c.path, c.form...).want(200, c.secret)
		if v.last.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: a secret may be stored", c.path)
		}
		v.body = open
		v.send(c.path, c.form...).want(200, c.instead)
		if strings.Contains(v.body, c.secret) {
			t.Errorf("%s: the secret is shown twice", c.path)
		}
	}
	for id, n := range b.commands {
		if n != 2 {
			t.Errorf("command %s came %d times", id, n)
		}
	}
}
