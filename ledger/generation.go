package ledger

import (
	"context"
	"fmt"

	"muniment.dev/cell"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// ErrNothingMissing refuses to begin a generation for a log that has all that
// its register knows of.
var ErrNothingMissing = fault.New(fault.Refused, "the log has all the records that its register knows of: there is nothing that a new generation would have to admit")

// Generations says where a log and its register stand, for whoever considers to
// begin a new generation.
type Generations struct {
	Register State // what it says; zero if there is none
	Log      State // under the id of its newest generation
	List     []eventlog.Generation
	// Unfinished: the log began a generation already, and the register was not
	// told.
	Unfinished bool
}

// Missing is how many records the register knows of that the log lacks.
func (g *Generations) Missing() event.Position {
	if g.Unfinished || g.Register.Size <= g.Log.Size {
		return 0
	}
	return g.Register.Size - g.Log.Size
}

// LookAtGenerations compares a log with its register. It refuses what no new
// generation mends: a register of another log (ErrOtherLog), and one whose
// records are others than the log's (ErrForked).
func LookAtGenerations(ctx context.Context, store eventlog.Store, log event.LogID, reg Register) (*Generations, error) {
	out := &Generations{}
	var err error
	if out.Register, err = reg.Load(ctx); err != nil {
		return nil, fault.Wrap("read the register", err)
	}
	head, err := store.Head(ctx, log)
	if err != nil {
		return nil, fault.Wrap("read the log's head", err)
	}
	if out.List, err = eventlog.GenerationsOf(ctx, store, log); err != nil {
		return nil, err
	}
	newest := out.List[len(out.List)-1]
	out.Log = State{Log: newest.ID, Term: head.Term, Tree: Tree{head.Size, head.Root()}}
	switch at, n := out.Register, len(out.List); {
	case at.IsZero():
		return out, nil
	case at.Log == newest.ID:
	case n > 1 && at.Log == out.List[n-2].ID:
		out.Unfinished = true
	default:
		return out, ErrOtherLog
	}
	if at := out.Register; at.Size < newest.First || !out.Unfinished && at.Size <= head.Size {
		if err := continues(ctx, NewProver(store, log), at.Tree, out.Log.Tree); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Keeper is a register that keeps a state for good, apart from the present one:
// what it said before a new generation began.
type Keeper interface {
	Keep(ctx context.Context, s State) error
}

// Begin begins a new generation of a log that was restored and lacks records
// (docs/adr/0017): it appends log.continued, which names the generation before
// and a checkpoint of it ("" if none is known), and has the register follow. It
// may be repeated after an interruption. checkpoint must be of that generation
// and well signed; nobody else may have the store open.
func Begin(ctx context.Context, store eventlog.Store, log event.LogID, reg Register, checkpoint string, o eventlog.Options) (*Generations, error) {
	at, err := LookAtGenerations(ctx, store, log, reg)
	if err != nil {
		return nil, err
	}
	switch {
	case at.Log.Size == 0:
		return nil, fault.New(fault.Refused, "the log is empty: there is nothing to continue")
	case !at.Register.IsZero() && !at.Unfinished && at.Missing() == 0:
		return nil, ErrNothingMissing
	}
	if k, ok := reg.(Keeper); ok && !at.Register.IsZero() {
		if err := k.Keep(ctx, at.Register); err != nil {
			return nil, fault.Wrap("keep what the register said", err)
		}
	}
	if !at.Unfinished {
		if err := begin(ctx, store, log, at, checkpoint, o); err != nil {
			return nil, err
		}
	}
	out, err := LookAtGenerations(ctx, store, log, said{at.Register})
	if err != nil {
		return nil, err
	}
	// Behind the record, so that an interruption leaves the old state, which
	// tells what was lost.
	next := out.Log
	next.Term = max(next.Term, at.Register.Term)
	if err := reg.CompareAndSwap(ctx, at.Register, next); err != nil {
		return nil, fault.Wrap("have the register follow the new generation", err)
	}
	out.Register, out.Unfinished = next, false
	return out, nil
}

// said is a register as it was read once.
type said struct{ state State }

// Load implements Register.
func (s said) Load(context.Context) (State, error) { return s.state, nil }

// CompareAndSwap implements Register; it refuses.
func (s said) CompareAndSwap(context.Context, State, State) error {
	return fault.New(fault.Refused, "this register is only read")
}

// begin appends the record.
func begin(ctx context.Context, store eventlog.Store, log event.LogID, at *Generations, checkpoint string, o eventlog.Options) error {
	public := map[uint64]any{1: at.Log.Log}
	if checkpoint != "" {
		c, err := ParseCheckpoint([]byte(checkpoint))
		if err != nil {
			return err
		}
		if c.Log != at.Log.Log {
			return fault.New(fault.Invalid, "the checkpoint is of log %s, the log is in generation %s", c.Log, at.Log.Log)
		}
		if c.Size <= at.Log.Size {
			if err := continues(ctx, NewProver(store, log), c.Tree, at.Log.Tree); err != nil {
				return fault.Wrap("hold the checkpoint against the log", err)
			}
		}
		public[2] = checkpoint
	}
	payload, err := event.Deterministic.Marshal(public)
	if err != nil {
		return err
	}
	o.Term = max(o.Term, at.Register.Term+1)
	l, err := eventlog.Open(ctx, store, log, o)
	if err != nil {
		return err
	}
	defer l.Close()
	d := &event.Draft{ID: event.NewID(), Stream: event.Stream{Kind: "log", ID: log.ID}, Type: "log.continued", Revision: 1, Actor: event.System, Public: payload}
	_, err = l.Append(ctx, eventlog.Request{Actor: event.System, Command: event.NewID(), Events: []*event.Draft{d}, Generation: event.LogID{ID: event.NewID()}})
	return fault.Wrap("begin a new generation", err)
}

// Keep implements Keeper: the state goes into a file beside, named after the
// log and its size.
func (r *FileRegister) Keep(_ context.Context, s State) error {
	b := formatState(s)
	name := fmt.Sprintf("%s.%s-%d", r.path, s.Log, s.Size)
	if old, err := r.disk.ReadFile(name); err == nil && string(old) == string(b) {
		return nil
	}
	tmp := name + ".tmp"
	if err := r.disk.WriteFile(tmp, b); err != nil {
		return &fault.Error{Kind: fault.Unavailable, Msg: "the register's folder cannot be written to; check its disk", Err: err}
	}
	return unsure(r.disk.Rename(tmp, name))
}

// Keep implements Keeper: the state is a value of its own beside the register.
func (r *KeptRegister) Keep(ctx context.Context, s State) error {
	ctx, cancel := context.WithTimeout(ctx, swapLimit)
	defer cancel()
	v := cell.Value{Name: fmt.Sprintf("%s/%s-%d", r.name, s.Log, s.Size), Bytes: formatState(s)}
	_, err := r.store.Put(ctx, v)
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	old, err := r.store.Get(ctx, v.Name)
	if err == nil && string(old.Bytes) != string(v.Bytes) {
		err = fault.New(fault.Conflict, "another state of the same log and size is kept already; look at the register")
	}
	return err
}
