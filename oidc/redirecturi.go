package oidc

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const maxURI = 512 // bytes of an address

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback()) // RFC 6761 §6.3
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
