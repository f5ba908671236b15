package app

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"muniment.dev/fault"
)

// maxURIs bounds each list of an application.
const maxURIs = 20

// checkURIs checks the redirect URIs of an application as it registers them;
// requests must match them exactly (RFC 9700 §2.1).
func checkURIs(redirects, logout []string, native bool) error {
	if len(redirects) == 0 {
		return fault.Field("redirect_uris", "name at least one")
	}
	for field, list := range map[string][]string{"redirect_uris": redirects, "post_logout_redirect_uris": logout} {
		if len(list) > maxURIs {
			return fault.Field(field, "at most %d are possible", maxURIs)
		}
		for i, u := range list {
			if err := checkURI(u, native); err != nil {
				return fault.Field(fmt.Sprintf("%s[%d]", field, i), "%v", err)
			}
			if slices.Contains(list[:i], u) {
				return fault.Field(fmt.Sprintf("%s[%d]", field, i), "stands there twice")
			}
		}
	}
	return nil
}

// checkURI: absolute, without fragment (RFC 6749 §3.1.2), https except on
// loopback (RFC 8252 §7.3), without wildcards or user information.
func checkURI(raw string, native bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > 2000 || strings.ContainsAny(raw, " \\*\t\r\n"):
		return fmt.Errorf("must be a URI of at most 2000 bytes without wildcards")
	case u.User != nil:
		return fmt.Errorf("must not hold user information")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return fmt.Errorf("must not have a fragment")
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("must use https, except on loopback")
	case native && strings.Contains(u.Scheme, "."): // RFC 8252 §7.1
		return nil
	}
	return fmt.Errorf("must be an absolute https URI")
}

// Loopback reports whether a host name means this machine.
func Loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
