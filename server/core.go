// Package server assembles an instance: stores, log, keys, views, ledger and
// erasure below; the API, the OpenID provider and the pages above. It is the
// one library package that knows everything; cmd/muniment only parses what the
// operator says and calls it.
//
// A data directory holds: log/ (the truth), keys.db (subject keys, wrapped),
// root.key (wraps them, unless it is kept elsewhere), views.db and stats.json
// (derived, may be deleted), register.json (where the last size and root are kept apart from
// the log; it belongs on another disk).
package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"muniment.dev/app"
	"muniment.dev/audit"
	"muniment.dev/audit/stats"
	"muniment.dev/authz"
	"muniment.dev/credential"
	"muniment.dev/custom"
	"muniment.dev/custom/publish"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/field/external"
	"muniment.dev/grant"
	"muniment.dev/hook"
	"muniment.dev/hosting"
	"muniment.dev/instance"
	"muniment.dev/ledger"
	"muniment.dev/member"
	"muniment.dev/ops"
	"muniment.dev/org"
	"muniment.dev/policy"
	"muniment.dev/project"
	"muniment.dev/seal"
	"muniment.dev/seal/erasure"
	"muniment.dev/seal/kms/file"
	"muniment.dev/session"
	"muniment.dev/user"
	"muniment.dev/view"
)

// Registry returns the descriptors of all built-in event types. The table is
// here and nowhere else.
func Registry() *event.Registry {
	return event.NewRegistry(authz.Events(), instance.Events(), org.Events(), policy.Events(), credential.Events(), user.Events(), project.Events(),
		app.Events(), grant.Events(), session.Events(), custom.Events(), field.Events(), external.Events(), audit.Events(), hosting.Events(), hook.Events())
}

// Views are the views of all slices, but for that of customers' entities, which
// follows from what they defined.
func Views() []view.View {
	return []view.View{org.View(), policy.View(), user.View(), project.View(), app.View(), grant.View(), member.View(), member.PermissionView(), session.View(), field.View(), external.View(), hosting.View(), hook.View()}
}

// Options of an instance. Data and Store are required.
type Options struct {
	Data     string           // directory; made with mode 0700 if it does not exist
	Store    eventlog.Store   // the engine; closed with the core
	Host     string           // host name in the log's origin, fixed when the instance is made
	Name     string           // of the instance, when it is made
	Register string           // where the register is: a path, postgres:// or etcd://; default register.json in Data
	RootKey  string           // path of the root key; default root.key in Data
	Keys     string           // where the subject keys are: a path or postgres://; default keys.db in Data
	Views    string           // where the views are; default views.db in Data
	Clock    func() time.Time // default time.Now
	Logger   *slog.Logger
	Observer eventlog.Observer // is told what the log does; may be nil
	// MaxLag is how far views may be behind before changes wait; default 100 ms.
	MaxLag time.Duration
	// Forget are further places that an erasure clears.
	Forget []erasure.Forget
	// Hosted says which instance and log are expected; nil: whichever is there.
	Hosted *Hosted
	// Go are appliers and upcasters written in Go; may be empty.
	Go custom.Go
	// Nodes says how the log is shared with other processes; nil: it is not.
	Nodes *Nodes
}

// Core is an instance without its network.
type Core struct {
	Log       *eventlog.Log
	Keys      *seal.Keys
	Sealer    *seal.Sealer
	Runner    *decide.Runner
	Catalog   *publish.Catalog
	Customs   *publish.Publisher // of customers' events
	Views     *view.Set
	Publisher *ledger.Publisher
	Prover    *ledger.Prover
	Erasure   *erasure.Process
	Stats     *stats.Counter
	Instance  instance.State
	Created   bool // by this opening

	// VerifierKey is the key by which the checkpoints of the log's newest
	// generation are verified.
	VerifierKey string

	opts      Options
	register  ledger.RegisterCloser
	continued event.Instant          // when that generation began; zero for the first
	nodeKey   atomic.Pointer[[]byte] // with which nodes know each other
	erasing   atomic.Pointer[erasure.Process]
	stop      context.CancelFunc
	closer    []func() error
	done      chan struct{}
}

