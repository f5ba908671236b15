package eventlog

import (
	"context"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Handed is what the holder of a log published behind a position. It is as true
// as what the store says: a mark that was published under a term stays one of
// the log, whoever holds it afterwards.
type Handed struct {
	Mark    Mark            // the zero one: nothing was published for a while
	Records []*event.Record // all behind the position up to the mark; none if they are too many, or not in memory
}

// What is handed out at once at most.
const (
	handedRecords = fed
	handedBytes   = 4 << 20
)

// Hand gives another node what was published behind a position, as soon as
// something is. It fails with ErrMoved if this node does not hold the log, and
// with the context's error.
func (l *Log) Hand(ctx context.Context, after event.Position) (Handed, error) {
	n := l.nodes
	for n != nil && n.leads.Load() {
		l.mu.RLock()
		m, moved := l.Mark(), l.moved
		recent, ok := l.recent.since(after, m.Size)
		l.mu.RUnlock()
		if m.Size > after {
			if !ok {
				recent = nil
			}
			return handedOf(m, recent), nil
		}
		select {
		case <-moved:
		case <-l.stop:
			return Handed{}, ErrMoved
		case <-ctx.Done():
			return Handed{}, ctx.Err()
		}
	}
	return Handed{}, ErrMoved
}

func handedOf(m Mark, recent []entry) Handed {
	h := Handed{Mark: m}
	if len(recent) > handedRecords {
		return h
	}
	size := 0
	records := make([]*event.Record, 0, len(recent))
	for _, e := range recent {
		if size += recordSize(e.rec); size > handedBytes {
			return h
		}
		records = append(records, e.rec)
	}
	h.Records = records
	return h
}

// hearing is the holder that a follower hears of what it publishes.
type hearing struct {
	holder Holder
	cancel context.CancelFunc
}

// hear follows what the holder says that it published, while there is one that
// says so. It saves asking the store; nothing rests on it.
func (l *Log) hear() {
	n := l.nodes
	for n.ctx.Err() == nil {
		s := n.seen.Load()
		follows := s != nil && !n.leads.Load() && s.Holder.ID != l.opts.Holder && s.Holder.Address != ""
		if follows && l.hearOf(Held{s.Standing}) == nil {
			continue
		}
		if n.heard.Swap(false) {
			l.look()
		}
		select {
		case <-time.After(n.poll()):
		case <-n.ctx.Done():
		}
	}
}

// hearOf hears of one thing that the holder published.
func (l *Log) hearOf(held Held) error {
	n := l.nodes
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	n.hearing.Store(&hearing{held.Holder, cancel})
	defer n.hearing.Store(nil)
	l.mu.RLock()
	from, purged := l.Mark().Size, l.purged
	l.mu.RUnlock()
	h, err := l.opts.Hear(ctx, held, from)
	if err != nil {
		return err
	}
	n.heard.Store(true)
	if h.Mark.Size <= from {
		return nil
	}
	return l.advance(ctx, h.Mark, h.Records, purged)
}

// changed ends hearing of a node that does not hold the log any more.
func (n *nodes) changed(to Holder) {
	if h := n.hearing.Load(); h != nil && h.holder != to {
		h.cancel()
	}
}

// soon is how long a mark that another node published is waited for, when the
// holder says itself what it publishes, before the store is asked.
const soon = 20 * time.Millisecond

// comes waits a little for the mark to be there, if that may be expected.
func (l *Log) comes(ctx context.Context, p event.Position) bool {
	if !l.nodes.heard.Load() {
		return l.Mark().Size >= p
	}
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	for l.Mark().Size < p {
		if l.Wait(ctx, p-1) != nil {
			return false
		}
	}
	return true
}

// chained checks that records lead from one mark to another. Those that came
// from another node may begin before it.
func chained(records []*event.Record, from, to Mark) ([]entry, error) {
	for len(records) > 0 && records[0].Position <= from.Size {
		records = records[1:]
	}
	entries := make([]entry, 0, len(records))
	prev := from.Last
	for i, r := range records {
		if r.Position != from.Size+event.Position(i)+1 || r.Prev != prev {
			return nil, fault.New(fault.Corrupt, "the record at position %d does not continue what was read before: the log was rolled back or rewritten", r.Position)
		}
		prev = r.Hash()
		entries = append(entries, entry{r, r.Terms(), prev})
	}
	if prev != to.Last || from.Size+event.Position(len(entries)) != to.Size {
		return nil, fault.New(fault.Corrupt, "the record at position %d is not the one that its holder published", to.Size)
	}
	return entries, nil
}
