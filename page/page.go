// Package page is the look and the safety of every page that Muniment shows to
// a person: one layout, one style sheet, and the rules that hold for all forms.
//
// It promises that a page works without JavaScript; that its Content Security
// Policy allows no inline script or style and no frame; that a form is accepted
// only from the same origin and with a token of the same browser and session;
// that cookies are host-prefixed, HttpOnly, Secure and SameSite; that pages are
// stored in no cache and assets, whose address holds a hash of their content,
// for ever; and that no message for a person travels in an address.
//
// It knows nothing of users, events or the API; packages login and console do.
package page

import (
	"context"
	"crypto/rand"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"muniment.dev/fault"
)

// maxForm bounds the body of a form, in bytes, and maxFiles that of a form with
// files.
const (
	maxForm  = 64 << 10
	maxFiles = 2 << 20
)

// Settings say how the site is reached.
type Settings struct {
	// Origin is the address that browsers use: scheme://host[:port], no path.
	Origin string
	// PlainLoopback declares that browsers reach the site by plain HTTP on
	// this machine. Cookies then have no __Host- prefix and no Secure
	// attribute. It is refused for any other host, and an http origin is
	// refused without it.
	PlainLoopback bool
	// Key authenticates form tokens and messages between two pages, at least
	// 16 bytes; the same on all nodes. Nil means a random one: then forms that
	// were open before a restart have to be sent again.
	Key []byte
	// Name is how the operator calls this installation; shown to people. The
	// host if empty or the product's own.
	Name string
	// NameOf is Name as it is now, where that can change; it is asked for each
	// page. Nil: it cannot.
	NameOf func(context.Context) string
	Log    *slog.Logger     // nil: slog.Default()
	Now    func() time.Time // nil: time.Now
}

// Site serves assets, renders pages and guards forms. It is safe for
// concurrent use.
type Site struct {
	origin  string
	host    string
	plain   bool
	key     []byte
	name    func(context.Context) string
	log     *slog.Logger
	now     func() time.Time
	cross   *http.CrossOriginProtection
	assets  *assets
	icons   map[string]template.HTML
	faults  *Pages
	secured bool // the origin is https
}

// New checks the settings and prepares assets and templates.
func New(s Settings) (*Site, error) {
	u, err := url.Parse(s.Origin)
	if err != nil || u.Host == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return nil, fault.Field("external-url", "an origin is scheme://host[:port] without a path")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fault.Field("external-url", "the scheme must be https, or http on loopback")
	case u.Scheme == "http" && !s.PlainLoopback:
		return nil, fault.Field("external-url", "plain http needs the declaration that only this machine uses it; give an https address otherwise")
	case s.PlainLoopback && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, fault.Field("external-url", "plain loopback cookies are for http on localhost, 127.0.0.1 or [::1] only")
	}
	if s.Key != nil && len(s.Key) < 16 {
		return nil, fault.New(fault.Invalid, "the key of forms has at least 16 bytes")
	}
	site := &Site{
		origin: u.Scheme + "://" + u.Host, host: u.Host, plain: s.PlainLoopback, secured: u.Scheme == "https",
		key: s.Key, name: s.NameOf, log: s.Log, now: s.Now, cross: http.NewCrossOriginProtection(),
	}
	if site.key == nil {
		site.key = make([]byte, 32)
		rand.Read(site.key) // never fails (crypto/rand)
	}
	if site.name == nil {
		site.name = func(context.Context) string { return s.Name }
	}
	if site.log == nil {
		site.log = slog.Default()
	}
	if site.now == nil {
		site.now = time.Now
	}
	if err := site.cross.AddTrustedOrigin(site.origin); err != nil {
		return nil, fault.Wrap("trust the own origin", err)
	}
	if site.assets, err = loadAssets(); err != nil {
		return nil, fault.Wrap("load assets", err)
	}
	if site.icons, err = loadIcons(); err != nil {
		return nil, fault.Wrap("load icons", err)
	}
	if site.faults, err = site.Pages(nil, Card, nil); err != nil {
		return nil, fault.Wrap("parse the layout", err)
	}
	return site, nil
}

// loopback reports whether a host name means this machine.
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// called is the installation's name for a page.
func (s *Site) called(ctx context.Context) string {
	if n := s.name(ctx); n != "" && n != "Muniment" { // the product's name is on the page already
		return n
	}
	return s.host
}

// Origin returns scheme://host[:port], as browsers see it.
func (s *Site) Origin() string { return s.origin }

// Now returns the site's time.
func (s *Site) Now() time.Time { return s.now() }

// Handler puts the guards of every page around next: security headers, a bound
// on bodies, and for every method that may change something the same-origin
// check and the form token. Requests that fail get a page that says why; next
// does not see them.
//
// Protocol endpoints (tokens, the API) have guards of their own and must not
// stand behind it.
func (s *Site) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.secure(w.Header())
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			next.ServeHTTP(w, r)
			return
		case http.MethodPost:
		default:
			w.Header().Set("Allow", "GET, HEAD, POST")
			http.Error(w, "pages are read with GET and changed with POST", http.StatusMethodNotAllowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyLimit(r))
		if err := s.checkForm(r); err != nil {
			s.Fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// secure sets the headers that hold for every page.
func (s *Site) secure(h http.Header) {
	h.Set("Content-Security-Policy", policy(""))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	// Not no-referrer: with it a browser sends "Origin: null" with our own forms.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
	if s.secured {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// policy returns the Content Security Policy of a page with the directives of
// more appended.
//
// form-action stays 'self' on all pages. Browsers apply it to every redirect
// that follows a form, so the answer to a form never redirects off the site:
// see [Site.Onward].
func policy(more string) string {
	const base = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if more == "" {
		return base
	}
	return base + "; " + more
}
