package server

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"muniment.dev/fault"
)

// certificate is a certificate and its key in files. When the files change, as
// they do when a certificate is renewed, connections from then on get the new
// one; a pair that cannot be read leaves the old one in place.
type certificate struct {
	cert, key string
	logger    *slog.Logger

	mu   sync.Mutex
	pair *tls.Certificate
	seen [2]time.Time // when the files were last changed, as of the last look
}

// certificate reads the certificate; nil if the server speaks http.
func (c *Config) certificate(logger *slog.Logger) (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	held := &certificate{cert: c.TLSCert, key: c.TLSKey, logger: logger}
	held.seen = held.changed()
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Field: "tls-cert", Msg: "certificate and key cannot be read as a pair of PEM files", Err: err}
	}
	held.pair = &pair
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: held.get, NextProtos: []string{"h2", "http/1.1"}}, nil
}

// changed is when the files were changed; zero for one that is not there.
func (c *certificate) changed() (at [2]time.Time) {
	for i, path := range []string{c.cert, c.key} {
		if info, err := os.Stat(path); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// get implements tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.changed()
	if at == c.seen {
		return c.pair, nil
	}
	c.seen = at // once for each change: half of a renewal is followed by the other half
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		c.logger.Error("the new certificate cannot be read; the old one stays in use", "error", err)
		return c.pair, nil
	}
	c.pair = &pair
	c.logger.Info("a new certificate is in use")
	return c.pair, nil
}
