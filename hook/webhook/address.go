package webhook

import (
	"net/netip"
	"strings"

	"muniment.dev/fault"
)

// closed are the networks that are not of the open internet (IANA's registries of
// special-purpose addresses, RFC 6890), but for those whose addresses hold
// another one inside.
var closed = prefixes("0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 " +
	"192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 " +
	"::/128 ::1/128 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8")

func prefixes(text string) (list []netip.Prefix) {
	for p := range strings.FieldsSeq(text) {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// Public reports whether an address is of the open internet: nothing behind it
// is trusted because of where it is.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || within(a, closed) {
		return false
	}
	if v4, ok := inner(a); ok {
		return Public(v4)
	}
	return true
}

// inner is the address of the older internet that one of the newer leads to: of
// NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056 §2) and those that are only compatible
// (RFC 4291 §2.5.5.1).
func inner(a netip.Addr) (netip.Addr, bool) {
	if a.Is4() {
		return a, false
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a), netip.MustParsePrefix("::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return a, false
}

func within(a netip.Addr, networks []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	for _, p := range networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ParseNetworks reads networks such as "10.0.0.0/8, 127.0.0.1", with commas or
// spaces between them.
func ParseNetworks(text string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		p, err := netip.ParsePrefix(item)
		if err != nil {
			a, e := netip.ParseAddr(item)
			if e != nil || a.Zone() != "" {
				return nil, fault.New(fault.Invalid, "must be networks such as 10.0.0.0/8, with commas between them; %q is none", item)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fault.New(fault.Invalid, "%q must be written as an IPv4 network", item)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