func (o *Options) defaults() {
	if o.Register == "" {
		o.Register = filepath.Join(o.Data, "register.json")
	}
	if o.RootKey == "" {
		o.RootKey = filepath.Join(o.Data, "root.key")
	}
	if o.Keys == "" {
		o.Keys = filepath.Join(o.Data, "keys.db")
	}
	if o.Views == "" {
		o.Views = filepath.Join(o.Data, "views.db")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Name == "" {
		o.Name = "Muniment"
	}
	if o.Host == "" {
		o.Host = "localhost"
	}
	if o.MaxLag == 0 {
		o.MaxLag = 100 * time.Millisecond
	}
}

// Open opens an instance's stores, makes the instance if there is none, carries
// out erasures that were interrupted, and starts what runs by itself. Close
// must be called.
func Open(ctx context.Context, o Options) (_ *Core, err error) {
	o.defaults()
	c := &Core{opts: o, done: make(chan struct{})}
	c.onClose(o.Store.Close)
	defer func() {
		if err != nil {
			c.shut()
		}
	}()
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "open the data directory", Msg: "the data directory cannot be made; check the path and its permissions", Err: err}
	}
	if err := c.openLog(ctx); err != nil {
		return nil, err
	}
	if err := c.openInstance(ctx); err != nil {
		return nil, err
	}
	if err := c.meet(); err != nil {
		return nil, err
	}
	if err := c.sinceWhen(ctx); err != nil {
		return nil, err
	}
	if err := c.openDerived(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Core) onClose(f func() error) { c.closer = append(c.closer, f) }

// openLog opens keys, register, log and runner.
func (c *Core) openLog(ctx context.Context) error {
	root, err := file.Open(c.opts.RootKey)
	if err != nil {
		return err
	}
	if c.Keys, err = seal.OpenKeys(ctx, c.opts.Keys, root); err != nil {
		return err
	}
	c.onClose(c.Keys.Close)
	if c.register, err = ledger.OpenRegister(ctx, c.opts.Register); err != nil {
		return err
	}
	c.onClose(c.register.Close)
	id, err := c.logID(ctx)
	if err != nil {
		return err
	}
	// Notes the new term in the register before anything is appended: a first
	// start that is interrupted can be repeated.
	o := eventlog.Options{Clock: c.opts.Clock, Logger: c.opts.Logger, Observer: c.opts.Observer}
	c.opts.Nodes.options(&o, id, &c.nodeKey)
	c.Log, err = ledger.OpenLog(ctx, c.opts.Store, id, c.register, o)
	if err != nil {
		return fault.Wrap("open the log as its register admits it", err)
	}
	// The log stops first, so that the last checkpoint covers all of it.
	c.onClose(func() error {
		if c.Publisher == nil {
			return nil
		}
		return c.Publisher.Close()
	})
	c.onClose(c.part)
	c.onClose(c.Log.Close)
	c.Sealer = &seal.Sealer{Log: id, Assigned: c.Log, Keys: c.Keys, Registry: Registry(), Erased: c.erased}
	c.Runner = &decide.Runner{Log: c.Log, Sealer: c.Sealer}
	c.Catalog = publish.NewCatalog(c.Runner, c.opts.Go)
	return nil
}

// logID returns the id of the store's log, a fresh one if it has none yet.
func (c *Core) logID(ctx context.Context) (event.LogID, error) {
	logs, err := c.opts.Store.Logs(ctx)
	if err != nil {
		return event.LogID{}, err
	}
	switch len(logs) {
	case 0:
		state, err := c.register.Load(ctx)
		switch {
		case err != nil || !state.IsZero():
			return state.Log, err // Admit will say if the log is missing
		case c.opts.Nodes != nil:
			return ledger.Agree(ctx, c.register, c.opts.Hosted.newLog())
		}
		return c.opts.Hosted.newLog(), nil
	case 1:
		return logs[0], nil
	}
	return event.LogID{}, fault.New(fault.Refused, "the store holds %d logs; this version serves one", len(logs))
}

// sinceWhen reads when the log's newest generation began.
func (c *Core) sinceWhen(ctx context.Context) error {
	g := c.Log.Generations()
	if len(g) == 1 {
		return nil
	}
	r, err := c.Log.Record(ctx, g[len(g)-1].First)
	if err != nil {
		return err
	}
	c.continued = event.Instant(r.Time.UnixMicro())
	return nil
}

