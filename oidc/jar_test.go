package oidc

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muniment.dev/fault"
)

// TestJar: a flow opens in its browser, under its id, as its kind, in its
// time, and not if a bit was changed.
func TestJar(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	open := func(issuer string, keys ...[32]byte) *jar {
		j, err := newJar(issuer, keys, clock)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	k1, k2 := [32]byte{1}, [32]byte{2}
	j := open("https://id.example", k1)
	id := newID()
	rec := httptest.NewRecorder()
	if err := j.put(rec, httptest.NewRequest("GET", "/", nil), kindSignIn, id, "value"); err != nil {
		t.Fatal(err)
	}
	c := rec.Result().Cookies()[0]
	if c.Name != "__Host-muniment-flow-"+id || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	get := func(j *jar, kind, id, value string) bool {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: j.prefix() + id, Value: value})
		var v string
		err := j.get(r, kind, id, &v)
		if err != nil && !errors.Is(err, errFlowGone) {
			t.Errorf("error %v", err)
		}
		return err == nil && v == "value"
	}
	if !get(j, kindSignIn, id, c.Value) || !get(open("https://id.example", k2, k1), kindSignIn, id, c.Value) {
		t.Error("the flow is lost")
	}
	for name, bad := range map[string]bool{
		"another id":     get(j, kindSignIn, newID(), c.Value),
		"another kind":   get(j, kindLogout, id, c.Value),
		"another issuer": get(open("https://id2.example", k1), kindSignIn, id, c.Value),
		"another key":    get(open("https://id.example", k2), kindSignIn, id, c.Value),
		"id of a kind":   get(j, kindSignIn, strings.ToUpper(id), c.Value),
		"no id":          get(j, kindSignIn, "", c.Value),
		"empty":          get(j, kindSignIn, id, ""),
	} {
		if bad {
			t.Errorf("%s: opened", name)
		}
	}
	for i := range c.Value {
		b := []byte(c.Value)
		if b[i]++; b[i] == c.Value[i] || get(j, kindSignIn, id, string(b)) {
			t.Fatalf("opened with byte %d changed", i)
		}
	}
	now = now.Add(flowLife)
	if get(j, kindSignIn, id, c.Value) {
		t.Error("opened after its time")
	}
	if _, err := newJar("https://id.example", [][32]byte{{}}, clock); fault.KindOf(err) != fault.Invalid {
		t.Error("a key of zeros is accepted")
	}
	if _, err := newJar("https://id.example", nil, clock); fault.KindOf(err) != fault.Invalid {
		t.Error("no key is accepted")
	}
}

// TestNew: what a provider must not be made of.
func TestNew(t *testing.T) {
	for _, issuer := range []string{"", "id.example", "https://id.example/", "https://id.example/x", "http://id.example", "https://u@id.example",
		"https://id.example?x", "https://id.example#x", "ftp://id.example", "https://", "https://:443"} {
		if _, err := New(Config{Issuer: issuer, FlowKeys: [][32]byte{{1}}}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", issuer, err)
		} else if f := new(fault.Error); !errors.As(err, &f) || f.Field != "issuer" {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	if _, err := New(Config{Issuer: "https://id.example", FlowKeys: [][32]byte{{1}}}); fault.KindOf(err) != fault.Invalid {
		t.Error("made of nothing:", err)
	}
}
