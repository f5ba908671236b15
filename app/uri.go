package app

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"muniment.dev/fault"
)

// Bounds of the addresses that an application registers.
const (
	maxURIs = 20  // in each list
	maxURI  = 512 // bytes
)

// checkURIs checks the addresses of an application as it registers them;
// requests must match them exactly (RFC 9700 §2.1).
func checkURIs(redirects, logout []string, t Type) error {
	switch {
	case !t.SignsIn() && len(redirects)+len(logout) > 0:
		return fault.Field("redirect_uris", "nobody signs in to an API, so nobody returns to it")
	case t.SignsIn() && len(redirects) == 0:
		return fault.Field("redirect_uris", "name at least one: without any, nobody could sign in")
	}
	for field, list := range map[string][]string{"redirect_uris": redirects, "post_logout_redirect_uris": logout} {
		if len(list) > maxURIs {
			return fault.Field(field, "at most %d are possible", maxURIs)
		}
		for i, u := range list {
			if err := CheckURI(u, t == Native); err != nil {
				return fault.Field(fmt.Sprintf("%s[%d]", field, i), "%v", err)
			}
			if slices.Contains(list[:i], u) {
				return fault.Field(fmt.Sprintf("%s[%d]", field, i), "stands there twice")
			}
		}
	}
	return nil
}

// CheckURI says why raw may not be registered as an address to which browsers
// are sent back, or nil. It wants an absolute address without fragment (RFC 6749
// §3.1.2) or user, in plain ASCII without dot segments, so that comparing bytes
// is comparing addresses, and
//
//   - https; or http on a loopback host, for development and native apps;
//   - for a native app also a scheme of its own with a dot in its name, such as
//     com.example.app:/callback (RFC 8252 §7.1).
//
// The host goes into the Content-Security-Policy of pages that lead there, so
// it consists of the characters of host names only.
func CheckURI(raw string, native bool) error {
	if raw == "" || len(raw) > maxURI {
		return fmt.Errorf("must have between 1 and %d characters", maxURI)
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\\\"<>^`{|}*", c) }) {
		return errors.New("must be ASCII; encode other characters, and wildcards are not possible")
	}
	u, err := url.Parse(raw)
	switch {
	case strings.Contains(raw, "#"):
		return errors.New("must not have a fragment")
	case err != nil || !u.IsAbs():
		return errors.New("must be an absolute address, such as https://app.example.com/callback")
	case u.User != nil:
		return errors.New("must not hold a user name")
	case u.Scheme != raw[:len(u.Scheme)] || u.Host != strings.ToLower(u.Host):
		return errors.New("scheme and host must be in lower case")
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." }):
		return errors.New("must not have . or .. in its path")
	case u.Scheme == "https" || u.Scheme == "http":
		return checkHost(u)
	case native && strings.Contains(u.Scheme, ".") && u.Host == "":
		return nil
	case native:
		return errors.New("a scheme of the app's own needs a dot in its name and no host, such as com.example.app:/callback")
	}
	return errors.New("must begin with https://")
}

func checkHost(u *url.URL) error {
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); u.Opaque != "" || host == "" || a.Zone() != "" || err != nil && strings.ContainsFunc(host, notInNames) {
		return errors.New("must have a host: a name or an address")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); strings.HasSuffix(u.Host, ":") || u.Port() != "" && (err != nil || n == 0 || u.Port()[0] == '0') {
		return errors.New("its port must be between 1 and 65535")
	}
	if u.Scheme == "http" && !loopback(host) {
		return errors.New("must begin with https://; http is for 127.0.0.1, [::1] and localhost only")
	}
	return nil
}

// notInNames reports whether no host name has the character (RFC 1123 §2.1, and
// the underscore that some have).
func notInNames(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
}

// loopback reports whether a host name means this machine.
func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// checkOrigins checks the origins from which a single-page application calls.
// They are compared with what a browser sends in Origin (RFC 6454 §6.2), so
// they have exactly that form; there are no patterns.
func checkOrigins(origins []string, t Type) error {
	const field = "allowed_origins"
	switch {
	case t != SPA && len(origins) > 0:
		return fault.Field(field, "only single-page applications call from a browser")
	case t == SPA && len(origins) == 0:
		return fault.Field(field, "name at least one: without any, the browser keeps the application from its tokens")
	case len(origins) > maxURIs:
		return fault.Field(field, "at most %d are possible", maxURIs)
	}
	for i, o := range origins {
		if err := CheckOrigin(o); err != nil {
			return fault.Field(fmt.Sprintf("%s[%d]", field, i), "%v", err)
		}
		if slices.Contains(origins[:i], o) {
			return fault.Field(fmt.Sprintf("%s[%d]", field, i), "stands there twice")
		}
	}
	return nil
}

// CheckOrigin says why raw may not be registered as an origin, or nil.
func CheckOrigin(raw string) error {
	switch {
	case strings.Contains(raw, "*"):
		return errors.New("must be one origin: a pattern would let in what nobody has registered")
	case raw == "null":
		return errors.New("must be scheme and host; null is the origin of every file and sandbox")
	}
	if err := CheckURI(raw, false); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || raw != u.Scheme+"://"+u.Host:
		return errors.New("must be scheme, host and port only, such as https://app.example.com, without a slash at its end")
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return errors.New("must leave out the port that goes without saying, as browsers do")
	}
	return nil
}

// originsOf are the origins of redirect URIs, each once.
func originsOf(redirects []string) (origins []string) {
	for _, r := range redirects {
		u, err := url.Parse(r)
		if err != nil || u.Host == "" {
			continue
		}
		o := u.Scheme + "://" + u.Host
		o = strings.TrimSuffix(o, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
		if !slices.Contains(origins, o) {
			origins = append(origins, o)
		}
	}
	return origins
}
