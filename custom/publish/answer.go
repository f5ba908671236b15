package publish

import (
	"context"
	"errors"
	"strconv"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// locate turns the number of an event in the command into that in the request.
func (b *batch) locate(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	for n := len(b.from) - 1; n >= 0; n-- {
		was := "events[" + strconv.Itoa(n) + "]"
		if rest, ok := cutPrefix(f.Field, was); ok {
			e := *f
			e.Field = "events[" + strconv.Itoa(b.from[n]) + "]" + rest
			return &e
		}
	}
	return err
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return s, false
	}
	return s[len(prefix):], true
}

// recorded completes the results with where the events stand.
func (p *Publisher) recorded(ctx context.Context, b *batch, res decide.Result) ([]Result, error) {
	i := 0
	for r, err := range p.Runner.Log.ReadTo(ctx, event.Everything(), res.First-1, res.Last) {
		if err != nil {
			return nil, &fault.Error{Kind: fault.Unknown, Msg: errUnread.Msg, Err: err}
		}
		if i >= len(b.from) {
			break
		}
		p.owners.put(r.Stream, b.owner[r.Stream])
		b.results[b.from[i]] = Result{ID: r.ID, Position: r.Position, Version: r.Version, Repeated: res.Replayed}
		i++
	}
	if i < len(b.from) {
		return nil, errUnread
	}
	return b.results, nil
}

// errUnread says that events are recorded, and nobody can say here where.
var errUnread = fault.New(fault.Unknown, "the events are recorded, but cannot be read here at the moment; send them again with the same ids to learn where they stand")

// readable is the version of a stream as far as it can be read, after the events
// of the batch: the store may know of more, which is not certain to stay. Whether
// there was more the log finds out when it appends.
func (p *Publisher) readable(ctx context.Context, b *batch, s event.Stream) (uint64, error) {
	version := b.before(s)
	for r, err := range p.Runner.Log.ReadBack(ctx, event.OfStream(s), 0) {
		if err != nil {
			return 0, err
		}
		return version + r.Version, nil
	}
	return version, nil
}
