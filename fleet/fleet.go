// Package fleet runs several instances in one process: the home instance of a
// data directory, and those that it hosts, each with a log, keys and pages of
// its own. Which one a request is for is what its Host header says.
//
// It follows the home instance's log and carries out what package hosting
// recorded there: it makes stores, opens them, closes and destroys them. It
// promises that what was recorded is carried out after a crash at any point,
// that stores which were made once are never silently made again, and that a
// request reaches the instance of its host name or none. It keeps nothing but
// what follows from the log. Design: docs/adr/0011-several-instances.md.
package fleet

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/page"
	"muniment.dev/server"
)

// Options are what tests and the demo inject; the zero value is production's.
type Options struct {
	server.Extra
	// Step is called before each step by which an instance is made or destroyed;
	// an error stops it there, as a crash would.
	Step func(step string) error
}

// several reports whether other nodes may serve the home instance too. The
// stores of hosted instances are in the data directory of one, so none is
// hosted then: each node would make another.
func (o *Options) several() bool { return o.Nodes != nil && o.Nodes.Address != "" }

// Fleet is the home instance and those that it hosts.
type Fleet struct {
	home   *server.Server
	config server.Config
	opts   Options
	cache  *pebblelog.Cache
	site   *page.Site // for pages that belong to no instance
	broken chan error

	opening chan struct{} // one for each instance that is being opened
	wake    chan struct{} // something of ours was appended
	stop    context.CancelFunc
	closed  sync.WaitGroup

	table atomic.Pointer[map[string]*seat] // by host name

	mu    sync.Mutex // guards what follows
	seats map[event.ID]*seat
	at    event.Position // up to which the log was followed
	moved chan struct{}  // closed and replaced when at moves
}

// Open is New for server.Serve.
func Open(ctx context.Context, c server.Config, x server.Extra) (server.App, error) {
	return New(ctx, c, Options{Extra: x})
}

// sharedFilter bounds what the store of a hosted instance keeps in memory
// besides the blocks that all share.
const sharedFilter = 8 << 20

// New opens the home instance and begins to open those that it hosts, in the
// background: a request for one that is not open yet waits for it.
func New(ctx context.Context, c server.Config, o Options) (*Fleet, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{opts: o, broken: make(chan error, 1), opening: make(chan struct{}, 2), wake: make(chan struct{}, 1),
		cache: pebblelog.NewCache(pebblelog.DefaultCache()), seats: map[event.ID]*seat{}, moved: make(chan struct{})}
	f.table.Store(&map[string]*seat{})
	if err := c.Check(); err != nil {
		return nil, err
	}
	x := o.Extra
	if !o.several() {
		x.Hosting = f
	}
	var err error
	if f.home, err = server.New(ctx, c, x); err != nil {
		f.cache.Close()
		return nil, err
	}
	f.config = c
	if f.site, err = f.pages(c.ExternalURL); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	run, stop := context.WithCancel(context.Background())
	f.stop = stop
	// Before anything is served: nobody's name may be taken for home's.
	at, err := f.look(ctx, run)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.closed.Go(func() { f.follow(run, at) })
	f.closed.Go(func() { f.watch(run, f.home) })
	return f, nil
}

// Home is the home instance.
func (f *Fleet) Home() *server.Server { return f.home }

// Handler serves all instances.
func (f *Fleet) Handler() http.Handler { return f }

// Broken implements server.App: the disk under one instance's log is that
// under the others, and only a new process can open a store that failed.
func (f *Fleet) Broken() <-chan error { return f.broken }

// watch passes on that an instance's store cannot go on.
func (f *Fleet) watch(ctx context.Context, s *server.Server) {
	select {
	case <-ctx.Done():
	case err := <-s.Broken():
		select {
		case f.broken <- err:
		default: // another was first
		}
	}
}

// Greet implements server.App.
func (f *Fleet) Greet(ctx context.Context, out io.Writer) error { return f.home.Greet(ctx, out) }

