package oidc

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"muniment.dev/fault"
)

const maxURI = 512 // bytes of a registered address

// CheckRedirectURI says whether raw may be registered as redirect URI of a
// client of type t. It wants an absolute address without fragment (RFC 6749
// §3.1.2) or userinfo, in plain ASCII without dot segments, so that comparing
// bytes is comparing addresses, and
//
//   - https; or http on a loopback host, for development and native apps;
//   - for Native also a scheme of the app's own with a dot in its name, such
//     as com.example.app:/callback (RFC 8252 §7.1).
//
// A fault of kind Invalid says what is wrong.
func CheckRedirectURI(t ClientType, raw string) error {
	return checkURI(t, "redirect_uri", raw)
}

// CheckPostLogoutURI is the same for post_logout_redirect_uri.
func CheckPostLogoutURI(t ClientType, raw string) error {
	return checkURI(t, "post_logout_redirect_uri", raw)
}

func checkURI(t ClientType, field, raw string) error {
	bad := func(why string) error { return fault.Field(field, "%s", why) }
	if raw == "" || len(raw) > maxURI {
		return bad("must have between 1 and 512 characters")
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\\\"<>^`{|}*", c) }) {
		return bad("must be ASCII; encode other characters, and wildcards are not possible")
	}
	if strings.Contains(raw, "#") {
		return bad("must not have a fragment")
	}
	u, err := url.Parse(raw)
	if err != nil || !u.IsAbs() {
		return bad("must be an absolute address")
	}
	if u.User != nil {
		return bad("must not hold a user name")
	}
	if u.Scheme != raw[:len(u.Scheme)] || u.Host != strings.ToLower(u.Host) {
		return bad("scheme and host must be in lower case")
	}
	if slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." }) {
		return bad("must not have . or .. in its path")
	}
	switch {
	case u.Scheme == "https" || u.Scheme == "http":
		return checkHost(u, bad)
	case t == Native && strings.Contains(u.Scheme, ".") && u.Host == "":
		return nil
	case t == Native:
		return bad("a scheme of the app's own needs a dot in its name and no host, such as com.example.app:/callback")
	}
	return bad("must begin with https://")
}

func checkHost(u *url.URL, bad func(string) error) error {
	if u.Hostname() == "" || u.Opaque != "" {
		return bad("must have a host")
	}
	if strings.HasSuffix(u.Host, ":") || (u.Port() != "" && !isPort(u.Port())) {
		return bad("its port must be between 1 and 65535")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return bad("must begin with https://; http is for 127.0.0.1, [::1] and localhost only")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// matchRedirectURI says whether uri is one of the client's registered
// addresses: the same bytes (RFC 9700 §4.1.3), except for the port of a native
// app on a loopback address, which is the app's to choose (RFC 8252 §7.3).
func matchRedirectURI(c Client, uri string) bool {
	if len(uri) > maxURI {
		return false
	}
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	if c.Type != Native {
		return false
	}
	want, ok := portless(uri)
	return ok && slices.ContainsFunc(c.RedirectURIs, func(reg string) bool {
		r, ok := portless(reg)
		return ok && r == want
	})
}

// portless returns a loopback address without its port. It works on the text,
// so that no two parsers can differ about it. localhost is not meant: a name
// may resolve to something else (RFC 8252 §8.3).
func portless(uri string) (string, bool) {
	for _, origin := range [...]string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, origin)
		if !ok {
			continue
		}
		if strings.HasPrefix(rest, ":") {
			end := strings.IndexAny(rest, "/?")
			if end < 0 {
				end = len(rest)
			}
			if !isPort(rest[1:end]) {
				return "", false
			}
			rest = rest[end:]
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return origin + rest, true
		}
	}
	return "", false
}

// isPort accepts 1 to 65535 without leading zeros.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

// originOf returns what a Content-Security-Policy calls the address's source:
// https://host:port, or the scheme alone (app:) where there is no host.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Host == "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}
