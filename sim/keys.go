package sim

import (
	"context"
	"crypto/rand"
	"maps"
	"sync"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/seal"
)

// vault is the key store that outlives the nodes.
type vault struct {
	mu        sync.Mutex
	keys      map[event.KeyID]seal.Secret
	destroyed map[event.KeyID]bool
}

func newVault() *vault {
	return &vault{keys: map[event.KeyID]seal.Secret{}, destroyed: map[event.KeyID]bool{}}
}

// Draw implements seal.KeyStore.
func (v *vault) Draw(context.Context, event.LogID) (event.KeyID, seal.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id, k := event.KeyID{ID: event.NewID()}, seal.Secret{}
	rand.Read(k[:])
	v.keys[id] = k
	return id, k, nil
}

// Get implements seal.KeyStore.
func (v *vault) Get(_ context.Context, _ event.LogID, id event.KeyID) (seal.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.keys[id]
	switch {
	case v.destroyed[id]:
		return k, fault.New(fault.Erased, "the key was destroyed")
	case !ok:
		return k, fault.New(fault.NotFound, "key %s is not here", id)
	}
	return k, nil
}

func (v *vault) destroy(ids []event.KeyID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range ids {
		delete(v.keys, id)
		v.destroyed[id] = true
	}
}

// copy is a backup.
func (v *vault) copy() *vault {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &vault{keys: maps.Clone(v.keys), destroyed: maps.Clone(v.destroyed)}
}

// restore puts a backup in the vault's place, with what was drawn since: a key
// store may lose erasures, which the log does not, but never a key.
func (v *vault) restore(b *vault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.Copy(v.keys, b.keys)
	v.destroyed = maps.Clone(b.destroyed)
}

// Key implements verify.Opener.
func (v *vault) Key(_ context.Context, _, _, key verify.ID) ([]byte, verify.KeyState, error) {
	k, err := v.Get(context.Background(), event.LogID{}, event.KeyID{ID: event.ID(key)})
	switch fault.KindOf(err) {
	case fault.Erased:
		return nil, verify.KeyErased, nil
	case fault.NotFound:
		return nil, verify.KeyNever, nil
	}
	return k[:], verify.KeyActive, nil
}

// keys is the vault as one node sees it.
type keys struct {
	*vault
	node *node
}

func (k *keys) up() error {
	switch {
	case k.node.dead.Load():
		return errDead
	case k.node.world.failing.Load()&secrets != 0:
		return fault.New(fault.Unavailable, "the key store does not answer")
	}
	return nil
}

// Draw implements seal.KeyStore.
func (k *keys) Draw(ctx context.Context, log event.LogID) (event.KeyID, seal.Secret, error) {
	if err := k.up(); err != nil {
		return event.KeyID{}, seal.Secret{}, err
	}
	id, key, err := k.vault.Draw(ctx, log)
	k.hold(id, err)
	return id, key, err
}

// Get implements seal.KeyStore.
func (k *keys) Get(ctx context.Context, log event.LogID, id event.KeyID) (seal.Secret, error) {
	if err := k.up(); err != nil {
		return seal.Secret{}, err
	}
	key, err := k.vault.Get(ctx, log, id)
	k.hold(id, err)
	return key, err
}

// hold notes that the node has a key in its memory, as the key database's own
// keeps them.
func (k *keys) hold(id event.KeyID, err error) {
	if err == nil {
		k.node.mu.Lock()
		defer k.node.mu.Unlock()
		k.node.held[id] = true
	}
}

// Forget implements erasure.Forgetter.
func (k *keys) Forget(_ event.LogID, ids ...event.KeyID) {
	if k.node.world.bugs.KeepsKeys {
		return
	}
	k.node.mu.Lock()
	defer k.node.mu.Unlock()
	for _, id := range ids {
		delete(k.node.held, id)
	}
}

// Destroy implements erasure.Destroyer.
func (k *keys) Destroy(ctx context.Context, log event.LogID, ids ...event.KeyID) error {
	g, err := k.node.world.bus.wait(ctx, k.node, "destroy keys")
	if err != nil {
		return err
	}
	if g.verdict != lose {
		k.destroy(ids)
		k.Forget(log, ids...)
	}
	if g.verdict != proceed {
		return fault.New(fault.Unavailable, "the key store does not answer")
	}
	return nil
}

// register is the register as one node sees it.
type register struct {
	*ledger.MemoryRegister
	node *node
	lane string // of what comes without one; empty: background
}

func (r *register) wait(ctx context.Context, what string) (permit, error) {
	if r.lane != "" && laneOf(ctx) == background {
		ctx = withLane(ctx, r.lane)
	}
	return r.node.world.bus.wait(ctx, r.node, what)
}

// Load implements ledger.Register.
func (r *register) Load(ctx context.Context) (ledger.State, error) {
	g, err := r.wait(ctx, "load the register")
	if err == nil && g.verdict != proceed {
		err = fault.New(fault.Unavailable, "the register does not answer")
	}
	if err != nil {
		return ledger.State{}, err
	}
	return r.MemoryRegister.Load(ctx)
}

// CompareAndSwap implements ledger.Register.
func (r *register) CompareAndSwap(ctx context.Context, old, new ledger.State) error {
	g, err := r.wait(ctx, "swap the register")
	if err != nil {
		return err
	}
	if g.verdict == lose {
		if g.coin {
			return fault.New(fault.Unknown, "the register does not answer")
		}
		return fault.New(fault.Unavailable, "the register is away")
	}
	if err := r.MemoryRegister.CompareAndSwap(ctx, old, new); err != nil || g.verdict == proceed {
		return err
	}
	return fault.New(fault.Unknown, "the register does not answer")
}
