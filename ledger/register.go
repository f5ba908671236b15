package ledger

import (
	"context"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// State is what a register holds: which log it is about (by the id of its newest
// generation), under which term it was last written, and its tree then. The zero State stands for none.
type State struct {
	Log  event.LogID
	Term uint64
	Tree
}

// IsZero reports whether s stands for none.
func (s State) IsZero() bool { return s == State{} }

// Register keeps the State of one log where the log itself is not: on another
// disk, in another system. It is what finds a log that was rolled back.
type Register interface {
	// Load returns the state; the zero State if there is none. It is
	// fault.Corrupt if what is stored cannot be read as one.
	Load(ctx context.Context) (State, error)

	// CompareAndSwap durably replaces old, which the register must hold, by
	// new; the zero State stands for none on either side. fault.Conflict: it
	// holds another, nothing was changed. fault.Unknown: it holds old or new,
	// and may hold the other after a crash; swap again to be certain. Any other
	// error: nothing was changed.
	CompareAndSwap(ctx context.Context, old, new State) error
}

const adopt = "; if you are certain, run `muniment register adopt`"

// The reasons for which a log is not written to until a person has looked. All
// are fault.Refused.
var (
	ErrNoRegister = fault.New(fault.Refused, "there is a log but no register for it: the register's disk may not be mounted, or this is a copy of a log"+adopt)
	ErrNoLog      = fault.New(fault.Refused, "there is a register but not the log that it is about: the log's disk may not be mounted"+adopt)
	ErrOtherLog   = fault.New(fault.Refused, "the register is about another log: one of the two was exchanged"+adopt)
	ErrRolledBack = fault.New(fault.Refused, "the log is shorter than the register says: an old state was restored, or records were cut off; what is missing was acknowledged, so look for a newer copy first"+adopt)
	ErrUnfinished = fault.New(fault.Refused, "the log began a new generation, of which the register was not told: beginning it was interrupted; run `muniment generation begin` again")
	ErrForked     = fault.New(fault.Refused, "the log's first records are not those that the register took note of: they were rewritten; keep a copy of everything before you go on"+adopt)
)

// Admit says whether a log may be opened for writing: whether it is, or
// continues, what the register knows. It changes nothing. It returns the least
// term to open the log with. A refusal is one of the errors above.
//
// The first start has neither log nor register; it is admitted.
func Admit(ctx context.Context, store eventlog.Store, log event.LogID, reg Register) (term uint64, err error) {
	state, err := reg.Load(ctx)
	if err != nil {
		return 0, fault.Wrap("read the register", err)
	}
	head, err := store.Head(ctx, log)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return 0, fault.Wrap("read the log's head", err)
	}
	exists := err == nil
	switch {
	case state.IsZero() && head.Size > 0:
		return 0, ErrNoRegister
	case state.IsZero():
		return 1, nil
	case !exists && state.Size == 0: // agreed upon, and nothing was ever acknowledged
		return state.Term + 1, nil
	case !exists:
		return 0, ErrNoLog
	}
	if err := inGeneration(ctx, store, log, state); err != nil {
		return 0, err
	}
	now := Tree{head.Size, head.Root()}
	if err := continues(ctx, NewProver(store, log), state.Tree, now); err != nil {
		return 0, err
	}
	return state.Term + 1, nil
}

// Agree settles which log several nodes make that start at once on a store
// without one: the first to say so in the register that they share.
func Agree(ctx context.Context, reg Register, mine event.LogID) (event.LogID, error) {
	err := reg.CompareAndSwap(ctx, State{}, State{Log: mine, Tree: Tree{Root: eventlog.Head{}.Root()}})
	if err == nil {
		return mine, nil
	}
	state, lost := reg.Load(ctx)
	if lost == nil && state.IsZero() {
		lost = err
	}
	return state.Log, fault.Wrap("agree with other nodes on the log to be made", lost)
}

// OpenLog opens a log for writing as its register admits it, and has the
// register note the new term before anything is appended: so the first record
// of a new log is covered, and a server that held the log before signs nothing
// more. Errors are those of [Admit], [eventlog.Open] and the register.
//
// A log that several nodes share (o.Lease) may be held by another: then it is
// followed, and the register left alone. Whenever this node takes it, what it
// finds must continue what the register knows, which notes the new term.
func OpenLog(ctx context.Context, store eventlog.Store, id event.LogID, reg Register, o eventlog.Options) (*eventlog.Log, error) {
	term, err := Admit(ctx, store, id, reg)
	if err != nil {
		return nil, err
	}
	o.Term = max(o.Term, term)
	if _, ok := store.(eventlog.Shared); ok && o.Lease > 0 {
		prover := NewProver(store, id)
		o.Admit = func(ctx context.Context, m eventlog.Mark) (uint64, error) { return takeOver(ctx, prover, id, reg, m) }
		return eventlog.Open(ctx, store, id, o)
	}
	log, err := eventlog.Open(ctx, store, id, o)
	if err != nil {
		return nil, err
	}
	if err := claim(ctx, log, reg); err != nil {
		_ = log.Close() // nothing was appended
		return nil, fault.Wrap("note the new term in the register", err)
	}
	return log, nil
}

