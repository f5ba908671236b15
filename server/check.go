package server

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/user"
)

// Check reports the first setting that cannot be, or nil, and completes those
// that follow from others.
func (c *Config) Check() error {
	if c.Data == "" {
		return fault.Field("data", "say where the data shall be: --data DIR or MUNIMENT_DATA")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fault.Field("tls-cert", "certificate and key go together: give both tls-cert and tls-key")
	}
	if err := user.CheckEmail(c.OwnerEmail); c.OwnerEmail != "" && err != nil {
		return fault.Field("owner-email", "%s", fault.Public(err))
	}
	for _, named := range [][2]string{{"name", c.Name}, {"owner-name", c.OwnerName}, {"organization", c.Organization}} {
		if err := org.CheckName(named[1]); named[1] != "" && err != nil {
			return fault.Field(named[0], "%s", fault.Public(err))
		}
	}
	if _, err := c.Level(); err != nil {
		return err
	}
	if c.DataCollect != "" && c.DataCollect != "on" && c.DataCollect != "off" {
		return fault.Field("datacollect", "must be on or off")
	}
	if c.EventsTo != "" && c.EventsTo != "stdout" {
		return fault.Field("events-to", "is stdout, or left out")
	}
	if err := c.checkWebhooks(); err != nil {
		return err
	}
	if err := c.checkObserve(); err != nil {
		return err
	}
	if err := c.checkPlaces(); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || strconv.FormatUint(n, 10) != port {
		return fault.Field("listen", "must be address:port, such as 127.0.0.1:8300")
	}
	if c.ExternalURL == "" {
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			return fault.Field("external-url", "say under which address browsers reach this server, such as https://id.example.com")
		}
		c.ExternalURL = c.scheme() + "://" + net.JoinHostPort(browserHost(host), port)
	}
	c.ExternalURL, err = origin(c.ExternalURL)
	return err
}

// origin brings an address into the form in which browsers send it (RFC 6454
// §6.2): scheme and host in small letters, no port that follows from the scheme.
func origin(address string) (string, error) {
	const field = "external-url"
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fault.Field(field, "must be like https://id.example.com")
	}
	if strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fault.Field(field, "must be like https://id.example.com, and nothing behind or before the name: the server has its address for itself")
	}
	for _, r := range u.Host {
		if r <= ' ' || r > '~' {
			return "", fault.Field(field, "must be written as the network knows it: a name with other letters in its xn-- form")
		}
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return "", fault.Field(field, "must be https unless it is on this machine: passwords would travel in clear")
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, nil
}

// Level is the least level of the messages to be logged.
func (c *Config) Level() (slog.Level, error) {
	switch c.LogLevel {
	case "", "info":
		return slog.LevelInfo, nil
	case "debug":
		return slog.LevelDebug, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fault.Field("log-level", "must be debug, info, warn or error")
}

func (c *Config) scheme() string {
	if c.TLSCert != "" {
		return "https"
	}
	return "http"
}

// behindProxy reports whether the server was told that browsers reach it under
// another address than the one on which it listens. One that speaks TLS itself
// has no proxy before it that could say where requests come from.
func (c *Config) behindProxy() bool {
	own := Config{Listen: c.Listen, Data: c.Data}
	return c.TLSCert == "" && (own.Check() != nil || own.ExternalURL != c.ExternalURL)
}

// browserHost is loopback as browsers know it: passkeys and secure contexts
// want the name.
func browserHost(host string) string {
	if host == "127.0.0.1" || host == "::1" {
		return "localhost"
	}
	return host
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && a.IsLoopback()
}
