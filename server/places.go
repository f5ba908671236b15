package server

import (
	"net"
	"net/url"
	"strings"
	"time"

	"muniment.dev/fault"
)

// isURL reports whether a place is an address and not a path.
func isURL(place string) bool { return strings.Contains(place, "://") }

// checkPlaces reports the first setting about where the parts of an instance
// are that cannot be. On a database everything must be said that nodes share:
// a default in the data directory would be another one on each.
func (c *Config) checkPlaces() error {
	for _, p := range []struct {
		name, value string
		schemes     string
	}{
		{"database", c.Database, "postgres postgresql"}, {"database-owner", c.DatabaseOwner, "postgres postgresql"}, {"database-erase", c.DatabaseErase, "postgres postgresql"},
		{"keys", c.Keys, "postgres postgresql"}, {"views", c.Views, "postgres postgresql"}, {"register", c.Register, "postgres postgresql etcd etcds"},
	} {
		if err := checkPlace(p.name, p.value, p.schemes); err != nil {
			return err
		}
	}
	switch {
	case c.Database == "" && c.DatabaseOwner+c.DatabaseErase != "":
		return fault.Field("database", "is missing: the other roles are of the database that it names")
	case c.Database == "" && c.NodeListen != "":
		return fault.Field("node-listen", "several nodes need a database that they share; the embedded store is one process's (say --database postgres://...)")
	case c.Database == "":
	case !isURL(c.Database):
		return fault.Field("database", "must be an address such as postgres://muniment@db.example.com/muniment")
	case c.Keys == "":
		return fault.Field("keys", "say where the subject keys are, apart from the log: a PostgreSQL database of their own (postgres://...), or a file if there is one node")
	case c.Register == "":
		return fault.Field("register", "say where the register is, apart from the log: etcd://..., postgres://... on another server, or a file if there is one node")
	case c.NodeListen != "" && !isURL(c.Keys):
		return fault.Field("keys", "several nodes need keys that they share: a PostgreSQL database of their own (postgres://...)")
	case c.NodeListen != "" && c.Views != "" && !isURL(c.Views):
		return fault.Field("views", "several nodes share their views: leave it out, or name a PostgreSQL database")
	}
	return c.checkNode()
}

func checkPlace(name, value, schemes string) error {
	if !isURL(value) {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" && u.Query().Get("host") == "" {
		return fault.Field(name, "is not an address that can be read") // which may hold a password
	}
	if !strings.Contains(" "+schemes+" ", " "+u.Scheme+" ") {
		return fault.Field(name, "cannot be at an address that begins with %s://", u.Scheme)
	}
	return nil
}

// The shortest and the longest lease: a shorter one ends in every pause, a longer one
// keeps everybody waiting.
const (
	minLease = time.Second
	maxLease = time.Minute
)

// checkNode checks how other nodes reach this one, and completes it.
func (c *Config) checkNode() error {
	if d, err := time.ParseDuration(c.Lease); c.Lease != "" && (err != nil || d < minLease || d > maxLease) {
		return fault.Field("lease", "must be from %s to %s, such as 5s", minLease, maxLease)
	}
	if c.NodeListen == "" {
		if c.NodeURL != "" {
			return fault.Field("node-listen", "is missing: node-url is how others reach what listens there")
		}
		return nil
	}
	host, _, err := net.SplitHostPort(c.NodeListen)
	if err != nil {
		return fault.Field("node-listen", "must be address:port, such as 10.0.0.5:8301")
	}
	if c.NodeURL == "" {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			return fault.Field("node-url", "say under which address other nodes reach this one, such as http://10.0.0.5:8301")
		}
		c.NodeURL = "http://" + c.NodeListen
	}
	u, err := url.Parse(c.NodeURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return fault.Field("node-url", "must be like http://10.0.0.5:8301")
	}
	c.NodeURL = u.Scheme + "://" + u.Host
	return nil
}

// lease is for how long the log is held.
func (c *Config) lease() time.Duration {
	d, err := time.ParseDuration(c.Lease)
	if err != nil {
		return 5 * time.Second
	}
	return d
}