func claim(ctx context.Context, log *eventlog.Log, reg Register) error {
	old, err := reg.Load(ctx)
	if err != nil {
		return err
	}
	new, err := claimed(old, log.Generation(), log.Mark())
	if err != nil {
		return err
	}
	if old.Term > new.Term {
		return fault.New(fault.Refused, "another server has taken the log meanwhile (term %d, ours is %d)", old.Term, new.Term)
	}
	return reg.CompareAndSwap(ctx, old, new)
}

// inGeneration refuses a register that is not about the log's newest generation.
func inGeneration(ctx context.Context, store eventlog.Store, log event.LogID, s State) error {
	g, err := eventlog.GenerationsOf(ctx, store, log)
	if err != nil {
		return fault.Wrap("find the log's generation", err)
	}
	newest := g[len(g)-1]
	switch {
	case s.Log == newest.ID:
		return nil
	case slices.ContainsFunc(g, func(g eventlog.Generation) bool { return g.ID == s.Log }):
		return ErrUnfinished
	}
	return ErrOtherLog
}

// claimed is what a register says when a log was taken.
func claimed(old State, log event.LogID, m eventlog.Mark) (State, error) {
	new := State{Log: log, Term: m.Term, Tree: old.Tree}
	switch {
	case old.IsZero() && m.Size > 0:
		return new, ErrNoRegister
	case old.IsZero():
		new.Tree = Tree{m.Size, m.Root}
	case old.Log != new.Log:
		return new, ErrOtherLog
	}
	return new, nil
}

// takeOver has the register note that a node took the log, if what it found
// continues what the register knows. A greater term in the register is one that
// the store lost: the log is to be taken above it. Another node that signs for
// the last time may swap the register meanwhile.
func takeOver(ctx context.Context, p *Prover, log event.LogID, reg Register, m eventlog.Mark) (least uint64, err error) {
	const op = "note the new term in the register"
	for range 8 {
		old, err := reg.Load(ctx)
		if err != nil {
			return 0, fault.Wrap(op, err)
		}
		if !old.IsZero() {
			if err := inGeneration(ctx, p.store, log, old); err != nil {
				return 0, err
			}
		}
		g, err := eventlog.GenerationsOf(ctx, p.store, log)
		if err != nil {
			return 0, fault.Wrap(op, err)
		}
		new, err := claimed(old, g[len(g)-1].ID, m)
		if err != nil {
			return 0, err
		}
		if old.Term >= new.Term {
			return old.Term + 1, nil
		}
		if !old.IsZero() {
			if err := continues(ctx, p, old.Tree, Tree{m.Size, m.Root}); err != nil {
				return 0, err
			}
		}
		if err = reg.CompareAndSwap(ctx, old, new); !fault.Is(err, fault.Conflict) {
			return 0, fault.Wrap(op, err)
		}
	}
	return 0, fault.New(fault.Unavailable, "the register is changed by others all the time")
}

// continues checks that a log's tree continues the one registered.
func continues(ctx context.Context, p *Prover, registered, now Tree) error {
	if now.Size < registered.Size {
		e := *ErrRolledBack
		e.Err = fault.New(fault.Conflict, "the log has %d records, the register says %d", now.Size, registered.Size)
		return &e
	}
	_, err := p.Consistency(ctx, registered, now)
	if fault.Is(err, fault.Conflict) {
		e := *ErrForked
		e.Err = err
		return &e
	}
	return fault.Wrap("compare the log with the register", err)
}

// Adopt makes the register say what the log is, whatever it said before, and
// returns both states. It is what a person decides after looking at why
// [Admit] refused; no program calls it by itself. Without a log (log zero, or
// not in the store) the register is emptied.
func Adopt(ctx context.Context, store eventlog.Store, log event.LogID, reg Register) (old, new State, err error) {
	if old, err = reg.Load(ctx); err != nil {
		return old, new, fault.Wrap("read the register", err)
	}
	head, err := store.Head(ctx, log)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return old, new, fault.Wrap("read the log's head", err)
	}
	if err == nil {
		g, err := eventlog.GenerationsOf(ctx, store, log)
		if err != nil {
			return old, new, fault.Wrap("find the log's generation", err)
		}
		new = State{Log: g[len(g)-1].ID, Term: max(old.Term, head.Term), Tree: Tree{head.Size, head.Root()}}
		if err := attest(ctx, NewProver(store, log), new.Tree); err != nil {
			return old, new, err
		}
	}
	return old, new, fault.Wrap("write the register", reg.CompareAndSwap(ctx, old, new))
}

// attest checks that what is stored bears out the tree that the log's head
// states.
func attest(ctx context.Context, p *Prover, t Tree) error {
	if t.Size == 0 {
		if t.Root != EmptyRoot() {
			return fault.New(fault.Corrupt, "the head of the empty log has root %s", tlog.Hash(t.Root))
		}
		return nil
	}
	_, _, err := p.Inclusion(ctx, t.Size, t)
	return err
}
