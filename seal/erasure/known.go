package erasure

import (
	"context"
	"sync"
	"sync/atomic"

	"muniment.dev/event"
)

// known are the erasures that stand in the log and whose keys this process may
// still open: from the moment that an erasure is acknowledged nobody is shown
// what was erased, although the key is destroyed a moment later.
type known struct {
	through atomic.Uint64 // the log was read up to here
	count   atomic.Int64  // of subjects

	mu       sync.Mutex // guards what follows, and reading on
	subjects map[event.SubjectID]event.Position
	ahead    map[event.SubjectID]bool // settled before they were read
}

// Erased reports whether the log, as far as it was acknowledged, says that a
// subject was erased whose key may not be destroyed yet. It costs nothing while
// nothing new is in the log, and hardly more when something is: that is in memory.
func (p *Process) Erased(ctx context.Context, s event.SubjectID) (bool, error) {
	k := &p.known
	if event.Position(k.through.Load()) >= p.Log.Mark().Size && k.count.Load() == 0 {
		return false, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	upto, after := p.Log.Mark().Size, event.Position(k.through.Load())
	if upto > after {
		more, err := p.erasures(ctx, after, upto)
		if err != nil {
			return false, err
		}
		for _, e := range more {
			k.note(e)
		}
		k.through.Store(uint64(upto))
	}
	_, erased := k.subjects[s]
	return erased, nil
}

// note is about an erasure of which a key may still open something; k.mu is held.
func (k *known) note(e erasure) {
	if k.ahead[e.subject] {
		delete(k.ahead, e.subject)
		return
	}
	if k.subjects == nil {
		k.subjects = map[event.SubjectID]event.Position{}
	}
	k.subjects[e.subject] = e.position
	k.count.Store(int64(len(k.subjects)))
}

// settled says that no key opens anything of an erased subject here any more.
func (k *known) settled(e erasure) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if event.Position(k.through.Load()) < e.position {
		if k.ahead == nil {
			k.ahead = map[event.SubjectID]bool{}
		}
		k.ahead[e.subject] = true
		return
	}
	delete(k.subjects, e.subject)
	k.count.Store(int64(len(k.subjects)))
}

// settledTo says so of all erasures up to a position.
func (k *known) settledTo(p event.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.through.Store(max(k.through.Load(), uint64(p)))
	for s, at := range k.subjects {
		if at <= p {
			delete(k.subjects, s)
		}
	}
	k.count.Store(int64(len(k.subjects)))
}
