package server

import (
	"context"
	"time"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/login"
	"muniment.dev/ops"
	"muniment.dev/session/signin"
	"muniment.dev/setup"
	"muniment.dev/user/password"
)

// Hosted is what is known of an instance that another one hosts.
type Hosted struct {
	Instance event.ID
	Log      event.LogID
	// CheckpointKey is that with which its checkpoints are verified; empty
	// before the instance is made.
	CheckpointKey string
	// BehindProxy says whether the server stands behind a proxy. From the
	// settings it follows for the home instance only.
	BehindProxy bool
	// Cache is shared with the stores of the other instances; Filter bounds
	// what else the store keeps in memory, in bytes.
	Cache  *pebblelog.Cache
	Filter int64
}

func (h *Hosted) newLog() event.LogID {
	if h == nil {
		return event.LogID{ID: event.NewID()}
	}
	return h.Log
}

func (h *Hosted) newInstance() event.ID {
	if h == nil {
		return event.NewID()
	}
	return h.Instance
}

// is refuses stores that are another instance's: somebody exchanged folders,
// and people would sign in to what is not theirs.
func (h *Hosted) is(c *Core) error {
	switch {
	case h == nil:
	case c.Instance.Instance != h.Instance || c.Log.ID() != h.Log:
		return fault.New(fault.Refused, "the folder of the instance %s holds another instance: folders were exchanged", h.Instance)
	case h.CheckpointKey != "" && h.CheckpointKey != c.Instance.CheckpointKey:
		return fault.New(fault.Refused, "the checkpoint key of the instance %s is another than when it was made", h.Instance)
	}
	return nil
}

// behindProxy reports whether requests come through a proxy.
func (s *Server) behindProxy() bool {
	if h := s.extra.Hosted; h != nil {
		return h.BehindProxy
	}
	return s.config.behindProxy()
}

// Layout is where the parts of the data directory are.
func (c *Config) Layout() ops.Layout { return layout(*c) }

// Pool is what hashes passwords: its bound is the machine's, not the instance's.
func (s *Server) Pool() *password.Pool { return s.pool }

// BehindProxy reports whether requests come through a proxy.
func (s *Server) BehindProxy() bool { return s.behindProxy() }

// SetupURL is the address of a set-up link.
func (s *Server) SetupURL(secret string) string { return s.URL() + login.SetupPath(secret) }

// RenewLink makes another set-up link for the owner whom the instance was set
// up for, as long as nobody was ever in; see setup.RenewingLink.
func (c *Core) RenewLink(ctx context.Context) (secret string, expires time.Time, err error) {
	o, err := decide.Read(ctx, c.Runner, "first owner", setup.FirstOwnerFacts(), setup.FirstOwner{}, setup.EvolveFirstOwner)
	if err != nil {
		return "", time.Time{}, err
	}
	secret, digest := signin.NewLink(o.User)
	expires = c.Log.Now().Add(signin.LinkLife).Truncate(time.Microsecond)
	_, err = decide.Run(ctx, c.Runner, setup.RenewingLink, bySystem("hosting"), setup.RenewLink{Owner: o.User, Digest: digest, Expires: event.Instant(expires.UnixMicro())})
	return secret, expires, err
}
