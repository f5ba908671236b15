package view

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"muniment.dev/fault"
)

// all are the views as they are declared now.
func (s *Set) all() *layout { return s.declared.Load() }

// Replace gives the view of that name another declaration: such as one of a new
// epoch. It is built from the whole log beside the one that serves meanwhile and
// follows the log with its old functions, and is put in its place at once, rows
// and functions. Status shows the progress as that of a rebuild. If it fails or
// ctx ends, everything is as it was.
//
// While one call is under way, another for the same view makes it give up, with
// fault.Conflict. A declaration with the fingerprint of the one that serves
// changes nothing.
//
// Where nodes share the views, the one that applies events builds; on the others
// Replace returns when they serve what it has put in place. It must be called on
// all: a node whose declaration is of an earlier epoch than what is in place
// does not answer from that view.
func (s *Set) Replace(ctx context.Context, v View) error {
	op := "replace the view " + v.Name
	if _, err := s.with(&v); err != nil {
		return fault.Wrap(op, err)
	}
	ctx, done := s.changes.begin(ctx, &v)
	defer done()
	for {
		if err := s.look(s.ctx); err != nil && !passes(err) {
			return fault.Wrap(op, err)
		}
		if s.serves(&v) {
			return nil
		}
		if h, ok := s.home.(shared); ok && !h.leads() {
			if err := s.otherwise(ctx); err != nil {
				return fault.Wrap(op, err)
			}
			continue
		}
		err := s.rebuild(ctx, op, s.grafted, s.opts.Progress, func() (*layout, error) {
			if s.serves(&v) {
				return nil, nil
			}
			return s.with(&v)
		})
		if err == nil || !s.serves(&v) { // a commit that seemed to have failed may have been one
			return err
		}
	}
}

// otherwise waits for another node to do what this one would.
func (s *Set) otherwise(ctx context.Context) error {
	s.state.mu.Lock()
	moved := s.state.moved
	s.state.mu.Unlock()
	t := time.NewTimer(lookBehind)
	defer t.Stop()
	select {
	case <-moved:
	case <-t.C:
	case <-s.ctx.Done():
		return errClosing
	case <-ctx.Done():
		if superseded(ctx) {
			return errSuperseded
		}
		return &fault.Error{Kind: fault.Unavailable, Msg: "the node that applies events has not built it yet; try again later", Err: ctx.Err()}
	}
	return nil
}

// serves tells whether the database that serves holds the view as it is declared.
func (s *Set) serves(v *View) bool {
	return s.current().holds(v)
}

// holds tells whether the database holds the view as it is declared.
func (d *database) holds(v *View) bool {
	print := v.fingerprint()
	return slices.ContainsFunc(d.lay.views, func(l *View) bool { return l.Name == v.Name && l.fingerprint() == print })
}

// Epoch is the epoch of the declaration by which a view serves; false if it does
// not serve.
func (s *Set) Epoch(name string) (uint64, bool) {
	for _, v := range s.current().lay.views {
		if v.Name == name {
			return v.Epoch, true
		}
	}
	return 0, false
}

// with are the declared views with another in the place of the one of its name.
func (s *Set) with(v *View) (*layout, error) {
	views := slices.Clone(s.all().views)
	i := slices.IndexFunc(views, func(l *View) bool { return l.Name == v.Name })
	if i < 0 {
		return nil, fault.Field("view", "there is no view named %q to replace", v.Name)
	}
	views[i] = v
	return newLayout(fileGround, views)
}

// known are the declared views, and those that are to replace them.
func (s *Set) known() []*View {
	known := slices.Clone(s.all().views)
	for _, v := range s.changes.coming() {
		print := v.fingerprint()
		if !slices.ContainsFunc(known, func(k *View) bool { return k.Name == v.Name && k.fingerprint() == print }) {
			known = append(known, v)
		}
	}
	return known
}

// adopted makes a declaration that was to come the one that holds, if another
// node has put it in place. The caller holds s.mu.
func (s *Set) adopted(d *database) {
	for _, v := range s.changes.coming() {
		if !slices.Contains(d.lay.views, v) {
			continue
		}
		if all, err := s.with(v); err == nil {
			s.declared.Store(all)
		}
	}
}

// errSuperseded makes a build give up whose outcome is not wanted any more.
var errSuperseded = fault.New(fault.Conflict, "a newer declaration of the view has come meanwhile")

func superseded(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errSuperseded) }

// changes are the builds of declared views that are under way.
type changes struct {
	mu    sync.Mutex
	under []*change
}

type change struct {
	v      *View // nil: all that are missing
	cancel context.CancelCauseFunc
}

// begin lets builds give up that another one makes useless: earlier ones of that
// view, and of all.
func (c *changes) begin(ctx context.Context, v *View) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &change{v, cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.under {
		if v != nil && (other.v == nil || other.v.Name == v.Name) {
			other.cancel(errSuperseded)
		}
	}
	c.under = append(c.under, mine)
	return ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.under = slices.DeleteFunc(c.under, func(o *change) bool { return o == mine })
		cancel(nil)
	}
}

// coming are the declarations that replace others, once they are built.
func (c *changes) coming() (out []*View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.under {
		if o.v != nil {
			out = append(out, o.v)
		}
	}
	return out
}
