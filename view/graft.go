package view

import (
	"cmp"
	"context"
	"slices"
)

// rest is a database with views that are further than those that are built in
// it: all views, and where the others are.
type rest struct {
	lay *layout
	at  place
}

// grafted begins a database with a copy of the views that serve as they are
// declared, so that only the others must be built from the log. Those are alone in
// it until they have come to where the copy was made.
func (s *Set) grafted(ctx context.Context, purpose string, views *layout) (*database, error) {
	live := s.current()
	fresh := slices.DeleteFunc(slices.Clone(views.views), live.holds)
	if len(fresh) == len(views.views) {
		return s.shadowed(ctx, purpose, views)
	}
	d, err := s.home.copy(ctx, live, views.views)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return s.shadowed(ctx, purpose, views)
	}
	if err := d.part(fresh); err != nil {
		d.shut()
		return nil, cmp.Or(err, s.home.discard(d))
	}
	return d, nil
}

// part moves the database back to the beginning of the log, for these views.
func (d *database) part(fresh []*View) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.position == 0 {
		return nil
	}
	lay, err := newLayout(d.lay.ground, fresh)
	if err != nil {
		return err
	}
	from, start := d.at, place{log: d.at.log}
	if err := d.w.in(d.lay.ground.begin, nil, func() error { return d.kept.advance(d.w, from, start) }); err != nil {
		return err
	}
	d.rest, d.lay, d.at = &rest{d.lay, from}, lay, start
	return nil
}

// join lets all views go on together, once those that were built are where the
// others are.
func (d *database) join() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rest == nil || d.at.position < d.rest.at.position {
		return nil
	}
	if d.at != d.rest.at {
		return errOtherLog
	}
	d.lay, d.rest = d.rest.lay, nil
	d.memory.clear()
	return nil
}
