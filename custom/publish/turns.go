package publish

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// ErrContended refuses events when others kept recording some of the same
// entities, again and again, before these could be.
var ErrContended = fault.New(fault.Exhausted, "others keep publishing to the same entities; nothing was changed, try again in a moment")

// turns let those who have been in each other's way go on one after the other:
// of all that publish to one entity whose version matters, one at a time can.
type turns struct {
	mu sync.Mutex
	of map[event.Stream]*turn
}

// turn is that of an entity; free holds something while nobody has it.
type turn struct {
	free chan struct{}
	want int // how many have it or wait for it
}

// take waits for the turns of all of the streams, which are in order.
func (t *turns) take(ctx context.Context, streams []event.Stream) (leave func(), err error) {
	for i, s := range streams {
		select {
		case <-t.ask(s):
		case <-ctx.Done():
			t.drop(s)
			t.leave(streams[:i])
			return nil, &fault.Error{Kind: fault.Unavailable, Msg: "others were publishing to the same entity; nothing was changed", Err: ctx.Err()}
		}
	}
	return func() { t.leave(streams) }, nil
}

func (t *turns) ask(s event.Stream) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[event.Stream]*turn{}
	}
	one := t.of[s]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		t.of[s] = one
	}
	one.want++
	return one.free
}

// drop forgets the turn of a stream that nobody wants any more.
func (t *turns) drop(s event.Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.of[s]
	if one.want--; one.want == 0 {
		delete(t.of, s)
	}
}

func (t *turns) leave(streams []event.Stream) {
	for _, s := range streams {
		t.mu.Lock()
		t.of[s].free <- struct{}{}
		t.mu.Unlock()
		t.drop(s)
	}
}

// streams are those of a batch, in order.
func (b *batch) streams() []event.Stream {
	out := make([]event.Stream, len(b.cmd.Events))
	for i := range b.cmd.Events {
		out[i] = b.cmd.Events[i].Stream
	}
	slices.SortFunc(out, func(a, b event.Stream) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.ID[:], b.ID[:]))
	})
	return slices.Compact(out)
}
