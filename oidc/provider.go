package oidc

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"muniment.dev/fault"
)

// The provider's addresses below the issuer.
const (
	PathDiscovery     = "/.well-known/openid-configuration"       // OpenID Connect Discovery §4
	PathMetadata      = "/.well-known/oauth-authorization-server" // RFC 8414 §3
	PathAuthorize     = "/oauth/authorize"
	PathResume        = "/oauth/resume"
	PathToken         = "/oauth/token"
	PathUserinfo      = "/oauth/userinfo"
	PathIntrospect    = "/oauth/introspect" // RFC 7662
	PathRevoke        = "/oauth/revoke"     // RFC 7009
	PathKeys          = "/oauth/keys"
	PathLogout        = "/oauth/logout"
	PathLogoutResume  = "/oauth/logout/resume"
	PathLogoutConfirm = "/oauth/logout/confirm"
	PathFormPost      = "/oauth/form_post.js"
)

// Config is what a Provider is made of. Fields without default must be set.
type Config struct {
	Issuer    string // origin under which browsers and clients reach us: https://id.example.com
	LoginPath string // the sign-in page; it gets ?flow=ID. Default /login

	Clients  Clients
	Sessions Sessions
	Grants   Grants
	Refresh  RefreshTokens
	Tokens   Tokens
	Users    Users
	Keys     Keys
	Consents Consents // default: nothing is remembered
	Pages    Pages    // default PlainPages
	Refusals Refusals // default nobody

	Machines   Machines   // without it there are no machine users
	Origins    Origins    // without it no script of another site may call
	Assertions Assertions // without it no client authenticates with private_key_jwt

	// FlowKeys seal flow cookies: 32 random bytes each, the same on all nodes.
	// The first seals, all open; keep an old one for an hour after a change.
	FlowKeys [][32]byte

	ACRs            []string      // levels of authentication that sessions may have, for discovery
	CodeLife        time.Duration // default 60 s
	AccessTokenLife time.Duration // default 5 min
	IDTokenLife     time.Duration // default 10 min
	RefreshIdleLife time.Duration // default 14 days
	RefreshLife     time.Duration // default 90 days
	Now             func() time.Time
	Log             *slog.Logger
}

// Provider answers OpenID Connect requests. It is safe for concurrent use.
type Provider struct {
	c          Config
	jar        *jar
	unclaimed  unclaimed
	signatures signatures
}

// New checks c and makes a Provider of it. Kind Invalid says what is wrong.
func New(c Config) (*Provider, error) {
	u, err := url.Parse(c.Issuer)
	if err != nil || c.Issuer != u.Scheme+"://"+u.Host || u.Hostname() == "" {
		return nil, fault.Field("issuer", "must be an origin such as https://id.example.com, without path or final slash")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fault.Field("issuer", "must begin with https://; http is for loopback only")
	}
	if c.Clients == nil || c.Sessions == nil || c.Grants == nil || c.Refresh == nil || c.Tokens == nil || c.Users == nil || c.Keys == nil {
		return nil, fault.New(fault.Invalid, "the provider needs clients, sessions, grants, refresh tokens, tokens, users and keys")
	}
	setDefaults(&c)
	j, err := newJar(c.Issuer, c.FlowKeys, c.Now)
	if err != nil {
		return nil, err
	}
	return &Provider{c: c, jar: j}, nil
}

func setDefaults(c *Config) {
	if c.LoginPath == "" {
		c.LoginPath = "/login"
	}
	if c.Pages == nil {
		c.Pages = PlainPages{}
	}
	if c.CodeLife == 0 {
		c.CodeLife = time.Minute
	}
	if c.AccessTokenLife == 0 {
		c.AccessTokenLife = 5 * time.Minute
	}
	if c.IDTokenLife == 0 {
		c.IDTokenLife = 10 * time.Minute
	}
	if c.RefreshIdleLife == 0 {
		c.RefreshIdleLife = 14 * 24 * time.Hour
	}
	if c.RefreshLife == 0 {
		c.RefreshLife = 90 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

// Register adds the provider's endpoints to mux.
func (p *Provider) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathDiscovery, p.serveDiscovery)
	mux.HandleFunc("GET "+PathMetadata, p.serveDiscovery)
	mux.HandleFunc("GET "+PathKeys, p.serveKeys)
	mux.HandleFunc("GET "+PathAuthorize, p.serveAuthorize)
	mux.HandleFunc("POST "+PathAuthorize, p.serveAuthorize)
	mux.HandleFunc("GET "+PathResume, p.serveResume)
	mux.HandleFunc("GET "+PathFormPost, serveFormPostScript)
	mux.Handle(PathToken, p.scripts(p.serveToken, http.MethodPost))
	mux.Handle(PathUserinfo, p.scripts(p.serveUserinfo, http.MethodGet, http.MethodPost))
	mux.HandleFunc(PathIntrospect, p.serveIntrospect)
	mux.Handle(PathRevoke, p.scripts(p.serveRevoke, http.MethodPost))
	mux.HandleFunc("GET "+PathLogout, p.serveLogout)
	mux.HandleFunc("POST "+PathLogout, p.serveLogout)
	mux.HandleFunc("GET "+PathLogoutResume, p.serveLogoutResume)
	mux.HandleFunc("POST "+PathLogoutConfirm, p.serveLogoutConfirm)
}
