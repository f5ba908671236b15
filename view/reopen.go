package view

import (
	"errors"
	"log/slog"
	"syscall"

	"muniment.dev/fault"
)

// reopen opens what is in the place of the live database, which was closed and
// could not be replaced: the old one or the new one.
func (s *Set) reopen() {
	for delay := firstRetry; s.ctx.Err() == nil; delay = min(2*delay, lastRetry) {
		d, err := s.home.live(s.ctx)
		if err == nil {
			s.serve(d)
			return
		}
		s.opts.Logger.Warn("the views cannot be opened again, trying on", slog.Any("err", err))
		s.pause(delay)
	}
}

// serve puts a database in the place of one that is closed.
func (s *Set) serve(d *database) {
	s.mu.Lock()
	s.live, s.shadow = d, nil
	s.adopted(d)
	s.mu.Unlock()
	incomplete := len(d.lay.views) < len(s.all().views) && !d.newer
	s.change(func(st *state) {
		st.applied, st.stopped, st.retrying = d.at.position, nil, nil
		if incomplete {
			st.rebuilding = &Progress{}
		}
	})
	if incomplete {
		s.running.Go(s.rebuildInBackground)
	}
	s.awaken()
}

// lost reports whether there is nothing to work on: it is being opened again.
func (s *Set) lost() bool {
	d := s.current()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed && d == s.current()
}

var errReopening = fault.New(fault.Unavailable, "the views are being opened again; try again in a moment")

// diskFault says of an error of the file system, or of SQLite about it, what to
// do; others it returns as they are.
func diskFault(err error) error {
	var errno syscall.Errno
	if code := sqliteCode(err); code != 0 && !passes(err) || code == 0 && (passes(err) || !errors.As(err, &errno)) {
		return err
	}
	f := &fault.Error{Kind: fault.Unavailable, Msg: "the file of views cannot be read or written; check its disk", Err: err}
	if sqliteCode(err) == codeFull || errors.Is(err, syscall.ENOSPC) {
		f.Msg = "the file of views cannot be written: the disk is full; make room"
	}
	return f
}
