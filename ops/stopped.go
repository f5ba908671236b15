package ops

import (
	"context"
	"errors"
	"slices"

	"muniment.dev/custom"
	"muniment.dev/custom/publish"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/seal"
	"muniment.dev/view"
)

// Program is what a version of the server declares: how records read, and which
// tables are made of them.
type Program struct {
	Registry *event.Registry
	Views    []view.View
	Version  string
	// Go are appliers and upcasters written in Go, as the server has them.
	Go custom.Go
	// CheckpointSigner reads the secret key with which a log's checkpoints are
	// signed, as it was made with the log.
	CheckpointSigner func(context.Context, *eventlog.Log, *seal.Sealer) (string, error)
}

// Stopped is a data directory on which no server runs, open for reading: its
// log, and with its keys what the records say. Its lock keeps servers out.
type Stopped struct {
	Layout Layout
	Log    *eventlog.Log
	Sealer *seal.Sealer

	program Program
	catalog *publish.Catalog // with keys only
	store   *opened
	keys    *seal.Keys
}

// OpenStopped opens a data directory on which no server runs. Without keys it
// can say how the log is, but not what is sealed in it. Close must be called.
func OpenStopped(ctx context.Context, l Layout, p Program, keys bool) (_ *Stopped, err error) {
	s := &Stopped{Layout: l, program: p}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.store, err = openStopped(ctx, l); err != nil {
		return nil, err
	}
	now, err := stateOf(ctx, s.store)
	if err != nil {
		return nil, err
	}
	if now.IsZero() {
		return nil, fault.New(fault.NotFound, "there is no log in %s", l.Dir)
	}
	if s.Log, err = eventlog.OpenReadOnly(ctx, s.store, now.Log); err != nil || !keys {
		return s, err
	}
	if s.keys, err = openKeys(ctx, l); err != nil {
		return nil, err
	}
	s.Sealer = &seal.Sealer{Log: now.Log, Assigned: s.Log, Keys: s.keys, Registry: p.Registry}
	if p.Registry != nil {
		s.catalog = publish.NewCatalog(&decide.Runner{Log: s.Log, Sealer: s.Sealer}, p.Go)
	}
	return s, nil
}

// Close closes everything.
func (s *Stopped) Close() error {
	var errs []error
	if s.Log != nil {
		errs = append(errs, s.Log.Close())
	}
	if s.keys != nil {
		errs = append(errs, s.keys.Close())
	}
	if s.store != nil {
		s.store.close()
	}
	return errors.Join(errs...)
}

// Views opens the views of a stopped directory, which needs its keys. They come
// to where the log ends by themselves. A file that follows another log is made
// anew if anew is true. Close must be called before that of s.
func (s *Stopped) Views(ctx context.Context, anew bool, progress func(view.Progress)) (*view.Set, error) {
	o := view.Options{Prepare: s.Sealer.Prefetch, Progress: progress}
	views, err := s.views(ctx)
	if err != nil {
		return nil, err
	}
	set, err := view.Open(ctx, ViewsIn(s.Layout.Views, nil), s.Log, s.Sealer.Decode, views, o)
	if anew && fault.Is(err, fault.Refused) {
		o.Rebuild = true
		set, err = view.Open(ctx, ViewsIn(s.Layout.Views, nil), s.Log, s.Sealer.Decode, views, o)
	}
	return set, err
}

// views are the program's, and that of customers' entities as it follows from
// the log's definitions.
func (s *Stopped) views(ctx context.Context) ([]view.View, error) {
	d, err := s.catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(s.program.Views), custom.View(d.Epoch, s.catalog, s.program.Registry.BuiltIn)), nil
}

// register says what the register of a stopped directory is worth to its log.
func (s *Stopped) register(ctx context.Context) RegisterStatus {
	reg := register(s.Layout.Register)
	state, err := reg.Load(ctx)
	out := RegisterStatus{Size: state.Size, Term: state.Term, Says: saidBy(state, err), Agrees: true}
	if err == nil {
		_, err = ledger.Admit(ctx, s.store, s.Log.ID(), reg)
	}
	if err != nil {
		out.Agrees, out.Problem = false, explain(err)
	}
	return out
}
