package browser

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The harness itself: it sees what a page does, with and without JavaScript,
// and hears the browser complain about a script that the CSP forbids.
func TestBrowserSeesThePage(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MUNIMENT_SCREENSHOTS", dir)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/strict" {
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!doctype html><html lang="en"><title>T</title><main><h1>plain</h1>
			<form action="/next"><label>Name <input name="n"></label><button>Go</button></form></main>
			<script>document.querySelector("h1").textContent = "scripted"</script></html>`)
	}))
	defer srv.Close()
	b := Start(t)

	p := b.Open(t, Views()[0])
	p.Go(srv.URL)
	if got := p.Text("h1"); got != "scripted" {
		t.Errorf("with JavaScript the heading is %q", got)
	}
	p.Quiet()
	p.Fill("input", "Ada")
	p.Follow("button")
	if !strings.HasSuffix(p.URL(), "/next?n=Ada") {
		t.Errorf("the form leads to %s", p.URL())
	}
	p.Shot("Next page")
	if _, err := os.Stat(filepath.Join(dir, "next-page-desktop-light.png")); err != nil {
		t.Errorf("screenshot: %v", err)
	}
	p.Go(srv.URL + "/strict")
	if n := p.Noise(); len(n) == 0 || !strings.Contains(strings.Join(n, " "), "Content Security Policy") {
		t.Errorf("a forbidden script went unheard: %q", n)
	}

	plain := b.Open(t, Plain())
	plain.Go(srv.URL)
	if got := plain.Text("h1"); got != "plain" {
		t.Errorf("without JavaScript the heading is %q", got)
	}
}
