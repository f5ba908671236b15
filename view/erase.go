package view

import (
	"cmp"
	"context"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// erasedType is the event by which the log says that a subject was erased.
const erasedType = "subject.erased"

// erase does what the log says of a subject, at the place where it says so:
// after it, unique values are free for others.
func (b *batch) erase(i int, f event.Fact) error {
	said, ok := f.Payload.(event.SubjectErased)
	if !ok {
		return failed("(all)", f, i, fault.New(fault.Internal, "its payload was decoded to %T", f.Payload))
	}
	if err := b.flush(); err != nil {
		return err
	}
	clear(b.tables) // what it knows of rows is no longer so
	b.db.memory.clear()
	b.wants, b.window = b.wants[:min(i, len(b.wants))], afterErasure
	return b.db.clear(said.Subject)
}

// Forget removes the bytes of all that belongs to the subjects from the files.
// The log must say already that they were erased, and decode must not open
// anything of theirs any more; reads say so from that position on without it.
// It may be repeated, and should be after an error.
//
// Emptying columns is not enough: SQLite leaves copies of cells behind in the
// free space of pages that it balanced, secure_delete or not. So the file is
// written anew from what is left, brought up to date beside the old one, and
// takes its place. That costs time in proportion to the file, not the
// readers' patience; give several subjects at once.
func (s *Set) Forget(ctx context.Context, subjects ...event.SubjectID) error {
	const op = "forget subjects in the views"
	s.erasures.Add(1)
	s.mu.RLock()
	files := []*database{s.live}
	if s.shadow != nil {
		files = append(files, s.shadow)
	}
	s.mu.RUnlock()
	for _, d := range files {
		if err := d.forget(ctx, subjects); err != nil {
			return fault.Wrap(op, diskFault(err))
		}
	}
	release, err := s.occupy(ctx)
	if err != nil {
		return fault.Wrap(op, err)
	}
	defer release()
	// A file that was finished meanwhile may have been built from what was read
	// before the keys were gone.
	if err := s.current().forget(ctx, subjects); err != nil {
		return fault.Wrap(op, diskFault(err))
	}
	return fault.Wrap(op, diskFault(s.rewrite(ctx)))
}

// rewrite replaces the database by a copy of its contents.
func (s *Set) rewrite(ctx context.Context) error {
	live := s.current()
	if g, ok := live.kept.(*generation); ok && !g.known {
		return errElsewhere // views of others would be lost
	}
	d, err := s.home.copy(ctx, live, live.lay.views)
	if d == nil || err != nil {
		return err
	}
	err = s.putInPlace(ctx, d)
	return cmp.Or(err, s.home.discard(d))
}
