package view

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// buildBatch is how many records share a transaction when a file is built that
// nobody reads from yet.
const buildBatch = 10000

// Rebuild makes all views again from the whole log, in a file beside the one
// that serves meanwhile, and then puts it in its place. It mends whatever was
// wrong with the old one; a set that had stopped goes on. progress may be nil.
//
// If it fails, with the same kinds of errors that stop a set, the old file
// stays.
func (s *Set) Rebuild(ctx context.Context, progress func(Progress)) error {
	return s.rebuild(ctx, "rebuild the views", s.shadowed, progress, func() (*layout, error) { return s.all(), nil })
}

// rebuild makes the views that plan tells, once nothing else is worked on; nil:
// it is done already.
func (s *Set) rebuild(ctx context.Context, op string, begin begin, progress func(Progress), plan func() (*layout, error)) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	release, err := s.occupy(ctx)
	if err != nil && superseded(ctx) {
		err = errSuperseded
	}
	if err != nil {
		return fault.Wrap(op, err)
	}
	defer release()
	views, err := plan()
	if views == nil || err != nil {
		s.change(func(st *state) { st.rebuilding = nil })
		return fault.Wrap(op, err)
	}
	s.change(func(st *state) { st.rebuilding, st.rebuildErr = &Progress{}, nil })
	err = s.build(ctx, newSuffix, views, begin, func(p Progress) {
		s.change(func(st *state) { st.rebuilding = &p })
		if progress != nil {
			progress(p)
		}
	}, func(d *database) error { return s.putInPlace(ctx, d) })
	err = diskFault(err)
	if err != nil && superseded(ctx) {
		s.change(func(st *state) { st.rebuilding = nil })
		return fault.Wrap(op, errSuperseded)
	}
	if errors.Is(err, errElsewhere) {
		err = &fault.Error{Kind: fault.Unavailable, Msg: "another node put other tables in the place of these; the views are as it left them", Err: err}
	}
	s.change(func(st *state) { st.rebuilding, st.rebuildErr = nil, err })
	return fault.Wrap(op, err)
}

// bound is ctx that also ends when the set is closed.
func (s *Set) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// rebuildInBackground builds views that are missing, unless another node does.
func (s *Set) rebuildInBackground() {
	missing := func() (*layout, error) {
		if all := s.all(); len(s.current().lay.views) < len(all.views) {
			return all, nil
		}
		return nil, nil
	}
	for s.ctx.Err() == nil {
		for len(s.changes.coming()) > 0 && s.ctx.Err() == nil {
			s.pause(firstRetry) // who replaces one builds them all
		}
		ctx, done := s.changes.begin(s.ctx, nil)
		err := s.rebuild(ctx, "build the views", s.grafted, s.opts.Progress, missing)
		done()
		if errors.Is(err, errSuperseded) {
			continue
		}
		if err == nil || s.ctx.Err() != nil {
			return
		}
		s.opts.Logger.Error("views that were declared anew could not be built", slog.Any("err", err))
		if !passes(err) {
			return
		}
		s.pause(lastRetry)
	}
}

// begin makes the database that is built.
type begin func(ctx context.Context, purpose string, views *layout) (*database, error)

// shadowed begins with nothing.
func (s *Set) shadowed(ctx context.Context, purpose string, views *layout) (*database, error) {
	return s.home.shadow(ctx, purpose, views.views)
}

// build makes a database of views, at least up to the mark as it is now, and
// gives it to use, which owns it then.
func (s *Set) build(ctx context.Context, purpose string, views *layout, begin begin, progress func(Progress), use func(*database) error) (err error) {
	d, err := begin(ctx, purpose, views)
	if err != nil {
		return err
	}
	d.declares = views
	defer func() { err = cmp.Or(err, s.home.discard(d)) }()
	s.setShadow(d)
	defer s.setShadow(nil)
	goal := s.log.Mark().Size
	if d.rest != nil {
		goal = max(goal, d.rest.at.position)
	}
	for reached := event.Position(0); ; {
		if mark := s.log.Mark().Size; reached >= goal && mark > reached+buildBatch {
			goal = mark // it took long; what is left otherwise is use's
		}
		progress(Progress{reached, goal})
		if err := ctx.Err(); err != nil {
			d.shut()
			return &fault.Error{Kind: fault.Unavailable, Msg: "it was broken off; the views are as they were", Err: err}
		}
		if reached >= goal {
			return use(d)
		}
		upto := goal
		if d.rest != nil {
			upto = d.rest.at.position
		}
		if reached, err = s.patientStep(ctx, d, upto, buildBatch); err == nil {
			err = d.join()
		}
		if err != nil {
			d.shut()
			return err
		}
	}
}

// patientStep is step that waits for keys or a log that are not available now.
func (s *Set) patientStep(ctx context.Context, d *database, upto event.Position, most int) (event.Position, error) {
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		reached, err := s.step(ctx, d, upto, most)
		if errors.Is(err, errMoved) {
			err = nil // a commit that seemed to have failed
		}
		if err == nil || !passes(err) || ctx.Err() != nil {
			return reached, err
		}
		s.pause(delay)
	}
}

func (s *Set) setShadow(d *database) {
	s.mu.Lock()
	s.shadow = d
	s.mu.Unlock()
}

// putInPlace brings d to the place of the live database and puts it there. It
// owns d.
func (s *Set) putInPlace(ctx context.Context, d *database) error {
	defer d.shut() // unless it is live then
	for {
		if err := s.look(ctx); err != nil && !passes(err) {
			return err
		}
		// Most of the way while the old one serves.
		for target := s.current().place().position; d.place().position < target; {
			if _, err := s.patientStep(ctx, d, target, buildBatch); err != nil {
				return err
			}
		}
		err := s.swap(ctx, d)
		if err == nil || s.lost() || !passes(err) && !errors.Is(err, errMoved) || ctx.Err() != nil {
			return err
		}
		s.pause(firstRetry)
	}
}

// swap brings d the rest of the way and puts it in the place of live, while
// readers and the tail wait.
func (s *Set) swap(ctx context.Context, d *database) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.live
	live.mu.Lock()
	defer live.mu.Unlock()
	next, err := s.home.install(live, d, func(upto event.Position) error {
		for d.place().position < upto {
			if _, err := s.step(ctx, d, upto, buildBatch); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		if live.closed {
			s.change(func(st *state) { st.retrying = diskFault(err) })
			s.running.Go(s.reopen)
		}
		return fault.Wrap("replace the views", diskFault(err))
	}
	s.live, s.shadow = next, nil
	if d.declares != nil {
		s.declared.Store(d.declares)
	}
	s.change(func(st *state) { st.applied, st.stopped, st.retrying = next.at.position, nil, nil })
	s.awaken()
	return nil
}

// awaken wakes a tail that has stopped.
func (s *Set) awaken() {
	select {
	case s.resume <- struct{}{}:
	default:
	}
}
