package eventlog

import (
	"context"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Shared is a Store that several processes (nodes) have open at once. For each
// log one of them, the holder, appends; the others read up to the mark that it
// publishes, and forward to it what they want to append.
//
// The holder has a lease, by the store's own clock, so that nodes do not take
// the log from each other all the time. Nothing that is promised rests on the
// lease: Commit proves term, holder, size and last leaf, whoever believes what.
type Shared interface {
	Store

	// TakeFree is Take for a holder with an address and a lease, unless another
	// has a lease that did not run out: then it fails with a *Held in the chain
	// (fault.Unavailable) and changes nothing. The mark that is published is
	// then the head that it returns.
	TakeFree(ctx context.Context, log event.LogID, by Holder, atLeast uint64, lease time.Duration) (Head, error)

	// Publish makes a mark of the holder's term readable by all nodes, and
	// prolongs its lease. The holder calls it with what is durable before it
	// acknowledges any of it. fault.Conflict: another has taken the log.
	Publish(ctx context.Context, log event.LogID, by event.ID, m Mark, lease time.Duration) error

	// Standing returns who holds a log and what it published last;
	// fault.NotFound without such a log.
	Standing(ctx context.Context, log event.LogID) (Standing, error)

	// Resign ends the holder's lease, so that another takes the log at once. It
	// is harmless if by does not hold it.
	Resign(ctx context.Context, log event.LogID, by event.ID) error

	// Bell gives a channel that is signalled when the log may have grown, until
	// the context ends. It is a doorbell only: signals may be lost, delayed or
	// many in one, and whoever waits looks again by itself as well.
	Bell(ctx context.Context, log event.LogID) <-chan struct{}

	// Attend notes that a node is there for as long as the lease says, and up to
	// which position it has forgotten what was erased. Attending returns the
	// least of those positions over the nodes that are there; false if none is.
	Attend(ctx context.Context, log event.LogID, node event.ID, forgotten event.Position, lease time.Duration) error
	Attending(ctx context.Context, log event.LogID) (event.Position, bool, error)
}

// Absences is what a Shared store may be besides: it knows from memory what a
// log does not hold as far as this node, which follows it, has read. So a
// follower need not ask about each address that is new. It answers for the
// records up to a position and no others: a decision that rests on it is
// appended on the condition that nothing came behind that position, which the
// holder checks.
type Absences interface {
	// Followed tells of the terms of the records in (from, to], those of streams,
	// subjects and blind tags, before anybody reads them here. A subject without
	// records that was erased is among them. Without terms they are not known;
	// then, and if some records were left out, the store finds out by itself.
	Followed(log event.LogID, from, to event.Position, terms []event.Term)

	// Absent reports that no record up to a position has a term of those. False
	// says nothing.
	Absent(log event.LogID, t event.Term, upto event.Position) bool
}

// note tells the store what this node is about to read.
func (l *Log) note(from, to event.Position, entries []entry) {
	s, ok := l.store.(Absences)
	if !ok || to == from {
		return
	}
	var terms []event.Term
	for _, e := range entries {
		for _, t := range e.terms {
			if t[0] == 's' || t[0] == 'u' || t.IsBlind() {
				terms = append(terms, t)
			}
		}
		var gone erasure
		if e.rec.Type == typeErased && event.Strict.Unmarshal(e.rec.Public, &gone) == nil {
			terms = append(terms, event.SubjectTerm(gone.Subject))
		}
	}
	s.Followed(l.id, from, to, terms)
}

// absent reports that no record up to a position, which may be read here, has a
// term. False says nothing.
func (l *Log) absent(t event.Term, upto event.Position) bool {
	s, ok := l.store.(Absences)
	return ok && l.nodes != nil && s.Absent(l.id, t, upto)
}

// Holder is who holds a log and where it takes what others forward.
type Holder struct {
	ID      event.ID
	Address string // URL that other nodes reach; empty: nothing can be forwarded to it
}

// Standing is what nodes know of a log that another may hold.
type Standing struct {
	Holder Holder
	Left   time.Duration // of its lease; not positive if that ran out
	Mark   Mark          // published under the present term
	Known  bool          // whether there is such a mark: a store that lost it, by a fail-over for example, has none until the log is taken again
}

// Held says that another holds the log.
type Held struct{ Standing }

// Error says who and for how long.
func (h *Held) Error() string {
	return fault.New(fault.Unavailable, "the log is held by another node (%s) for %s more", h.Holder.Address, h.Left.Round(time.Millisecond)).Msg
}
