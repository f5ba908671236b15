package ledger

import (
	"context"
	"io"
	"sync"
	"time"

	"muniment.dev/cell"
	"muniment.dev/fault"
)

// RegisterCloser is a register that holds on to something, such as connections.
type RegisterCloser interface {
	Register
	io.Closer
}

// OpenRegister opens the register at a place: the path of a file, or
// postgres://… or etcd://… (package cell). It need not exist yet.
func OpenRegister(ctx context.Context, where string) (RegisterCloser, error) {
	if !cell.Is(where) {
		return NewFileRegister(where), nil
	}
	store, name, err := cell.Open(ctx, where)
	if err != nil {
		return nil, err
	}
	return &KeptRegister{store: store, name: name + registerName}, nil
}

// RegisterApart refuses a register that is where the log is: log is its
// PostgreSQL database. A log in files, and a register elsewhere, are apart as
// far as can be seen from here.
func RegisterApart(ctx context.Context, where, log string) error {
	return cell.Apart(ctx, where, log)
}

// RegisterBeside is the place of another log's register in the same system.
func RegisterBeside(where, name string) string { return cell.Beside(where, name) }

// RemoveRegister removes what a place in another system holds: the register and
// the list of erasures. It is for a log that was deleted.
func RemoveRegister(ctx context.Context, where string) error {
	store, name, err := cell.Open(ctx, where)
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Remove(ctx, name+"/")
}

const registerName = "/register"

// KeptRegister keeps the register as a value in another system, in the form of
// the file. It is safe for concurrent use, by several processes too.
type KeptRegister struct {
	store cell.Store
	name  string

	mu   sync.Mutex
	seen cell.Value // as it was last; of revision 0 if that is not known
}

// swapLimit bounds how long a system may take to answer.
const swapLimit = 30 * time.Second

// Close closes the connections.
func (r *KeptRegister) Close() error { return r.store.Close() }

// Load implements Register.
func (r *KeptRegister) Load(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, swapLimit)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.load(ctx)
}

// load reads the value. An empty one is that of a register that was emptied: it
// stays, so that its revision goes on.
func (r *KeptRegister) load(ctx context.Context) (s State, err error) {
	if r.seen, err = r.store.Get(ctx, r.name); err != nil {
		r.seen = cell.Value{}
		return State{}, err
	}
	return stateOf(r.seen)
}

func stateOf(v cell.Value) (State, error) {
	if len(v.Bytes) == 0 {
		return State{}, nil
	}
	return parseState(v.Bytes)
}

// CompareAndSwap implements Register. Every swap makes a new revision, that of
// a state by itself too: so one that went astray cannot arrive later, and the
// new state is written, not only found.
func (r *KeptRegister) CompareAndSwap(ctx context.Context, old, new State) error {
	ctx, cancel := context.WithTimeout(ctx, swapLimit)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.seen.Revision > 0
	for {
		now, err := stateOf(r.seen)
		if !known {
			now, err = r.load(ctx)
		}
		switch {
		case err != nil:
			return err
		case now != old && known: // it may be out of date
			known = false
			continue
		case now != old:
			return fault.New(fault.Conflict, "the register was changed by somebody else: it is about log %s, term %d, %d records", now.Log, now.Term, now.Size)
		}
		err = r.put(ctx, new)
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		known = false // somebody was faster; perhaps with the same state
	}
}

func (r *KeptRegister) put(ctx context.Context, s State) (err error) {
	v := cell.Value{Name: r.name, Revision: r.seen.Revision, Bytes: []byte{}}
	if !s.IsZero() {
		v.Bytes = formatState(s)
	}
	v.Revision, err = r.store.Put(ctx, v)
	if r.seen = v; err != nil {
		r.seen = cell.Value{}
	}
	return err
}
