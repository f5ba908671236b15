package eventlog

import (
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Observer is told what a log does, for those who operate it. It is called by
// the sequencer, between two batches: it must be quick, and must not call back.
type Observer interface {
	// Committed tells of a batch that is durable.
	Committed(Commit)
	// Refused tells that an append was turned away, for which kind of reason.
	// Conflict is everyday: the command is decided again.
	Refused(fault.Kind)
	// Failed tells that a commit failed, or that its outcome is not known.
	Failed(fault.Kind)
}

// Commit is a batch that became durable.
type Commit struct {
	Records []*event.Record // not to be changed
	Appends int             // that were answered with it
	Took    time.Duration   // on its way to the disk
}

// Waiting is how many appends wait for their turn at the moment.
func (l *Log) Waiting() int { return len(l.queue) }

// nobody is the Observer of a log that nobody watches.
type nobody struct{}

func (nobody) Committed(Commit)   {}
func (nobody) Refused(fault.Kind) {}
func (nobody) Failed(fault.Kind)  {}
