package page

import (
	"net/http"
	"strings"
	"time"
)

// The cookies of the product, without their prefix.
const (
	sessionCookie = "muniment-session" // tokens of the sessions in this browser, the current one first
	visitCookie   = "muniment-visit"   // random; binds forms to this browser, signed in or not
	flashCookie   = "muniment-note"    // a message for the next page
)

// maxSessions bounds how many people share one browser.
const maxSessions = 5

// cookieName returns the name as sent: __Host- makes the browser refuse the
// cookie unless it is Secure, for this host alone and for all paths (RFC 6265bis §4.1.3.2).
func (s *Site) cookieName(name string) string {
	if s.plain {
		return name
	}
	return "__Host-" + name
}

// SetCookie gives the browser a cookie that scripts cannot read. A life of zero
// means until the browser ends.
func (s *Site) SetCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := s.cookie(name, value)
	if life > 0 {
		c.MaxAge = int(life / time.Second)
	}
	http.SetCookie(w, c)
}

// ClearCookie makes the browser forget a cookie.
func (s *Site) ClearCookie(w http.ResponseWriter, name string) {
	c := s.cookie(name, "")
	c.MaxAge = -1
	http.SetCookie(w, c)
}

func (s *Site) cookie(name, value string) *http.Cookie {
	return &http.Cookie{
		Name: s.cookieName(name), Value: value, Path: "/",
		HttpOnly: true, Secure: !s.plain, SameSite: http.SameSiteLaxMode,
	}
}

// Cookie returns the value of a cookie set by [Site.SetCookie], or "". Two
// cookies of one name are no cookie: somebody put one there.
func (s *Site) Cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(s.cookieName(name))
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

// Session returns the token of the current session, or "" if nobody is signed
// in here. Whether it is good is for the session's owner to say.
func (s *Site) Session(r *http.Request) string {
	if all := s.Sessions(r); len(all) > 0 {
		return all[0]
	}
	return ""
}

// Sessions returns the tokens of all sessions in this browser, the current one
// first.
func (s *Site) Sessions(r *http.Request) []string {
	v := s.Cookie(r, sessionCookie)
	if v == "" {
		return nil
	}
	all := strings.Split(v, ".")
	if len(all) > maxSessions {
		return nil // not ours
	}
	for _, t := range all {
		if !tokenText(t) {
			return nil
		}
	}
	return all
}

// SetSessions keeps the tokens (base64url, without padding) in the browser, the
// current one first; those beyond five are left out. None clears the cookie. A
// life of zero means until the browser ends. Whatever reads r afterwards sees
// them, too.
func (s *Site) SetSessions(w http.ResponseWriter, r *http.Request, tokens []string, life time.Duration) {
	value := strings.Join(tokens[:min(len(tokens), maxSessions)], ".")
	s.replaceCookie(r, sessionCookie, value)
	if value == "" {
		s.ClearCookie(w, sessionCookie)
		return
	}
	s.SetCookie(w, sessionCookie, value, life)
}

// replaceCookie makes a request look as if it had come with this cookie, or
// without it if the value is empty.
func (s *Site) replaceCookie(r *http.Request, name, value string) {
	name = s.cookieName(name)
	others := r.Cookies()
	r.Header.Del("Cookie")
	for _, c := range others {
		if c.Name != name {
			r.AddCookie(c)
		}
	}
	if value != "" {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
}

// tokenText reports whether t is 16 to 256 characters of the base64url alphabet.
func tokenText(t string) bool {
	if len(t) < 16 || len(t) > 256 {
		return false
	}
	for i := range len(t) {
		c := t[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
