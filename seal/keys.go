package seal

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"os"
	"sync"

	_ "modernc.org/sqlite" // the database/sql driver

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

// Keys is the store of subject keys: a SQLite database of its own, each key
// wrapped by the epoch's key, which the Wrapper wraps. A key is in one of
// three states for ever after: never made, there, or destroyed.
type Keys struct {
	db    *sql.DB
	epoch uint32
	kek   cipher.AEAD

	fills sync.WaitGroup // batches of keys that are being made

	mu          sync.Mutex // guards what follows
	closed      bool
	pools       map[event.LogID]*pool
	open        generations[keyName, Secret] // unwrapped
	derivations generations[keyName, *derived]
	destroyed   int // how often keys were, to notice it while one is being read
}

// keyName is where a key belongs.
type keyName struct {
	log event.LogID
	id  event.KeyID
}

// Keys stand in the order in which they were made, so that a batch of them is
// written in one place; only their ids are scattered over an index.
const schema = `
CREATE TABLE IF NOT EXISTS epoch (n INTEGER PRIMARY KEY, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS subject_key (n INTEGER PRIMARY KEY, id BLOB NOT NULL, log BLOB NOT NULL, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS subject_key_id ON subject_key (id);
CREATE TABLE IF NOT EXISTS destroyed (id BLOB PRIMARY KEY, log BLOB NOT NULL) WITHOUT ROWID;`

// OpenKeys opens or makes the key database at path (mode 0600).
func OpenKeys(ctx context.Context, path string, w Wrapper) (*Keys, error) {
	if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err == nil { // SQLite would let others read it
		f.Close()
	}
	db, err := openDB(path)
	if err != nil {
		return nil, err
	}
	k := &Keys{db: db, pools: map[event.LogID]*pool{}, open: generations[keyName, Secret]{most: maxOpen},
		derivations: generations[keyName, *derived]{most: maxDerived}}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		db.Close()
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "open the key database", Msg: "the key database cannot be opened; check the file and its permissions", Err: err}
	}
	if err := k.openEpoch(ctx, w); err != nil {
		db.Close()
		return nil, fault.Wrap("open the key epoch", err)
	}
	return k, nil
}

// openDB opens the database for writing, so that what is deleted is gone.
func openDB(path string) (*sql.DB, error) {
	dsn := "file:" + path + "?_pragma=journal_mode(DELETE)&_pragma=synchronous(FULL)&_pragma=secure_delete(ON)&_pragma=busy_timeout(5000)&_pragma=temp_store(MEMORY)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fault.Wrap("open the key database", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// Close closes the database and forgets the keys in memory.
func (k *Keys) Close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.fills.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open.clear()
	k.derivations.clear()
	clear(k.pools)
	return k.db.Close()
}

// openEpoch unwraps the newest epoch's key, making the first if there is none.
func (k *Keys) openEpoch(ctx context.Context, w Wrapper) error {
	var wrapped []byte
	err := k.db.QueryRowContext(ctx, "SELECT n, wrapped FROM epoch ORDER BY n DESC LIMIT 1").Scan(&k.epoch, &wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return k.makeEpoch(ctx, w, 1)
	}
	if err != nil {
		return err
	}
	key, err := w.Unwrap(ctx, wrapped, epochAAD(k.epoch))
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Msg: "the key database was made under another root key; give the right one", Err: err}
	}
	k.kek, err = gcm(key)
	return err
}

func (k *Keys) makeEpoch(ctx context.Context, w Wrapper, n uint32) error {
	key := make([]byte, 32)
	rand.Read(key)
	wrapped, err := w.Wrap(ctx, key, epochAAD(n))
	if err != nil {
		return err
	}
	if _, err := k.db.ExecContext(ctx, "INSERT INTO epoch (n, wrapped) VALUES (?, ?)", n, wrapped); err != nil {
		return err
	}
	k.epoch = n
	k.kek, err = gcm(key)
	return err
}

func epochAAD(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte("muniment/epoch/v1"), n) }

// wrapAAD binds a wrapped key to its place, so that rows cannot be exchanged.
func (k *Keys) wrapAAD(log event.LogID, id event.KeyID) []byte {
	b := append([]byte("muniment/key/v1"), log.ID[:]...)
	return binary.BigEndian.AppendUint32(append(b, id.ID[:]...), k.epoch)
}

// Get returns a key; fault.Erased if it was destroyed, fault.NotFound if it
// was never in this database.
func (k *Keys) Get(ctx context.Context, log event.LogID, id event.KeyID) (Secret, error) {
	k.mu.Lock()
	s, ok := k.open.get(keyName{log, id})
	destroyed := k.destroyed
	k.mu.Unlock()
	if ok {
		return s, nil
	}
	s, err := k.read(ctx, log, id)
	if err != nil {
		return Secret{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if destroyed == k.destroyed { // else it may be this one
		k.open.put(keyName{log, id}, s)
	}
	return s, nil
}

// read reads and unwraps a key.
func (k *Keys) read(ctx context.Context, log event.LogID, id event.KeyID) (Secret, error) {
	var wrapped []byte
	err := k.db.QueryRowContext(ctx, "SELECT wrapped FROM subject_key WHERE id = ? AND log = ?", id.ID[:], log.ID[:]).Scan(&wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return Secret{}, k.missing(ctx, id)
	}
	if err != nil {
		return Secret{}, fault.Wrap("read a key", err)
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
	var one int
	err := k.db.QueryRowContext(ctx, "SELECT 1 FROM destroyed WHERE id = ?", id.ID[:]).Scan(&one)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fault.New(fault.NotFound, "key %s is not in this key database", id)
	case err != nil:
		return fault.Wrap("read a key's state", err)
	}
	return fault.New(fault.Erased, "the key was destroyed")
}

// Destroy destroys a key: its wrapped bytes stand in no file when it returns
// (secure_delete, and the rollback journal is removed). Repeating it, or
// destroying a key that a restored database brought back, is harmless.
func (k *Keys) Destroy(ctx context.Context, log event.LogID, ids ...event.KeyID) error {
	if err := k.destroy(ctx, log, ids); err != nil {
		return fault.Wrap("destroy a key", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.destroyed++
	for _, id := range ids {
		k.open.delete(keyName{log, id})
		k.derivations.delete(keyName{log, id})
	}
	return nil
}

func (k *Keys) destroy(ctx context.Context, log event.LogID, ids []event.KeyID) error {
	tx, err := k.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "DELETE FROM subject_key WHERE id = ?", id.ID[:]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO destroyed (id, log) VALUES (?, ?)", id.ID[:], log.ID[:]); err != nil {
			return err
		}
	}
	return tx.Commit()
}
