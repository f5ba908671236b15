package server

import (
	"net/http"
	"net/url"
	"strings"
)

// canonical leads browsers that came by another name, such as 127.0.0.1 instead
// of localhost, to the address of the server: cookies and forms are good there
// only. Behind a proxy the name is the proxy's affair, and not always passed on;
// to a hosted instance it was, or the request would not be here.
func (s *Server) canonical(pages http.Handler) http.Handler {
	if s.behindProxy() && s.extra.Hosted == nil {
		return pages
	}
	u, _ := url.Parse(s.URL()) // Check parsed it
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		get := r.Method == http.MethodGet || r.Method == http.MethodHead
		if !get || s.isOwn(r.Host, u) || r.Host == "" || strings.HasPrefix(r.URL.Path, "//") {
			pages.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, s.URL()+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
}

// isOwn reports whether the Host header names the address of the server. A
// proxy may leave its port out.
func (s *Server) isOwn(host string, u *url.URL) bool {
	if s.behindProxy() {
		return strings.EqualFold((&url.URL{Host: host}).Hostname(), u.Hostname())
	}
	return strings.EqualFold(host, u.Host)
}
