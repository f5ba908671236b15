package fleet

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/page"
	"muniment.dev/server"
)

// ServeHTTP hands a request to the instance that its Host header names.
func (f *Fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := hostOf(r.Host)
	table := *f.table.Load()
	switch s := table[host]; {
	case host == f.Site().Home: // whatever the log says: the operator said this
		f.home.Handler().ServeHTTP(w, r)
	case s != nil:
		s.ServeHTTP(w, r)
	case len(table) == 0 || nameless(host) || r.URL.Path == "/healthz" || r.URL.Path == "/readyz":
		f.home.Handler().ServeHTTP(w, r)
	default:
		f.stranger(w, r)
	}
}

// hostOf is the name in a Host header as it is compared: in small letters,
// without port (RFC 9110 §7.2) and without the dot of the root (RFC 1034 §3.1).
func hostOf(header string) string {
	host := header
	if strings.HasPrefix(host, "[") {
		host, _, _ = strings.Cut(host[1:], "]")
	} else {
		host, _, _ = strings.Cut(host, ":")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// nameless reports whether a Host header names the machine and not an instance:
// there was none, as in HTTP/1.0, or it is an address. The home instance is at
// home there, and leads browsers to its own name.
func nameless(host string) bool {
	_, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || err == nil
}

var errStranger = fault.New(fault.NotFound, "no instance of this server is reached under this name; check the address, or the Host header that the proxy passes on")

// stranger answers a request for a name that is nobody's (RFC 9110 §15.5.20).
func (f *Fleet) stranger(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, f.site, http.StatusMisdirectedRequest, errStranger)
}

// refuse answers a request with an error in the form that the client reads.
// Stopping and starting an instance is no change of its state, so a program need
// not care which of the two it meets: the status says what to do.
func refuse(w http.ResponseWriter, r *http.Request, site *page.Site, status int, err error) {
	server.Refuse(w, r, site, status, err)
}

// Site implements hostingapi.Fleet.
func (f *Fleet) Site() hosting.Site {
	u := f.address()
	return hosting.Site{Home: strings.ToLower(u.Hostname()), Plain: u.Scheme == "http"}
}

// URL implements hostingapi.Fleet: scheme and port are those of the server.
func (f *Fleet) URL(host string) string {
	u := f.address()
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	return u.Scheme + "://" + host
}

func (f *Fleet) address() *url.URL {
	u, err := url.Parse(f.home.URL())
	if err != nil {
		return &url.URL{Scheme: "http", Host: "localhost"} // cannot be: it was checked
	}
	return u
}
