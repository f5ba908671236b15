package oidc

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
)

// Origins knows from where single-page applications call.
type Origins interface {
	// Allowed reports whether a web origin is registered with a single-page
	// application that is in use; with api, with one whose tokens may open our
	// API. origin is what a browser sent, and anything else.
	Allowed(ctx context.Context, origin string, api bool) (bool, error)
}

// CORS is what other sites' scripts may do at an endpoint, by the Fetch standard.
type CORS struct {
	Methods []string
	Headers []string // of requests, beside those that go without saying
	Exposed []string // of answers
	API     bool     // it is our API
}

// Scripts lets the scripts of registered single-page applications, and nobody
// else's, call h and read what it answers. Cookies are never part of it: there
// is no Access-Control-Allow-Credentials, and no wildcard. It keeps nobody from
// calling who is not a browser; for that there are tokens.
func (p *Provider) Scripts(c CORS, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin") // the answer differs by it, also where it is missing
		ok := p.allowed(r, c.API)
		if ok {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			preflight(w, c, ok)
			return
		}
		if ok && len(c.Exposed) > 0 {
			w.Header().Set("Access-Control-Expose-Headers", strings.Join(c.Exposed, ", "))
		}
		h.ServeHTTP(w, r)
	})
}

// preflight answers what a browser asks before it calls. Without the headers
// the browser does not.
func preflight(w http.ResponseWriter, c CORS, ok bool) {
	if ok {
		w.Header().Set("Access-Control-Allow-Methods", strings.Join(c.Methods, ", "))
		w.Header().Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ", "))
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *Provider) allowed(r *http.Request, api bool) bool {
	origins := r.Header.Values("Origin")
	if p.c.Origins == nil || len(origins) != 1 {
		return false
	}
	ok, err := p.c.Origins.Allowed(r.Context(), origins[0], api)
	if err != nil {
		p.c.Log.ErrorContext(r.Context(), "whether a web origin is registered could not be looked up; it was not let in", slog.Any("error", err))
		return false
	}
	return ok
}

// scripts is Scripts for the endpoints that single-page applications use.
func (p *Provider) scripts(h http.HandlerFunc, methods ...string) http.Handler {
	return p.Scripts(CORS{Methods: methods, Headers: []string{"Authorization", "Content-Type"}, Exposed: []string{"WWW-Authenticate", "Retry-After"}}, h)
}
