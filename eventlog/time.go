package eventlog

import (
	"context"
	"sort"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// FirstAt returns the first position recorded at or after t; the one behind the
// last if there is none. Times never decrease along a log, so it is found by
// bisection.
func (l *Log) FirstAt(ctx context.Context, t time.Time) (event.Position, error) {
	var failed error
	i := sort.Search(int(l.Mark().Size), func(i int) bool {
		if failed != nil {
			return true
		}
		r, err := l.Record(ctx, event.Position(i+1))
		if err != nil {
			failed = err
			return true
		}
		return !r.Time.Before(t)
	})
	return event.Position(i + 1), fault.Wrap("find a time in the log", failed)
}

// AsOf returns the last position recorded at or before t: things stood then as
// they did right after it. A time before the first record, and one in the
// future, of which nothing is known, are Invalid.
func (l *Log) AsOf(ctx context.Context, t time.Time) (event.Position, error) {
	mark := l.Mark()
	switch {
	case t.After(mark.Time) && t.After(l.Now()):
		return 0, fault.New(fault.Invalid, "this time is in the future; leave it out to ask for now")
	case !t.Before(mark.Time):
		return mark.Size, nil
	}
	// Records have whole microseconds.
	after, err := l.FirstAt(ctx, t.Truncate(time.Microsecond).Add(time.Microsecond))
	if err == nil && after == 1 {
		err = fault.New(fault.Invalid, "this time is before the first record; ask for a later one")
	}
	return after - 1, err
}
