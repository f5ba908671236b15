package auditapi

import (
	"bufio"
	"context"
	"io"
	"strconv"

	"muniment.dev/audit"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Follow writes every event to out as a line of JSON, as an export does, and
// goes on with new ones until the context ends. How far it came is kept in the
// log's store under a name, after the lines were written: one that begins again
// goes on there, and no event is left out, though some may come twice.
//
// What is sealed is withheld: nobody reads here whose rights could be asked.
func (s *Service) Follow(ctx context.Context, name string, out io.Writer) error {
	l := s.Runner.Log
	at, err := s.followed(ctx, name)
	if err != nil {
		return err
	}
	for {
		next, err := s.followRun(ctx, at, out)
		if next > at {
			if err := l.Store().PutCursor(context.WithoutCancel(ctx), l.ID(), name, strconv.AppendUint(nil, uint64(next), 10)); err != nil {
				return fault.Wrap("keep how far events were written", err)
			}
			at = next
		}
		if err == nil {
			err = l.Wait(ctx, at)
		}
		if err != nil {
			return err
		}
	}
}

// followed is how far a follower came.
func (s *Service) followed(ctx context.Context, name string) (event.Position, error) {
	l := s.Runner.Log
	b, err := l.Store().Cursor(ctx, l.ID(), name)
	if err != nil || b == nil {
		return 0, fault.Wrap("find how far events were written", err)
	}
	n, err := strconv.ParseUint(string(b), 10, 63)
	if err != nil || event.Position(n) > l.Mark().Size {
		return 0, fault.New(fault.Corrupt, "what is kept of how far events were written is no position of this log")
	}
	return event.Position(n), nil
}

// followRun writes a run of events. It returns the position up to which
// everything was written, also beside an error.
func (s *Service) followRun(ctx context.Context, after event.Position, out io.Writer) (event.Position, error) {
	w := bufio.NewWriter(out)
	last := after
	upto := min(s.Runner.Log.Mark().Size, after+runLength)
	for r, err := range s.Runner.Log.ReadTo(ctx, event.Everything(), after, upto) {
		if err != nil {
			return after, err
		}
		m, err := s.detailed(ctx, r, audit.Sight{}, details{fields: true})
		if err != nil {
			return after, err
		}
		line, err := jsonLine(m)
		if err != nil {
			return after, err
		}
		w.Write(line)
		w.WriteByte('\n')
		last = r.Position
	}
	if err := w.Flush(); err != nil {
		return after, &fault.Error{Kind: fault.Unavailable, Op: "write events", Msg: "nobody takes them", Err: err}
	}
	return last, nil
}
