package fleet

import (
	"context"
	"io"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/hosting/hostingapi"
	"muniment.dev/ledger"
	"muniment.dev/ops"
	"muniment.dev/server"
	"muniment.dev/session/signin"
)

// Settled implements hostingapi.Fleet.
func (f *Fleet) Settled(ctx context.Context, id event.ID, upto event.Position) error {
	if err := f.followed(ctx, upto); err != nil {
		return err
	}
	s := f.seat(id)
	if s == nil {
		return nil // destroyed before this server was started
	}
	return s.settled(ctx, upto)
}

// inside does something in an instance that is open.
func (f *Fleet) inside(ctx context.Context, id event.ID, do func(*server.Server) error) error {
	s := f.seat(id)
	if s == nil {
		return hosting.ErrNotFound
	}
	r, err := s.enter(ctx, false)
	if err != nil {
		return err
	}
	defer r.guests.Done()
	return do(r.Server)
}

// SetUp implements hostingapi.Fleet.
func (f *Fleet) SetUp(ctx context.Context, id event.ID, o hostingapi.Owner) (l hostingapi.Link, err error) {
	if err := f.step("set the instance up"); err != nil {
		return l, err
	}
	err = f.inside(ctx, id, func(s *server.Server) error {
		expires := s.Core.Log.Now().Add(signin.LinkLife).Truncate(time.Second)
		secret, _, err := s.Core.SetUp(ctx, server.Owner{Organization: o.Organization, Email: o.Email, Names: o.Names})
		l = hostingapi.Link{URL: s.SetupURL(secret), Expires: expires}
		return err
	})
	return l, err
}

// RenewLink implements hostingapi.Fleet.
func (f *Fleet) RenewLink(ctx context.Context, id event.ID) (l hostingapi.Link, err error) {
	err = f.inside(ctx, id, func(s *server.Server) error {
		secret, expires, err := s.Core.RenewLink(ctx)
		l = hostingapi.Link{URL: s.SetupURL(secret), Expires: expires}
		return err
	})
	return l, err
}

// End implements hostingapi.Fleet. It reads the log itself and not its
// register, which may be behind if the server was killed.
func (f *Fleet) End(ctx context.Context, id event.ID) (ledger.State, error) {
	s := f.seat(id)
	if s == nil {
		return ledger.State{}, hosting.ErrNotFound
	}
	s.mu.Lock()
	want, open := s.want, s.running != nil
	s.mu.Unlock()
	if open {
		return ledger.State{}, hosting.ErrNotYet
	}
	c := f.settings(want)
	store, err := pebblelog.OpenReadOnly(c.Layout().Log, pebblelog.Options{Shared: f.cache, Filter: -1, Logger: f.opts.Logger})
	if err != nil {
		return ledger.State{}, err
	}
	head, err := store.Head(ctx, want.Log)
	if bad := store.Close(); err == nil {
		err = bad
	}
	return ledger.State{Log: want.Log, Tree: ledger.Tree{Size: head.Size, Root: head.Root()}}, err
}

// Export implements hostingapi.Fleet: what the instance's admin socket gives
// out, or the store itself if the instance is not open.
func (f *Fleet) Export(ctx context.Context, id event.ID) (hostingapi.Export, error) {
	s := f.seat(id)
	if s == nil {
		return nil, hosting.ErrNotFound
	}
	s.mu.Lock()
	want := s.want
	s.mu.Unlock()
	c := f.settings(want)
	snapshot, err := ops.TakeSnapshot(ctx, c.Layout())
	if err != nil {
		return nil, err
	}
	return export{snapshot}, nil
}

// export is a snapshot as the API wants it.
type export struct{ *ops.Snapshot }

func (e export) Tree() ledger.Tree {
	m := e.Manifest()
	return ledger.Tree{Size: m.Size, Root: event.Hash(m.Root)}
}

func (e export) Write(ctx context.Context, w io.Writer, moved func(done, of int64)) error {
	_, err := e.WriteLog(ctx, w, moved)
	return err
}

// Trouble implements hostingapi.Fleet.
func (f *Fleet) Trouble(id event.ID) string {
	s := f.seat(id)
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return fault.Public(s.err)
	case s.want.Status == hosting.Active && s.running == nil:
		return "it is just being opened"
	}
	return ""
}
