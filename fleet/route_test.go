package fleet

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// raw sends a request as it stands.
func (w *world) raw(text string) (status int, location, body string) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.front.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, strings.ReplaceAll(text, "\n", "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, res.Header.Get("Location"), string(b)
}

// Which instance a request is for is what its Host header says: in whatever
// letters, with whatever port; and what names none gets a page that says so,
// and nothing of anybody (RFC 9110 §7.2, §15.5.20).
func TestRouting(t *testing.T) {
	w := newWorld(t)
	a := w.host("Acme")
	must[*munimentv1.AddHostNameResponse](t)(w.home.API.Hosted.AddHostName(w.as(), &munimentv1.AddHostNameRequest{InstanceId: a.id, Host: "www.acme.localhost"}))
	const acme, home, nobody, invalid = "Acme", "Home", "nobody", "invalid"
	for header, want := range map[string]string{
		"Host: acme.localhost:" + w.port: acme, "Host: ACME.localhost:" + w.port: acme, "Host: acme.localhost.:" + w.port: acme,
		"Host: acme.localhost": acme, "Host: acme.localhost:1": acme, "Host: acme.localhost:": acme, "Host: www.acme.localhost": acme,
		"Host: localhost:" + w.port: home, "Host: LOCALHOST": home, "Host: 127.0.0.1": home, "Host: 127.0.0.1:9": home, "Host: [::1]:80": home, "Host: 192.0.2.1": home,
		"Host: beta.localhost": nobody, "Host: x.acme.localhost": nobody, "Host: acme.localhost.evil.example": nobody, "Host: cme.localhost": nobody,
		"Host: acme.localhost..": nobody, "Host: .acme.localhost": nobody, "Host: acme": nobody, "Host: acme.localhost%2f": nobody,
		"Host: acme.localhost\nHost: beta.localhost": invalid, "Host: acme.localhost\nHost: acme.localhost": invalid, "X: y": invalid,
		"Host: acme.localhost/": invalid, "Host: a b": invalid, "Host: ": home,
		"Host: localhost\nX-Forwarded-Host: acme.localhost": home, "Host: beta.localhost\nForwarded: host=acme.localhost": nobody,
	} {
		status, _, body := w.raw("GET /.well-known/openid-configuration HTTP/1.1\n" + header + "\nConnection: close\n\n")
		issuer := `"issuer":"` + w.home.URL() + `"`
		if want == acme {
			issuer = `"issuer":"` + a.url + `"`
		}
		ok := status == http.StatusOK && strings.Contains(strings.ReplaceAll(body, " ", ""), issuer)
		switch want {
		case nobody:
			ok = status == http.StatusMisdirectedRequest && !strings.Contains(body, "Acme") && !strings.Contains(body, "Home")
		case invalid:
			ok = status == http.StatusBadRequest
		}
		if !ok {
			t.Errorf("%q is to be %s: %d %s", header, want, status, body)
		}
	}
	status, _, body := w.raw("GET /console HTTP/1.1\nHost: beta.localhost\nAccept: text/html\nConnection: close\n\n")
	if status != http.StatusMisdirectedRequest || !strings.Contains(body, "<!doctype html>") || strings.Contains(body, "Acme") {
		t.Errorf("the page for a name that is nobody's: %d %s", status, body)
	}
	if status, _, _ := w.raw("GET /healthz HTTP/1.1\nHost: balancer\nConnection: close\n\n"); status != http.StatusOK {
		t.Errorf("the health of the server, asked for by another name: %d", status)
	}
	if status, _, body := w.raw("GET / HTTP/1.0\n\n"); status >= http.StatusBadRequest || strings.Contains(body, "Acme") {
		t.Errorf("without a name: %d %s", status, body)
	}
	if status, _, body := w.raw("GET http://acme.localhost/.well-known/openid-configuration HTTP/1.1\nHost: localhost\nConnection: close\n\n"); status != http.StatusOK || !strings.Contains(body, a.url) {
		t.Errorf("the name in the request line counts (RFC 9112 §3.2.2): %d", status)
	}
}

// Pages under a further name lead on to the first: cookies are good there only.
func TestFurtherNames(t *testing.T) {
	w := newWorld(t)
	a := w.host("Acme")
	must[*munimentv1.AddHostNameResponse](t)(w.home.API.Hosted.AddHostName(w.as(), &munimentv1.AddHostNameRequest{InstanceId: a.id, Host: "www.acme.localhost"}))
	for _, host := range []string{"www.acme.localhost:" + w.port, "acme.localhost.:" + w.port, "acme.localhost:1"} {
		status, to, _ := w.raw("GET /login?x=1 HTTP/1.1\nHost: " + host + "\nConnection: close\n\n")
		if status != http.StatusTemporaryRedirect || to != a.url+"/login?x=1" {
			t.Errorf("%s: %d %s", host, status, to)
		}
	}
	must[*munimentv1.RemoveHostNameResponse](t)(w.home.API.Hosted.RemoveHostName(w.as(), &munimentv1.RemoveHostNameRequest{InstanceId: a.id, Host: "www.acme.localhost"}))
	if status, _, _ := w.raw("GET /login HTTP/1.1\nHost: www.acme.localhost\nConnection: close\n\n"); status != http.StatusMisdirectedRequest {
		t.Errorf("a name that it had: %d", status)
	}
}

// What routes requests never takes more than a name for a name.
func FuzzHostOf(f *testing.F) {
	for _, s := range []string{"", "a", "a:1", "A.", "[::1]:80", "[", "a:b:c", "..", "[::1", "a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		host := hostOf(header)
		if len(host) > len(strings.ToLower(header)) || host != strings.ToLower(host) {
			t.Errorf("%q is read as %q", header, host)
		}
		if again := hostOf(host); !strings.HasPrefix(header, "[") && again != strings.TrimSuffix(host, ".") {
			t.Errorf("%q is read as %q, and that as %q", header, host, again)
		}
	})
}
