package cell

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"muniment.dev/fault"
	"muniment.dev/internal/etcd"
	"muniment.dev/internal/postgres"
)

func stores(t *testing.T, f func(*testing.T, Store)) {
	places := map[string]func(*testing.T) string{
		"PostgreSQL": func(t *testing.T) string { return postgres.Shared(t).NewDatabase(t) },
		"etcd":       func(t *testing.T) string { return "etcd://" + etcd.Start(t).Address },
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, err := Open(t.Context(), place(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			f(t, s)
		})
	}
}

// A value is replaced by whoever knows its revision. One that went astray does
// not arrive once somebody else wrote, even if the bytes are what they were.
func TestRevisions(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		put := func(name string, revision int64, text string) (int64, error) {
			return s.Put(t.Context(), Value{name, revision, []byte(text)})
		}
		first, err := put("a", 0, "one")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := put("a", 0, "two"); !fault.Is(err, fault.Conflict) {
			t.Errorf("made twice: %v", err)
		}
		second, err := put("a", first, "one")
		if err != nil || second <= first {
			t.Fatalf("revision %d after %d: %v", second, first, err)
		}
		if _, err := put("a", first, "astray"); !fault.Is(err, fault.Conflict) {
			t.Errorf("replaced by an old revision: %v", err)
		}
		if v, err := s.Get(t.Context(), "a"); err != nil || v.Revision != second || string(v.Bytes) != "one" {
			t.Errorf("%+v: %v", v, err)
		}
		if v, err := s.Get(t.Context(), "b"); err != nil || v.Revision != 0 {
			t.Errorf("what is not there: %+v: %v", v, err)
		}
	})
}

// Lists are whole, in order, and of one prefix; so is what is removed.
func TestList(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		const n = 1100 // more than one answer of etcd
		for i := range n {
			if _, err := s.Put(t.Context(), Value{Name: fmt.Sprintf("x/%06d", i), Bytes: []byte{byte(i), 0xff}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"x", "x0", "x1/1"} {
			if _, err := s.Put(t.Context(), Value{Name: name, Bytes: []byte{}}); err != nil {
				t.Fatal(err)
			}
		}
		all, err := s.List(t.Context(), "x/")
		if err != nil || len(all) != n {
			t.Fatalf("%d of %d: %v", len(all), n, err)
		}
		for i, v := range all {
			if v.Name != fmt.Sprintf("x/%06d", i) || !bytes.Equal(v.Bytes, []byte{byte(i), 0xff}) || v.Revision == 0 {
				t.Fatalf("%d: %+v", i, v)
			}
		}
		if err := s.Remove(t.Context(), "x/"); err != nil {
			t.Fatal(err)
		}
		if all, err := s.List(t.Context(), "x"); err != nil || len(all) != 3 {
			t.Errorf("%+v: %v", all, err)
		}
	})
}

// Places are taken apart, and put beside each other.
func TestPlaces(t *testing.T) {
	for _, c := range []struct{ where, rest, name, beside string }{
		{"postgres://u@h/d?sslmode=disable", "postgres://u@h/d?sslmode=disable", "muniment", "postgres://u@h/d?sslmode=disable#muniment/b"},
		{"postgresql://h/d#one", "postgresql://h/d", "one", "postgresql://h/d#one/b"},
		{"etcd://h:1", "etcd://h:1", "muniment", "etcd://h:1/muniment/b"},
		{"etcd://h:1,g:2/a/b/", "etcd://h:1,g:2", "a/b", "etcd://h:1,g:2/a/b/b"},
		{"etcds://u:p@h:1/a?ca=/etc/ca.pem", "etcds://u:p@h:1?ca=/etc/ca.pem", "a", "etcds://u:p@h:1/a/b?ca=/etc/ca.pem"},
	} {
		if rest, name := split(c.where); !Is(c.where) || rest != c.rest || name != c.name {
			t.Errorf("%s: %s and %s", c.where, rest, name)
		}
		if got := Beside(c.where, "b"); got != c.beside {
			t.Errorf("beside %s: %s", c.where, got)
		}
	}
	for where, kind := range map[string]fault.Kind{
		"/var/lib/register.json": fault.Invalid, "etcd://": fault.Invalid, "etcd://host/x": fault.Invalid, "etcds://h:1/x?ca=/nowhere": fault.Invalid,
		"etcd://u:secret@example.org:2379/x": fault.Refused, "etcd://127.0.0.1:1/x": fault.Unavailable, "postgres://u:secret@127.0.0.1:1/x": fault.Unavailable,
	} {
		if _, _, err := Open(t.Context(), where); !fault.Is(err, kind) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// A server that answers in its own way leaves nothing unsaid: what was refused
// changed nothing, what failed within may have.
func TestEtcdAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		write  fault.Kind
	}{
		{http.StatusBadRequest, `{"error":"etcdserver: user name is empty","code":3}`, fault.Denied},
		{http.StatusUnauthorized, `{"error":"etcdserver: invalid auth token","code":16}`, fault.Denied},
		{http.StatusForbidden, `{"error":"etcdserver: permission denied","code":7}`, fault.Unavailable},
		{http.StatusTooManyRequests, `{"error":"etcdserver: mvcc: database space exceeded","code":8}`, fault.Unavailable},
		{http.StatusNotFound, `404 page not found`, fault.Unavailable},
		{http.StatusServiceUnavailable, `{"error":"etcdserver: request timed out","code":14}`, fault.Unknown},
		{http.StatusBadGateway, `<html>`, fault.Unknown},
		{http.StatusOK, `<html>`, fault.Unknown},
		{http.StatusTemporaryRedirect, ``, fault.Unavailable},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		}))
		e, err := parseEtcd("etcd://" + s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Put(t.Context(), Value{Name: "a", Bytes: []byte("b")}); !fault.Is(err, c.write) {
			t.Errorf("%d %s: put: %v", c.status, c.body, err)
		}
		want := c.write
		if want == fault.Unknown {
			want = fault.Unavailable
		}
		if _, err := e.Get(t.Context(), "a"); !fault.Is(err, want) {
			t.Errorf("%d %s: get: %v", c.status, c.body, err)
		}
		s.Close()
	}
}

// With several addresses the next is asked if one cannot be reached; with a user
// we log in when asked to, and again when the token is no longer good.
func TestEtcdUser(t *testing.T) {
	tokens := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v3/auth/authenticate" {
			var in struct{ Name, Password string }
			if json.NewDecoder(r.Body).Decode(&in) != nil || in.Name != "me" || in.Password != "pass@word" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			tokens++
			fmt.Fprintf(w, `{"token":"t%d"}`, tokens)
			return
		}
		if r.Header.Get("Authorization") != fmt.Sprintf("t%d", tokens) || tokens == 0 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write([]byte(`{"kvs":[{"key":"YQ==","value":"Yg==","mod_revision":"7"}]}`))
	}))
	defer s.Close()
	e, err := parseEtcd("etcd://me:pass%40word@127.0.0.1:1," + s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if v, err := e.Get(t.Context(), "a"); err != nil || v.Revision != 7 || string(v.Bytes) != "b" {
			t.Fatalf("%+v: %v", v, err)
		}
		tokens++ // the server forgets the token
	}
}
