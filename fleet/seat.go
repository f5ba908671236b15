package fleet

import (
	"context"
	"net/http"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/page"
	"muniment.dev/server"
)

// seat is the place of one hosted instance. One goroutine carries out what is
// known of it; requests come and go beside it.
type seat struct {
	fleet *Fleet
	id    event.ID
	pages func() (*page.Site, error) // about it, while it is not served

	mu      sync.Mutex // guards what follows
	want    hosting.State
	running *running       // nil: not open
	done    event.Position // the last record about it that was carried out
	tried   event.Position // the last that was tried
	err     error          // why it was not carried out
	moved   chan struct{}  // closed and replaced when any of these changes
	hurry   chan struct{}  // closed by the first request
	hurried bool
}

// running is an instance that is open.
type running struct {
	*server.Server
	guests sync.WaitGroup // requests under way
	cut    context.Context
	cutOff context.CancelFunc
}

func newSeat(f *Fleet, state hosting.State) *seat {
	s := &seat{fleet: f, id: state.Instance, moved: make(chan struct{}), hurry: make(chan struct{})}
	s.pages = sync.OnceValues(func() (*page.Site, error) { return f.pages(f.URL(state.Primary())) })
	return s
}

// change changes the seat and tells those who wait.
func (s *seat) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *seat) update(state hosting.State) {
	s.mu.Lock()
	same := s.want.Last == state.Last
	s.mu.Unlock()
	if !same {
		s.change(func() { s.want = state })
	}
}

// The pauses between attempts to carry something out.
const shortest, longest = 100 * time.Millisecond, time.Minute

// run carries out what is known of the instance until the context ends or
// nothing is left of it. What fails is tried again, ever more slowly.
func (s *seat) run(ctx context.Context) {
	pause := shortest
	for ctx.Err() == nil {
		s.mu.Lock()
		want := s.want
		s.mu.Unlock()
		err := s.carryOut(ctx, want)
		if err != nil && ctx.Err() == nil {
			s.fleet.opts.Logger.WarnContext(ctx, "a hosted instance is not as it should be, trying again", "instance", s.id, "wanted", want.Status, "error", err)
		}
		s.change(func() {
			if s.tried, s.err = want.Last, err; err == nil {
				s.done = want.Last
			}
		})
		if err == nil && want.Status == hosting.IsDestroyed {
			return
		}
		if pause = min(2*pause, longest); err == nil {
			pause = shortest
		}
		s.await(ctx, want.Last, err != nil, pause)
	}
}

// await waits until something else is known of the instance than what the
// record at last says, or until it is time to try again.
func (s *seat) await(ctx context.Context, last event.Position, again bool, pause time.Duration) {
	var retry <-chan time.Time
	if again {
		retry = time.After(pause)
	}
	for {
		s.mu.Lock()
		known, moved := s.want.Last, s.moved
		s.mu.Unlock()
		if known != last {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-retry:
			return
		case <-moved:
		}
	}
}

// settled returns when the record at a position is carried out, or why it is
// not.
func (s *seat) settled(ctx context.Context, upto event.Position) error {
	for {
		s.mu.Lock()
		done, tried, err, moved := s.done, s.tried, s.err, s.moved
		s.mu.Unlock()
		switch {
		case done >= upto:
			return nil
		case tried >= upto && err != nil:
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// patience is how long a request waits for its instance to be opened.
const patience = 10 * time.Second

var errOpening = &fault.Error{Kind: fault.Unavailable, Msg: "this instance is just being opened; try again in a moment", Err: soon{}}

// soon is a cause that passes.
type soon struct{}

func (soon) Error() string { return "the instance is being opened" }

// RetryAfter tells package page when to try again.
func (soon) RetryAfter() time.Duration { return 2 * time.Second }

// enter lets a request in, which must leave; served says whether it comes from
// outside, and not from the home instance while this one is being made.
func (s *seat) enter(ctx context.Context, outside bool) (*running, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		s.mu.Lock()
		r, err, moved, status := s.running, s.err, s.moved, s.want.Status
		open := status == hosting.Active || status == hosting.Making && !outside
		if r != nil && open {
			r.guests.Add(1)
			s.mu.Unlock()
			return r, nil
		}
		if !s.hurried {
			s.hurried = true
			close(s.hurry)
		}
		want := s.want
		s.mu.Unlock()
		switch {
		case !open && status != hosting.Making:
			return nil, closed(want)
		case err != nil:
			return nil, &fault.Error{Kind: fault.Unavailable, Msg: "this instance cannot be opened at the moment; the server's log says why", Err: err}
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, errOpening
		}
	}
}

// closed says why an instance is not served.
func closed(want hosting.State) error {
	if want.Status == hosting.IsSuspended {
		return fault.New(fault.Refused, "this instance is suspended; ask whoever runs the server")
	}
	return fault.New(fault.Refused, "this instance was deleted")
}

// ServeHTTP serves a request for the instance.
func (s *seat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	run, err := s.enter(r.Context(), true)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer run.guests.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(run.cut, cancel)()
	run.Handler().ServeHTTP(w, r.WithContext(ctx))
}

func (s *seat) refuse(w http.ResponseWriter, r *http.Request, err error) {
	site, bad := s.pages()
	if bad != nil {
		http.Error(w, "this instance is not served", http.StatusServiceUnavailable)
		return
	}
	refuse(w, r, site, http.StatusServiceUnavailable, err)
}

func (s *seat) endStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		s.running.EndStreams()
	}
}

// grace is how long requests that have begun may take to end.
const grace = 10 * time.Second

// shut closes the instance if it is open: nobody new comes in, those who are in
// may finish, and are cut off if they do not.
func (s *seat) shut() error {
	var r *running
	s.change(func() { r, s.running = s.running, nil })
	if r == nil {
		return nil
	}
	r.EndStreams()
	empty := make(chan struct{})
	go func() {
		defer close(empty)
		r.guests.Wait()
	}()
	select {
	case <-empty:
	case <-time.After(grace):
		s.fleet.opts.Logger.Warn("some requests did not end in time and were cut off", "instance", s.id)
	}
	r.cutOff()
	return r.Close()
}
