package audit

import (
	"context"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// Span returns the positions (after, upto] that a filter's positions and times
// leave, up to the mark. Times never decrease along a log, so the bounds are
// found by bisection.
func Span(ctx context.Context, l *eventlog.Log, f Filter) (after, upto event.Position, err error) {
	mark := l.Mark().Size
	after, upto = f.After, mark
	if f.Before > 0 {
		upto = min(upto, f.Before-1)
	}
	if f.At > 0 {
		upto = min(upto, f.At)
	}
	if !f.From.IsZero() {
		p, err := l.FirstAt(ctx, f.From)
		if err != nil {
			return 0, 0, err
		}
		after = max(after, p-1)
	}
	if !f.To.IsZero() {
		p, err := l.FirstAt(ctx, f.To)
		if err != nil {
			return 0, 0, err
		}
		upto = min(upto, p-1)
	}
	return after, upto, nil
}
