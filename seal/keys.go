package seal

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
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

// poolSize is how many keys one durable batch makes ahead.
const poolSize = 256

// maxOpen bounds the unwrapped keys kept in memory.
const maxOpen = 8192

// Keys is the store of subject keys: a SQLite database of its own, each key
// wrapped by the epoch's key, which the Wrapper wraps. A key is in one of
// three states for ever after: never made, there, or destroyed.
type Keys struct {
	db    *sql.DB
	epoch uint32
	kek   cipher.AEAD

	mu   sync.Mutex
	pool map[event.LogID][]subjectKey // made durable, not yet drawn
	open map[event.KeyID]Secret
}

const schema = `
CREATE TABLE IF NOT EXISTS epoch (n INTEGER PRIMARY KEY, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS subject_key (id BLOB PRIMARY KEY, log BLOB NOT NULL, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS destroyed (id BLOB PRIMARY KEY, log BLOB NOT NULL) WITHOUT ROWID;`

// OpenKeys opens or makes the key database at path (mode 0600).
func OpenKeys(ctx context.Context, path string, w Wrapper) (*Keys, error) {
	dsn := "file:" + path + "?_pragma=journal_mode(DELETE)&_pragma=synchronous(FULL)&_pragma=secure_delete(ON)&_pragma=busy_timeout(5000)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fault.Wrap("open the key database", err)
	}
	db.SetMaxOpenConns(1)
	k := &Keys{db: db, pool: map[event.LogID][]subjectKey{}, open: map[event.KeyID]Secret{}}
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

// Close closes the database and forgets the keys in memory.
func (k *Keys) Close() error {
	k.mu.Lock()
	clear(k.open)
	clear(k.pool)
	k.mu.Unlock()
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

// Draw returns a fresh key of a log. Keys are made durable in batches before
// the first of them is handed out; a drawn key never returns to the pool.
func (k *Keys) Draw(ctx context.Context, log event.LogID) (event.KeyID, Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pool[log]) == 0 {
		if err := k.fill(ctx, log); err != nil {
			return event.KeyID{}, Secret{}, fault.Wrap("make keys", err)
		}
	}
	pool := k.pool[log]
	sk := pool[len(pool)-1]
	k.pool[log] = pool[:len(pool)-1]
	k.remember(sk.id, sk.k)
	return sk.id, sk.k, nil
}

func (k *Keys) remember(id event.KeyID, s Secret) {
	if len(k.open) >= maxOpen {
		clear(k.open)
	}
	k.open[id] = s
}

func (k *Keys) fill(ctx context.Context, log event.LogID) error {
	tx, err := k.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var made []subjectKey
	for range poolSize {
		sk := subjectKey{id: event.KeyID{ID: event.NewID()}}
		rand.Read(sk.k[:])
		wrapped := make([]byte, k.kek.NonceSize())
		rand.Read(wrapped)
		wrapped = k.kek.Seal(wrapped, wrapped, sk.k[:], k.wrapAAD(log, sk.id))
		if _, err := tx.ExecContext(ctx, "INSERT INTO subject_key (id, log, epoch, wrapped) VALUES (?, ?, ?, ?)", sk.id.ID[:], log.ID[:], k.epoch, wrapped); err != nil {
			return err
		}
		made = append(made, sk)
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	k.pool[log] = made
	return nil
}

// Get returns a key; fault.Erased if it was destroyed, fault.NotFound if it
// was never in this database.
func (k *Keys) Get(ctx context.Context, log event.LogID, id event.KeyID) (Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.open[id]; ok {
		return s, nil
	}
	var wrapped []byte
	err := k.db.QueryRowContext(ctx, "SELECT wrapped FROM subject_key WHERE id = ? AND log = ?", id.ID[:], log.ID[:]).Scan(&wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return Secret{}, k.missing(ctx, id)
	}
	if err != nil {
		return Secret{}, fault.Wrap("read a key", err)
	}
	n := k.kek.NonceSize()
	if len(wrapped) < n {
		return Secret{}, fault.New(fault.Corrupt, "key %s is damaged", id)
	}
	b, err := k.kek.Open(nil, wrapped[:n], wrapped[n:], k.wrapAAD(log, id))
	if err != nil || len(b) != 32 {
		return Secret{}, fault.New(fault.Corrupt, "key %s does not unwrap", id)
	}
	k.remember(id, Secret(b))
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
	k.mu.Lock()
	defer k.mu.Unlock()
	tx, err := k.db.BeginTx(ctx, nil)
	if err != nil {
		return fault.Wrap("destroy a key", err)
	}
	defer tx.Rollback()
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "DELETE FROM subject_key WHERE id = ?", id.ID[:]); err != nil {
			return fault.Wrap("destroy a key", err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO destroyed (id, log) VALUES (?, ?)", id.ID[:], log.ID[:]); err != nil {
			return fault.Wrap("destroy a key", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fault.Wrap("destroy a key", err)
	}
	for _, id := range ids {
		delete(k.open, id)
	}
	return nil
}
