package ledger

import (
	"context"
	"sync"

	"muniment.dev/fault"
)

// MemoryRegister is a register that lasts as long as the process: for tests and
// simulation. The zero value holds nothing and is ready for use.
type MemoryRegister struct {
	mu    sync.Mutex
	state State
}

// Load implements Register.
func (r *MemoryRegister) Load(context.Context) (State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, nil
}

// CompareAndSwap implements Register.
func (r *MemoryRegister) CompareAndSwap(_ context.Context, old, new State) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != old {
		return fault.New(fault.Conflict, "the register holds another state")
	}
	r.state = new
	return nil
}