// openDerived opens what follows from the log.
func (c *Core) openDerived(ctx context.Context) error {
	signer, err := ledger.NewSigner(c.Instance.CheckpointSigner.Value)
	if err == nil {
		signer, err = signer.For(c.Log.Generation())
	}
	if err != nil {
		return fault.Wrap("open the checkpoint key", err)
	}
	c.VerifierKey = signer.VerifierKey()
	c.Prover = ledger.NewProver(c.Log.Store(), c.Log.ID())
	c.Publisher, err = ledger.StartPublisher(ctx, c.Log, signer, c.register, ledger.PublisherOptions{Logger: c.opts.Logger})
	if err != nil {
		return err
	}
	entities, err := c.served(ctx)
	if err != nil {
		return err
	}
	if c.Views, err = view.Open(ctx, ops.ViewsIn(c.opts.Views, c.applies()), c.Log, c.Sealer.Decode, append(Views(), entities), view.Options{Prepare: c.Sealer.Prefetch, Logger: c.opts.Logger}); err != nil {
		return err
	}
	c.onClose(c.Views.Close)
	c.Customs = &publish.Publisher{Catalog: c.Catalog, Runner: c.Runner, Views: c.Views}
	c.background(func(ctx context.Context) { c.replaceEntities(ctx, event.Position(entities.Epoch)) })
	c.background(c.expire)
	c.background(c.index)
	c.Stats = stats.Start(ctx, c.Log, filepath.Join(c.opts.Data, "stats.json"), c.opts.Logger)
	c.onClose(c.Stats.Close)
	c.Runner.Slow = c.slow
	return c.startErasure(ctx)
}

// applies says whether this node is the one that applies events to views that
// nodes share: the one that holds the log has them first.
func (c *Core) applies() func() bool {
	if c.Log.Shared() == nil {
		return nil
	}
	return c.Log.Leads
}

// slow holds changes back while the views are far behind.
func (c *Core) slow(ctx context.Context) error {
	for c.Views.Lag() > c.opts.MaxLag {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return &fault.Error{Kind: fault.Unavailable, Msg: "the server is catching up; nothing was changed", Err: ctx.Err()}
		}
	}
	return nil
}

// erased reports whether a subject was erased whose key may still be there.
// Nobody is served before the process is there that knows.
func (c *Core) erased(ctx context.Context, s event.SubjectID) (bool, error) {
	if p := c.erasing.Load(); p != nil {
		return p.Erased(ctx, s)
	}
	return false, nil
}

func (c *Core) startErasure(ctx context.Context) error {
	list, err := erasure.OpenList(ctx, erasure.ListPath(c.opts.Register), c.Log.ID())
	if err != nil {
		return err
	}
	c.onClose(list.Close)
	c.Erasure = &erasure.Process{
		Log: c.Log, Keys: c.Keys, Logger: c.opts.Logger,
		Registered: func(ctx context.Context, p event.Position) error {
			_, err := c.Publisher.WaitFor(ctx, p)
			return err
		},
		List: list,
		Forget: append(slices.Clone(c.opts.Forget), []erasure.Forget{
			{Name: "views", Do: func(ctx context.Context, s event.SubjectID) error { return c.Views.Forget(ctx, s) }},
			{Name: "folded states", Do: func(context.Context, event.SubjectID) error { c.Runner.Forget(); return nil }},
		}...),
		IsComplete: c.isErased,
		Complete:   c.completeErasure,
	}
	if c.Log.Shared() != nil && !isURL(c.opts.Views) { // views of its own, which it may have had before
		c.Erasure.Note = erasure.NewNote(filepath.Join(c.opts.Data, "forgotten.json"), c.Log.ID())
	}
	if err := c.Erasure.Resume(ctx); err != nil {
		return err
	}
	c.erasing.Store(c.Erasure)
	run, stop := context.WithCancel(context.Background())
	c.stop = stop
	go func() {
		defer close(c.done)
		if err := c.Erasure.Run(run); err != nil && !errors.Is(err, context.Canceled) && !fault.Is(err, fault.Unavailable) {
			c.opts.Logger.Error("erasures stopped", "error", err)
		}
	}()
	return nil
}

// Close stops everything in order: nothing that was acknowledged is lost.
func (c *Core) Close() error {
	c.stop()
	<-c.done
	return c.shut()
}

func (c *Core) shut() error {
	var errs []error
	for i := len(c.closer) - 1; i >= 0; i-- {
		errs = append(errs, c.closer[i]())
	}
	return errors.Join(errs...)
}