// Follow implements server.App: the events are the home instance's.
func (f *Fleet) Follow(ctx context.Context, out io.Writer, logger *slog.Logger) (stop func()) {
	return f.home.Follow(ctx, out, logger)
}

// EndStreams implements server.App.
func (f *Fleet) EndStreams() {
	f.home.EndStreams()
	for _, s := range f.all() {
		s.endStreams()
	}
}

// Close closes all instances, the home instance last.
func (f *Fleet) Close() error {
	if f.stop != nil {
		f.stop()
	}
	f.EndStreams()
	f.closed.Wait()
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, s := range f.all() {
		wg.Go(func() {
			if err := s.shut(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	errs = append(errs, f.home.Close())
	f.cache.Close()
	return errors.Join(errs...)
}

func (f *Fleet) all() []*seat {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.seats))
}

func (f *Fleet) seat(id event.ID) *seat {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seats[id]
}

// breath is how long following waits for more, unless it is woken: the home
// instance's own events concern nobody here.
const breath = time.Second

// follow takes note of what the home instance's log says of hosted instances,
// until the context ends.
func (f *Fleet) follow(ctx context.Context, at event.Position) {
	for f.rest(ctx, at) {
		var err error
		if at, err = f.look(ctx, ctx); err != nil && ctx.Err() == nil {
			f.opts.Logger.ErrorContext(ctx, "the hosted instances cannot be read, trying again", "error", err)
		}
	}
}

// look reads what the log says up to now, and has it carried out until run ends.
func (f *Fleet) look(ctx, run context.Context) (event.Position, error) {
	core := f.home.Core
	at := core.Log.Mark().Size
	all, err := decide.Read(ctx, core.Runner, "hosted instances", hosting.Every(), hosting.All{}, hosting.EvolveAll)
	if err == nil {
		f.apply(run, all, at)
	}
	return at, err
}

// rest waits until there may be more; false if the context ended.
func (f *Fleet) rest(ctx context.Context, at event.Position) bool {
	select {
	case <-ctx.Done():
		return false
	case <-f.wake:
		return true
	case <-time.After(breath):
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	grown := make(chan struct{})
	go func() {
		defer close(grown)
		_ = f.home.Core.Log.Wait(wait, at) // whatever ended it, the log is read again
	}()
	select {
	case <-ctx.Done():
	case <-f.wake:
	case <-grown:
	}
	cancel()
	<-grown
	return ctx.Err() == nil
}

// roused has the log followed at once.
func (f *Fleet) roused() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// apply hands each instance what is known of it, and its host names to the
// router.
func (f *Fleet) apply(ctx context.Context, all hosting.All, at event.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	table := map[string]*seat{}
	for id, state := range all {
		s := f.seats[id]
		if s == nil && state.Status == hosting.IsDestroyed {
			continue
		}
		if s == nil {
			s = newSeat(f, state)
			f.seats[id] = s
			f.closed.Go(func() { s.run(ctx) })
		}
		s.update(state)
		for _, host := range state.Hosts {
			if state.Status != hosting.IsDestroyed {
				table[host] = s
			}
		}
	}
	f.table.Store(&table)
	f.at = max(f.at, at)
	close(f.moved)
	f.moved = make(chan struct{})
}

// followed returns when the log was followed up to a position.
func (f *Fleet) followed(ctx context.Context, upto event.Position) error {
	f.roused()
	for {
		f.mu.Lock()
		at, moved := f.at, f.moved
		f.mu.Unlock()
		if at >= upto {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pages makes the pages about an instance that is not served, or about none.
func (f *Fleet) pages(origin string) (*page.Site, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, fault.Wrap("read an address", err)
	}
	return page.New(page.Settings{Origin: origin, PlainLoopback: u.Scheme == "http", Name: "This server", Log: f.opts.Logger})
}
