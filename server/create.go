package server

import (
	"context"
	"crypto/rand"
	"time"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/ledger"
	"muniment.dev/session/signin"
	"muniment.dev/setup"
	"muniment.dev/user"
)

// bySystem surrounds what Muniment does by itself.
func bySystem(source string) decide.Envelope {
	e := decide.Envelope{Actor: event.System}
	if source != "" {
		e.Context.Public = map[string]any{"source": source}
	}
	return e
}

// openInstance reads whose log it is, and makes the instance if the log is
// empty.
func (c *Core) openInstance(ctx context.Context) error {
	for c.Log.Mark().Size == 0 {
		if !c.Log.Leads() { // another node makes it at this moment
			if err := c.look(ctx); err != nil {
				return err
			}
			continue
		}
		if err := c.createInstance(ctx); err != nil {
			return fault.Wrap("create the instance", err)
		}
		c.Created = true
	}
	first, err := c.Log.Record(ctx, 1)
	if err != nil {
		return err
	}
	if first.Type != "instance.created" {
		return fault.New(fault.Refused, "the log's first record is %s, not instance.created: this is another program's log", first.Type)
	}
	c.Sealer.Instance = event.SubjectID{ID: first.Stream.ID}
	c.Instance, err = c.ReadInstance(ctx)
	if err != nil {
		return err
	}
	if err := c.opts.Hosted.is(c); err != nil {
		return err
	}
	if _, ok := c.Instance.CheckpointSigner.Get(); !ok {
		return fault.New(fault.Unavailable, "the instance's own secrets cannot be opened: keys.db or root.key are not those of this log")
	}
	return nil
}

// look waits a moment for what another node records.
func (c *Core) look(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := c.Log.Wait(wait, 0); err != nil && ctx.Err() != nil {
		return fault.Wrap("wait for another node to create the instance", err)
	}
	return nil
}

// ReadInstance folds the instance as it is now.
func (c *Core) ReadInstance(ctx context.Context) (instance.State, error) {
	id := c.Sealer.Instance.ID
	return decide.Read(ctx, c.Runner, "instance", instance.Facts(id), instance.State{}, instance.Evolve)
}

func (c *Core) createInstance(ctx context.Context) error {
	secret, verifier, err := ledger.GenerateKey(c.opts.Host, c.Log.ID())
	if err != nil {
		return err
	}
	cmd := instance.Create{Instance: c.opts.Hosted.newInstance(), Name: c.opts.Name, CheckpointKey: verifier, CheckpointSigner: secret, CLI: event.NewID()}
	rand.Read(cmd.FlowKey[:])
	c.Sealer.Instance = event.SubjectID{ID: cmd.Instance}
	_, err = decide.Run(ctx, c.Runner, instance.Creating, bySystem("setup"), cmd)
	return err
}

// Owner is who an instance is set up for.
type Owner struct {
	Organization string // name of the first organization; default "Home"
	Email        string
	Names        user.Names
}

// SetUp gives a fresh instance its first organization and its owner. It
// returns the secret of the owner's one-time set-up link and their id.
// fault.Exists if it is set up already.
func (c *Core) SetUp(ctx context.Context, o Owner) (secret string, owner event.ID, err error) {
	if o.Organization == "" {
		o.Organization = "Home"
	}
	if o.Names.Display == "" {
		o.Names.Display = o.Names.Given
	}
	owner = event.NewID()
	secret, digest := signin.NewLink(owner)
	_, err = decide.Run(ctx, c.Runner, setup.SettingUp, bySystem("setup"), setup.SetUp{
		Organization: event.NewID(), Owner: owner, Member: event.NewID(), Project: event.NewID(), CLI: c.Instance.CLI,
		OrganizationName: o.Organization, Email: o.Email, Names: o.Names,
		LinkDigest: digest, LinkExpires: event.Instant(c.Log.Now().Add(signin.LinkLife).UnixMicro()),
	})
	return secret, owner, err
}

// NewSetupLink makes a one-time set-up link for the user with an e-mail
// address, for an operator who has locked themself out. It returns its secret.
func (c *Core) NewSetupLink(ctx context.Context, email string) (string, time.Time, error) {
	owners, err := decide.Read(ctx, c.Runner, "owner of an address", user.ByEmail(email), user.Owners{}, user.EvolveOwners)
	if err != nil {
		return "", time.Time{}, err
	}
	id, ok := owners.Of(email)
	if !ok {
		return "", time.Time{}, user.ErrNotFound
	}
	secret, digest := signin.NewLink(id)
	expires := c.Log.Now().Add(signin.LinkLife)
	_, err = decide.Run(ctx, c.Runner, user.CreatingSetupLink, bySystem("console"), user.CreateSetupLink{User: id, Digest: digest, Expires: event.Instant(expires.UnixMicro())})
	return secret, expires, err
}
