package hosting

import (
	"net/netip"
	"slices"
	"strings"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Site is what the names of hosted instances must fit: the server that is
// reached under them all.
type Site struct {
	Home  string // host name of the home instance
	Plain bool   // reached by plain http, which is for this machine only
}

// CheckHost reports whether a host name can be that of a hosted instance: a
// name of the DNS as the network knows it (RFC 1123 §2.1, RFC 5890 §2.3.1).
func (s Site) CheckHost(host string) error {
	const field = "host"
	name, _, _ := strings.Cut(host, ":")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return fault.Field(field, "must be a name: an address says nothing about which instance is meant")
	}
	switch {
	case host == "":
		return fault.Field(field, "say under which name browsers reach the instance, such as acme.example.com")
	case name != host || strings.Contains(host, "/"):
		return fault.Field(field, "must be the name alone, without scheme, port and path")
	case strings.HasSuffix(host, "."):
		return fault.Field(field, "must be without the dot at its end")
	case strings.ContainsFunc(host, func(r rune) bool { return r >= 'A' && r <= 'Z' }):
		return fault.Field(field, "must be in small letters")
	case strings.ContainsFunc(host, func(r rune) bool { return r > '~' }):
		return fault.Field(field, "must be written as the network knows it: a name with other letters in its xn-- form")
	case len(host) > 253 || !slices.ContainsFunc([]byte(host), isLetter) || !dns(host):
		return fault.Field(field, "must be labels of letters, digits and dashes with dots between them, such as acme.example.com")
	case host == "localhost":
		return fault.Field(field, "must be more than localhost, such as acme.localhost")
	case host == s.Home:
		return ErrOwn
	case s.Plain && !strings.HasSuffix(host, ".localhost"):
		return fault.Field(field, "must end in .localhost, because this server is reached by plain http: passwords would travel in clear")
	}
	return nil
}

func isLetter(b byte) bool { return b >= 'a' && b <= 'z' }

// dns reports whether a name consists of labels of the DNS.
func dns(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isLetter(c) && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// free refuses a host name that an instance has.
func (a All) free(host string) error {
	if _, taken := a.At(host); taken {
		return ErrTaken
	}
	return nil
}

// AddHost has an instance reached under a further name.
type AddHost struct {
	Instance event.ID
	Host     string
	Site     Site
}

// AddingHost decides AddHost.
var AddingHost = decide.Decider[All, AddHost]{
	Name:   "add a host name to an instance",
	Query:  func(AddHost) []decide.Facts { return Every() },
	Evolve: EvolveAll,
	Allow:  owner[All, AddHost],
	Decide: func(a All, c AddHost) ([]event.New, error) {
		s := a[c.Instance]
		if err := s.Exists(); err != nil {
			return nil, err
		}
		if err := c.Site.CheckHost(c.Host); err != nil {
			return nil, err
		}
		if err := a.free(c.Host); err != nil {
			return nil, err
		}
		if len(s.Hosts) >= MostHosts {
			return nil, ErrManyHosts
		}
		return one(c.Instance, HostAdded{c.Instance, c.Host}), nil
	},
}

// RemoveHost ends that an instance is reached under a name.
type RemoveHost struct {
	Instance event.ID
	Host     string
}

// RemovingHost decides RemoveHost. The first name stays: it is the issuer of
// tokens that are in use, and applications are configured with it.
var RemovingHost = decide.Decider[State, RemoveHost]{
	Name:   "remove a host name from an instance",
	Query:  func(c RemoveHost) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow:  owner[State, RemoveHost],
	Decide: func(s State, c RemoveHost) ([]event.New, error) {
		switch err := s.Exists(); {
		case err != nil:
			return nil, err
		case c.Host == s.Primary():
			return nil, ErrPrimary
		case !slices.Contains(s.Hosts, c.Host):
			return nil, ErrNoHost
		}
		return one(c.Instance, HostRemoved(c)), nil
	},
}

// owner allows what only owners of the home instance may do.
func owner[S, C any](a authz.Authority, _ S, _ C) error {
	return a.Need(authz.HostInstances, authz.Instance)
}

func system[S, C any](a authz.Authority, _ S, _ C) error {
	if !a.IsSystem() {
		return authz.Denied("be Muniment itself")
	}
	return nil
}

func one(id event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(id), Payload: payload}}
}
