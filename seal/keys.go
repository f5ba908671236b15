package seal

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"sync"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Wrapper encrypts the epoch keys that wrap subject keys: a key in a file, or
// a key management service. It is called once per epoch and start, never per
// event.
type Wrapper interface {
	Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error)
	Unwrap(ctx context.Context, ciphertext, aad []byte) ([]byte, error)
}

// maxOpen bounds one generation of the unwrapped keys that are kept in memory.
const maxOpen = 1 << 15

// Keys is the store of subject keys: a database of its own, each key wrapped by
// the epoch's key, which the Wrapper wraps. A key is in one of three states for
// ever after: never made, there, or destroyed.
//
// A SQLite file is of one process. A PostgreSQL database may be open in several
// at once (nodes): each draws keys from batches of its own, and finds those of
// the others. What one destroyed is gone from the memory of the others when
// they have been told, by [Keys.Forget].
type Keys struct {
	db    database
	epoch epoch
	kek   cipher.AEAD

	life  context.Context // ends with Close
	end   context.CancelFunc
	fills sync.WaitGroup // batches of keys that are being made

	mu          sync.Mutex // guards what follows
	closed      bool
	pools       map[event.LogID]*pool
	open        generations[keyName, Secret] // unwrapped
	derivations generations[keyName, *derived]
	destroyed   int              // how often keys were, to notice it while one is being read
	gone        map[keyName]bool // that others destroy, or have destroyed
}

// keyName is where a key belongs.
type keyName struct {
	log event.LogID
	id  event.KeyID
}

// OpenKeys opens or makes the key database: a file at a path (mode 0600), or the
// tables in an empty PostgreSQL database at postgres://….
func OpenKeys(ctx context.Context, where string, w Wrapper) (*Keys, error) {
	db, err := openDatabase(ctx, where, true)
	if err != nil {
		return nil, fault.Wrap("open the key database", err)
	}
	k := &Keys{db: db, pools: map[event.LogID]*pool{}, open: generations[keyName, Secret]{most: maxOpen},
		derivations: generations[keyName, *derived]{most: maxDerived}, gone: map[keyName]bool{}}
	k.life, k.end = context.WithCancel(context.Background())
	if err := k.openEpoch(ctx, w); err != nil {
		db.close()
		return nil, badly("open the key epoch", err)
	}
	return k, nil
}

// Close closes the database and forgets the keys in memory.
func (k *Keys) Close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.end()
	k.fills.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open.clear()
	k.derivations.clear()
	clear(k.pools)
	return k.db.close()
}

// openEpoch unwraps the newest epoch's key, making the first if there is none.
// What is used is always what the database says, since another may be making
// the first at the same time.
func (k *Keys) openEpoch(ctx context.Context, w Wrapper) (err error) {
	if k.epoch, err = k.db.epoch(ctx); err == nil && k.epoch.n == 0 {
		if err = k.makeEpoch(ctx, w); err == nil {
			k.epoch, err = k.db.epoch(ctx)
		}
	}
	if err != nil {
		return err
	}
	key, err := w.Unwrap(ctx, k.epoch.wrapped, epochAAD(k.epoch.n))
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Msg: "the key database was made under another root key; give the right one", Err: err}
	}
	k.kek, err = gcm(key)
	return err
}

func (k *Keys) makeEpoch(ctx context.Context, w Wrapper) error {
	key := make([]byte, 32)
	rand.Read(key)
	wrapped, err := w.Wrap(ctx, key, epochAAD(1))
	if err != nil {
		return err
	}
	return k.db.begin(ctx, epoch{1, wrapped})
}

func epochAAD(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte("muniment/epoch/v1"), n) }

// wrapAAD binds a wrapped key to its place, so that rows cannot be exchanged.
func (k *Keys) wrapAAD(log event.LogID, id event.KeyID) []byte {
	b := append([]byte("muniment/key/v1"), log.ID[:]...)
	return binary.BigEndian.AppendUint32(append(b, id.ID[:]...), k.epoch.n)
}

// Get returns a key; fault.Erased if it was destroyed, fault.NotFound if it
// was never in this database.
func (k *Keys) Get(ctx context.Context, log event.LogID, id event.KeyID) (Secret, error) {
	name := keyName{log, id}
	k.mu.Lock()
	s, ok := k.open.get(name)
	destroyed, gone := k.destroyed, k.gone[name]
	k.mu.Unlock()
	if gone {
		return Secret{}, errDestroyed
	}
	if ok {
		return s, nil
	}
	s, err := k.read(ctx, log, id)
	if err != nil {
		return Secret{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone[name] {
		return Secret{}, errDestroyed
	}
	if destroyed == k.destroyed { // else it may be this one
		k.open.put(name, s)
	}
	return s, nil
}

var errDestroyed = fault.New(fault.Erased, "the key was destroyed")

// read reads and unwraps a key.
func (k *Keys) read(ctx context.Context, log event.LogID, id event.KeyID) (Secret, error) {
	var wrapped []byte
	found := false
	err := k.db.get(ctx, log, []event.KeyID{id}, func(_ event.KeyID, w []byte) { wrapped, found = w, true })
	if err != nil {
		return Secret{}, badly("read a key", err)
	}
	if !found {
		return Secret{}, k.missing(ctx, id)
	}
	return k.unwrap(log, id, wrapped)
}

func (k *Keys) unwrap(log event.LogID, id event.KeyID, wrapped []byte) (Secret, error) {
	n := k.kek.NonceSize()
	if len(wrapped) < n {
		return Secret{}, fault.New(fault.Corrupt, "key %s is damaged", id)
	}
	b, err := k.kek.Open(nil, wrapped[:n], wrapped[n:], k.wrapAAD(log, id))
	if err != nil || len(b) != 32 {
		return Secret{}, fault.New(fault.Corrupt, "key %s does not unwrap", id)
	}
	return Secret(b), nil
}

func (k *Keys) missing(ctx context.Context, id event.KeyID) error {
	_, destroyed, err := k.db.known(ctx, []event.KeyID{id})
	switch {
	case err != nil:
		return badly("read a key's state", err)
	case destroyed[id]:
		return errDestroyed
	}
	return fault.New(fault.NotFound, "key %s is not in this key database", id)
}

// Destroy destroys keys: their wrapped bytes stand in no file of the database
// when it returns, as far as that can be had (docs/security-model.md,
// "Erasure"). Repeating it, or destroying a key that a restored database
// brought back, is harmless. Other nodes have to be told: see [Keys.Forget].
func (k *Keys) Destroy(ctx context.Context, log event.LogID, ids ...event.KeyID) error {
	if _, err := k.db.destroy(ctx, log, ids); err != nil {
		return badly("destroy a key", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(log, ids)
	return nil
}

// Forget clears keys from memory that another node destroys: every node calls
// it when it sees an erasure in the log. From then on they are destroyed here,
// even if the other has not come to deleting them yet.
func (k *Keys) Forget(log event.LogID, ids ...event.KeyID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(log, ids)
	for _, id := range ids {
		k.gone[keyName{log, id}] = true
	}
}

// forget clears keys from memory, and keeps those from coming in that are being
// read at this moment. k.mu is held.
func (k *Keys) forget(log event.LogID, ids []event.KeyID) {
	k.destroyed++
	for _, id := range ids {
		k.open.delete(keyName{log, id})
	}
	k.derivations.clear() // a key has some in each generation, and they are made quickly
}
