package ops

import (
	"context"

	"muniment.dev/ledger"
)

// register is the register at a place: a file, or in another system; empty:
// there is none. It is opened for each use, as commands use it once or twice.
type register string

func (r register) use(ctx context.Context, f func(ledger.Register) error) error {
	reg, err := ledger.OpenRegister(ctx, string(r))
	if err != nil {
		return err
	}
	defer reg.Close()
	return f(reg)
}

// Load implements ledger.Register.
func (r register) Load(ctx context.Context) (s ledger.State, err error) {
	if r == "" {
		return s, nil
	}
	err = r.use(ctx, func(reg ledger.Register) error {
		s, err = reg.Load(ctx)
		return err
	})
	return s, err
}

// CompareAndSwap implements ledger.Register.
func (r register) CompareAndSwap(ctx context.Context, old, new ledger.State) error {
	return r.use(ctx, func(reg ledger.Register) error { return reg.CompareAndSwap(ctx, old, new) })
}

// Keep implements ledger.Keeper, where the register can.
func (r register) Keep(ctx context.Context, s ledger.State) error {
	return r.use(ctx, func(reg ledger.Register) error {
		if k, ok := reg.(ledger.Keeper); ok {
			return k.Keep(ctx, s)
		}
		return nil
	})
}
