package seal

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/internal/postgres"
	"muniment.dev/pgdb"
	"muniment.dev/seal/kms/file"
)

// engine is a key database of one kind for a test.
type engine struct {
	where string
	root  *file.Key
	files string // folder in which its files are
	dir   string // of the test
}

// engines runs a test on a key database of each kind.
func engines(t *testing.T, f func(*testing.T, *engine)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); f(t, onSQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); f(t, onPostgres(t, postgres.Shared(t))) })
}

func onSQLite(t testing.TB) *engine {
	t.Helper()
	dir := t.TempDir()
	return &engine{where: filepath.Join(dir, "keys.db"), root: rootKey(t, dir, "root.key"), files: dir, dir: dir}
}

func onPostgres(t testing.TB, c *postgres.Cluster) *engine {
	t.Helper()
	dir := t.TempDir()
	e := &engine{where: c.NewDatabase(t), root: rootKey(t, dir, "root.key"), dir: dir}
	id, err := pgdb.IdentityOf(t.Context(), e.where, keyDatabase)
	if err != nil {
		t.Fatal(err)
	}
	e.files = filepath.Join(c.Data(), "base", strconv.FormatUint(uint64(id.Database), 10))
	return e
}

func rootKey(t testing.TB, dir, name string) *file.Key {
	t.Helper()
	root, err := file.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// open opens the database, as one node of several.
func (e *engine) open(t testing.TB) *Keys {
	t.Helper()
	k, err := OpenKeys(t.Context(), e.where, e.root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// exec changes the database past everything.
func (e *engine) exec(t testing.TB, k *Keys, sql string) {
	t.Helper()
	var err error
	switch db := k.db.(type) {
	case *sqliteKeys:
		_, err = db.db.Exec(sql)
	case *postgresKeys:
		_, err = db.db.Pool.Exec(t.Context(), strings.NewReplacer("subject_key", "muniment_keys.subject_key", "epoch", "muniment_keys.epoch", "destroyed", "muniment_keys.destroyed").Replace(sql))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wrappedOf is a key as the database holds it.
func wrappedOf(t testing.TB, k *Keys, log event.LogID, id event.KeyID) (wrapped []byte) {
	t.Helper()
	if err := k.db.get(t.Context(), log, []event.KeyID{id}, func(_ event.KeyID, w []byte) { wrapped = w }); err != nil || wrapped == nil {
		t.Fatalf("key %s is not there: %v", id, err)
	}
	return wrapped
}

// holders names the files under a folder that hold any of these.
func holders(t testing.TB, dir string, secrets ...[]byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it may be gone
		}
		b, err := os.ReadFile(path)
		for _, s := range secrets {
			if err == nil && bytes.Contains(b, s) {
				rel, _ := filepath.Rel(dir, path)
				found = append(found, rel)
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// settle has everything written to the files that it ends in.
func (e *engine) settle(t testing.TB, k *Keys) {
	t.Helper()
	if _, ok := k.db.(*postgresKeys); ok {
		e.exec(t, k, "CHECKPOINT")
	}
}
