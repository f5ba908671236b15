package publish

import (
	"context"
	"runtime"
	"sync"

	"muniment.dev/fault"
)

// MaxWaiting is how many requests are being published at a time, whatever they
// wait for; one more is refused before anything is done for it. So many fill
// several commits of the log.
const MaxWaiting = 512

// ErrBusy is that refusal.
var ErrBusy = fault.New(fault.Exhausted, "too many requests are waiting to be published; try again in a moment")

// enter takes a place among those that wait, if there is one.
func (p *Publisher) enter() (leave func(), err error) {
	if p.waiting.Add(1) > MaxWaiting {
		p.waiting.Add(-1)
		return nil, ErrBusy
	}
	return func() { p.waiting.Add(-1) }, nil
}

// slots bound how many appliers run at once on behalf of publishers: as many as
// half the processors can, so that those of one application leave the others
// room.
type slots struct {
	once sync.Once
	free chan struct{}
}

func (s *slots) take(ctx context.Context) (leave func(), err error) {
	s.once.Do(func() { s.free = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)) })
	select {
	case s.free <- struct{}{}:
		return func() { <-s.free }, nil
	case <-ctx.Done():
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "the appliers of other events are still running; nothing was changed", Err: ctx.Err()}
	}
}
