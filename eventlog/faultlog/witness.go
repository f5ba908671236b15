package faultlog

import (
	"errors"
	"fmt"
	"sync"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// witness remembers what went through a store and notes what must never be.
type witness struct {
	mu    sync.Mutex
	logs  map[event.LogID]*seen
	wrong []error
}

// seen is what a witness knows of a log.
type seen struct {
	term     uint64
	holder   event.ID
	hashes   []event.Hash // by position - 1, as stored
	acked    event.Position
	commands map[command]bool
	ids      map[event.ID]bool
}

type command struct {
	actor event.Actor
	id    event.ID
}

// Err returns what was wrong, if anything was.
func (w *witness) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.wrong...)
}

// Acknowledged is the last position of which the store has said that it is
// durable.
func (w *witness) Acknowledged(log event.LogID) event.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log(log).acked
}

func (w *witness) log(id event.LogID) *seen {
	l := w.logs[id]
	if l == nil {
		l = &seen{commands: map[command]bool{}, ids: map[event.ID]bool{}}
		w.logs[id] = l
	}
	return l
}

func (w *witness) note(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Errorf(format, args...))
}

func (w *witness) taken(log event.LogID, h eventlog.Head) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.log(log)
	if h.Term <= l.term {
		w.note("term %d was taken after term %d", h.Term, l.term)
	}
	if int(h.Size) != len(l.hashes) {
		w.note("the log was taken at size %d, but %d records were stored", h.Size, len(l.hashes))
	}
	l.term, l.holder = h.Term, h.Holder
}

func (w *witness) acknowledged(log event.LogID, size event.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.log(log)
	l.acked = max(l.acked, size)
}

// committed checks a batch that the engine accepted.
func (w *witness) committed(b *eventlog.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.log(b.Log)
	if b.Prev.Term != l.term || b.Prev.Holder != l.holder {
		w.note("the engine accepted a commit of term %d under term %d", b.Prev.Term, l.term)
	}
	if int(b.Prev.Size) != len(l.hashes) || int(b.Next.Size) != len(l.hashes)+len(b.Records) {
		w.note("the engine accepted records %d to %d behind %d", b.Prev.Size+1, b.Next.Size, len(l.hashes))
	}
	if len(b.Terms) != len(b.Records) || len(b.Hashes) != len(b.Records) {
		w.note("a batch of %d records has %d lists of terms and %d hashes", len(b.Records), len(b.Terms), len(b.Hashes))
		return
	}
	for i, r := range b.Records {
		last := event.Hash{}
		if n := len(l.hashes); n > 0 {
			last = l.hashes[n-1]
		}
		switch hash := r.Hash(); {
		case int(r.Position) != len(l.hashes)+1:
			w.note("the record of position %d was stored behind %d", r.Position, len(l.hashes))
		case r.Prev != last || hash != b.Hashes[i]:
			w.note("the record at position %d does not follow the one before", r.Position)
		case l.ids[r.ID]:
			w.note("the event of position %d was stored twice", r.Position)
		}
		l.ids[r.ID] = true
		l.hashes = append(l.hashes, r.Hash())
	}
	for _, o := range b.Outcomes {
		c := command{o.Actor, o.Command}
		if l.commands[c] {
			w.note("a command was carried out twice, the second time at position %d", o.First)
		}
		l.commands[c] = true
	}
}

// asked notes reads past the mark: such a record may yet turn out to be lost.
func (w *witness) asked(log event.LogID, upto event.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.log(log); upto > l.acked {
		w.note("a read up to position %d, but only %d were acknowledged", upto, l.acked)
	}
}

func (w *witness) read(log event.LogID, r *event.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.log(log)
	if r.Position == 0 || int(r.Position) > len(l.hashes) || l.hashes[r.Position-1] != r.Hash() {
		w.note("the record at position %d is not the one that was stored", r.Position)
	}
}
