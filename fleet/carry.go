package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/seal/erasure"
	"muniment.dev/server"
)

// folder holds the hosted instances in the home instance's data directory.
const folder = "instances"

// settings are those of a hosted instance. What the operator put on other disks
// than the data directory stays there, with a file for each instance.
func (f *Fleet) settings(st hosting.State) server.Config {
	c := server.Config{Data: filepath.Join(f.config.Data, folder, st.Instance.String()), Listen: f.config.Listen, TLSCert: f.config.TLSCert, TLSKey: f.config.TLSKey,
		ExternalURL: f.URL(st.Primary()), Name: st.Name, LogLevel: f.config.LogLevel}
	if f.config.Register != "" {
		c.Register = filepath.Join(filepath.Dir(f.config.Register), folder, st.Instance.String()+".register.json")
	}
	if f.config.RootKey != "" {
		c.RootKey = filepath.Join(filepath.Dir(f.config.RootKey), folder, st.Instance.String()+".root.key")
	}
	return c
}

// carryOut makes the instance what the log says that it is.
func (s *seat) carryOut(ctx context.Context, want hosting.State) error {
	if s.fleet.opts.several() {
		return fault.New(fault.Unavailable, "instances are hosted on one node only; leave node-listen out to serve them")
	}
	switch want.Status {
	case hosting.Making:
		return s.make(ctx, want)
	case hosting.Active:
		return s.open(ctx, want)
	case hosting.IsSuspended:
		return s.shut()
	case hosting.IsDeleted:
		return s.destroy(ctx, want)
	}
	return nil
}

func (f *Fleet) step(name string) error {
	if f.opts.Step == nil {
		return nil
	}
	return f.opts.Step(name)
}

// byFleet surrounds what the server records of what it did.
func byFleet() decide.Envelope {
	e := decide.Envelope{Actor: event.System}
	e.Context.Public = map[string]any{"source": "hosting"}
	return e
}

// make makes the stores of an instance that was recorded, or goes on with it
// after a crash, and records that they are there.
func (s *seat) make(ctx context.Context, want hosting.State) error {
	if err := s.fleet.step("make the stores"); err != nil {
		return err
	}
	if err := s.open(ctx, want); err != nil {
		return err
	}
	if err := s.fleet.step("record that they are made"); err != nil {
		return err
	}
	s.mu.Lock()
	key := s.running.Core.Instance.CheckpointKey
	s.mu.Unlock()
	defer s.fleet.roused()
	_, err := decide.Run(ctx, s.fleet.home.Core.Runner, hosting.Completing, byFleet(), hosting.Complete{Instance: s.id, CheckpointKey: key})
	return err
}

// open opens the instance if it is not open. Stores that were made are not made
// again: if they are missing, somebody has to bring them back.
func (s *seat) open(ctx context.Context, want hosting.State) error {
	if s.isOpen() {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case s.fleet.opening <- struct{}{}:
		defer func() { <-s.fleet.opening }()
	case <-s.hurry: // somebody waits
	}
	c := s.fleet.settings(want)
	if want.Status != hosting.Making && !c.Holds() {
		return fault.New(fault.Unavailable, "the stores of this instance are missing; is the disk there? If they are lost, restore them from a backup")
	}
	for _, file := range []string{c.Register, c.RootKey} {
		if file == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return &fault.Error{Kind: fault.Unavailable, Op: "make a folder", Msg: "the folder for registers or root keys of hosted instances cannot be made", Err: err}
		}
	}
	x := s.fleet.opts.Extra
	x.Nodes, x.Store = nil, nil // its stores are its own
	x.Pool = s.fleet.home.Pool()
	x.Logger = s.fleet.opts.Logger.With("instance", s.id)
	x.Hosted = &server.Hosted{Instance: s.id, Log: want.Log, CheckpointKey: want.CheckpointKey, BehindProxy: s.fleet.home.BehindProxy(),
		Cache: s.fleet.cache, Filter: sharedFilter}
	srv, err := server.New(ctx, c, x)
	if err != nil {
		return err
	}
	r := &running{Server: srv}
	r.cut, r.cutOff = context.WithCancel(context.Background())
	s.change(func() { s.running, s.err = r, nil })
	go s.fleet.watch(r.cut, srv)
	return nil
}

func (s *seat) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running != nil
}

// destroy destroys a deleted instance: its keys first, so that whatever is left
// after a crash cannot be read; then everything else; then that is recorded.
// Each step may be repeated.
func (s *seat) destroy(ctx context.Context, want hosting.State) error {
	if err := s.shut(); err != nil {
		return err
	}
	c := s.fleet.settings(want)
	l := c.Layout()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"destroy the root key", func() error { return shred(l.Root) }},
		{"destroy the keys", func() error { return errors.Join(shred(l.Keys), shred(l.Keys+"-journal")) }},
		{"delete the stores", func() error {
			return errors.Join(os.RemoveAll(c.Data), remove(l.Register), remove(erasure.ListPath(l.Register)))
		}},
		{"record that it is destroyed", func() error {
			defer s.fleet.roused()
			_, err := decide.Run(ctx, s.fleet.home.Core.Runner, hosting.Destroying, byFleet(), hosting.Destroy{Instance: s.id})
			return err
		}},
	} {
		err := s.fleet.step(step.name)
		if err == nil {
			err = step.do()
		}
		if err != nil {
			return fault.Wrap(step.name, err)
		}
	}
	return nil
}

// shred overwrites a file and removes it; one that is gone already is fine. On
// disks that write elsewhere what is overwritten, the key above it matters: the
// root key is destroyed first, and is the smallest of all.
func shred(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	noise := make([]byte, min(info.Size(), 1<<20))
	rand.Read(noise)
	for at := int64(0); at < info.Size() && err == nil; at += int64(len(noise)) {
		_, err = f.WriteAt(noise[:min(int64(len(noise)), info.Size()-at)], at)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return remove(path)
}

// remove removes a file durably.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
