package seal

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
)

// On a server that keeps nothing for others, destroyed keys stand in no file of
// the whole cluster: tables, catalogue, write-ahead log.
func TestDestroyedInNoFileOfTheCluster(t *testing.T) {
	t.Parallel()
	versions := postgres.Versions()
	if len(versions) == 0 {
		versions = []int{postgres.V15} // says what is missing
	}
	for _, v := range versions {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			t.Parallel()
			c := postgres.Start(t, postgres.Options{Version: v, Settings: map[string]string{"wal_recycle": "off", "wal_keep_size": "0", "log_statement": "'none'"}})
			e := onPostgres(t, c)
			k := e.open(t)
			log := event.LogID{ID: event.NewID()}
			var gone []event.KeyID
			var wrapped [][]byte
			for i := range 700 {
				id, _, err := k.Draw(t.Context(), log)
				if err != nil {
					t.Fatal(err)
				}
				if i%100 == 0 {
					gone, wrapped = append(gone, id), append(wrapped, wrappedOf(t, k, log, id)[12:])
				}
			}
			e.exec(t, k, "ANALYZE subject_key") // which samples rows into the catalogue
			e.settle(t, k)
			if found := holders(t, c.Data(), wrapped...); len(found) < 2 || !strings.Contains(strings.Join(found, " "), "pg_wal") {
				t.Fatalf("before, the search finds them in %v only", found)
			}
			if err := k.Destroy(t.Context(), log, gone...); err != nil {
				t.Fatal(err)
			}
			if found := holders(t, c.Data(), wrapped...); found != nil {
				t.Errorf("destroyed keys are still in %v", found)
			}
		})
	}
}

// An open transaction that still sees a deleted key keeps its bytes in the
// table. Destroy says so instead of being content, and the next one, by any
// node, finishes.
func TestDestroyUnderAnOldTransaction(t *testing.T) {
	t.Parallel()
	e := onPostgres(t, postgres.Shared(t))
	k, other := e.open(t), e.open(t)
	log := event.LogID{ID: event.NewID()}
	id, _, err := k.Draw(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	wrapped := wrappedOf(t, k, log, id)[12:]
	dump := postgres.Connect(t, e.where)
	if _, err := dump.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM muniment_keys.epoch"); err != nil {
		t.Fatal(err)
	}
	if err := k.Destroy(t.Context(), log, id); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "older") {
		t.Fatalf("was content: %v", err)
	}
	if _, err := other.Get(t.Context(), log, id); !fault.Is(err, fault.Erased) {
		t.Errorf("the key is there still: %v", err)
	}
	if _, err := dump.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := other.Destroy(t.Context(), log, id); err != nil {
		t.Fatal(err)
	}
	if found := holders(t, e.files, wrapped); found != nil {
		t.Errorf("the key is still in %v", found)
	}
}

// as is an address with another user.
func as(t *testing.T, dsn, user string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, postgres.Password)
	return u.String()
}

// The role that serves draws, reads and destroys, and can neither change nor
// empty the tables. Before the owner has migrated it is told who has to.
func TestServingRole(t *testing.T) {
	t.Parallel()
	c := postgres.Shared(t)
	e := onPostgres(t, c)
	owner := e.where
	database := owner[strings.LastIndex(owner, "/")+1 : strings.Index(owner, "?")]
	role := "serve_" + database
	c.Exec(t, database, "CREATE ROLE "+role+" LOGIN PASSWORD '"+postgres.Password+"'")
	t.Cleanup(func() {
		c.Exec(t, database, "DROP OWNED BY "+role, "DROP ROLE "+role)
	})
	e.where = as(t, owner, role)
	if _, err := OpenKeys(t.Context(), e.where, e.root); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "owner") {
		t.Fatalf("before there are tables: %v", err)
	}
	if err := MigrateKeys(t.Context(), owner, "nobody_"+database); !fault.Is(err, fault.NotFound) {
		t.Errorf("a role that is not there: %v", err)
	}
	if err := MigrateKeys(t.Context(), owner, role); err != nil {
		t.Fatal(err)
	}
	k := e.open(t)
	log := event.LogID{ID: event.NewID()}
	id, _, err := k.Draw(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	wrapped := wrappedOf(t, k, log, id)
	if err := k.Destroy(t.Context(), log, id); err != nil {
		t.Fatal(err)
	}
	c.Exec(t, "", "CHECKPOINT")
	if found := holders(t, e.files, wrapped); found != nil {
		t.Errorf("the key is still in %v", found)
	}
	if all := advised(t, e.where); !strings.Contains(all, "checkpoint") || strings.Contains(all, "owns the tables") {
		t.Errorf("advice for the serving role: %s", all)
	}
	conn := postgres.Connect(t, e.where)
	for _, forbidden := range []string{"TRUNCATE muniment_keys.subject_key", "ALTER TABLE muniment_keys.epoch ADD x int", "DROP TABLE muniment_keys.destroyed",
		"UPDATE muniment_keys.subject_key SET wrapped = ''", "DELETE FROM muniment_keys.epoch", "DELETE FROM muniment_keys.destroyed", "DELETE FROM muniment_keys.rewrite", "CREATE TABLE muniment_keys.x ()"} {
		if _, err := conn.Exec(t.Context(), forbidden); err == nil {
			t.Errorf("the serving role may %s", forbidden)
		}
	}
	if _, _, err := Count(t.Context(), e.where); err != nil {
		t.Error(err)
	}
}

// advised is all advice on a place, one line each.
func advised(t *testing.T, where string) string {
	t.Helper()
	all, err := Advise(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, "%v %s: %s\n", a.Serious, a.Is, a.Do)
	}
	return b.String()
}

// What keeps destroyed keys for longer, or lets others at them, is said; of what
// is as it should be, nothing.
func TestAdvise(t *testing.T) {
	t.Parallel()
	file := onSQLite(t)
	file.open(t)
	os.Chmod(file.dir, 0o700)
	if all := advised(t, file.where); all != "" {
		t.Errorf("a file that is only ours: %s", all)
	}
	os.Chmod(file.where, 0o644)
	if all := advised(t, file.where); all != "true "+file.where+" has mode 0644: others can read the keys: chmod 600 "+file.where+"\n" {
		t.Errorf("a file that others can read: %s", all)
	}
	c := postgres.Start(t, postgres.Options{Settings: map[string]string{"wal_recycle": "off", "wal_keep_size": "0"}})
	e := onPostgres(t, c)
	e.open(t)
	if all := advised(t, e.where); strings.Count(all, "\n") != 1 || !strings.Contains(all, "owns the tables") {
		t.Errorf("a careful server: %s", all)
	}
	for name, value := range map[string]string{"wal_recycle": "on", "log_statement": "'all'", "full_page_writes": "off"} {
		c.Set(t, name, value)
	}
	c.Exec(t, "", "SELECT pg_create_physical_replication_slot('forgotten', true)")
	e.open(t)
	all := advised(t, e.where)
	for _, want := range []string{"false the key database uses files", "true the key database writes statements", "true full_page_writes", "false a replication slot"} {
		if !strings.Contains(all, want) {
			t.Errorf("no word of %q in:\n%s", want, all)
		}
	}
}

// What keeps a database from being used is named, and nothing is touched.
func TestForeignDatabase(t *testing.T) {
	t.Parallel()
	c := postgres.Shared(t)
	e := onPostgres(t, c)
	open := func(dsn string) error {
		_, err := OpenKeys(t.Context(), dsn, e.root)
		return err
	}
	const private = "user:a-secret"
	for dsn, want := range map[string]fault.Kind{
		"postgres://": fault.Unavailable,
		"postgres://" + private + "@127.0.0.1:bad":              fault.Invalid,
		"postgres://" + private + "@127.0.0.1:1/x":              fault.Unavailable,
		strings.Replace(e.where, postgres.Password, "wrong", 1): fault.Unavailable,
		c.DSN("no_such_database"):                               fault.Unavailable,
	} {
		err := open(dsn)
		if !fault.Is(err, want) || strings.Contains(fmt.Sprint(err), "a-secret") || strings.Contains(fmt.Sprint(err), postgres.Password) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	if _, _, err := Count(t.Context(), e.where); !fault.Is(err, fault.NotFound) {
		t.Errorf("an empty database: %v", err)
	}
	db := postgres.Connect(t, e.where)
	run := func(sql string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE shopping (list text)")
	if err := open(e.where); !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "something else") {
		t.Errorf("a database of something else: %v", err)
	}
	var schemas int
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'muniment%'").Scan(&schemas); err != nil || schemas != 0 {
		t.Errorf("%d schemas were made in it: %v", schemas, err)
	}
	run("DROP TABLE shopping")
	e.open(t).Close()
	run("UPDATE muniment_keys.about SET version = 99")
	if err := open(e.where); !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a later version: %v", err)
	}
	run("UPDATE muniment_keys.about SET version = 1")
	run("ALTER DATABASE " + e.where[strings.LastIndex(e.where, "/")+1:strings.Index(e.where, "?")] + " SET default_transaction_read_only = on")
	if err := open(e.where); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "primary") {
		t.Errorf("read-only: %v", err)
	}
}

// The key database may not be the log's.
func TestApart(t *testing.T) {
	t.Parallel()
	c := postgres.Shared(t)
	a, b := c.NewDatabase(t), c.NewDatabase(t)
	if _, err := Apart(t.Context(), a, strings.Replace(a, "127.0.0.1", "localhost", 1)); !fault.Is(err, fault.Refused) {
		t.Errorf("the same database: %v", err)
	}
	if same, err := Apart(t.Context(), a, b); !same || err != nil {
		t.Errorf("two of one cluster: %v %v", same, err)
	}
	if same, err := Apart(t.Context(), a, "/var/lib/muniment/log"); same || err != nil {
		t.Errorf("a file: %v %v", same, err)
	}
}

// While commits wait for a standby that is not there, drawing says that it
// cannot be told, nothing hangs, and no key of such a batch is handed out.
func TestDrawWithoutStandby(t *testing.T) {
	t.Parallel()
	c := postgres.Start(t, postgres.Options{})
	e := onPostgres(t, c)
	k := e.open(t)
	c.WithoutStandby(t)
	ctx, cancel := context.WithCancel(t.Context())
	log := event.LogID{ID: event.NewID()}
	drawn := func(ctx context.Context) <-chan error {
		ended := make(chan error, 1)
		go func() { _, _, err := k.Draw(ctx, log); ended <- err }()
		c.Await(t, "", "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')")
		return ended
	}
	ended := drawn(ctx)
	cancel()
	if err := <-ended; !fault.Is(err, fault.Unavailable) {
		t.Fatalf("drew a key that is not replicated: %v", err)
	}
	ended = drawn(t.Context())
	c.CancelCommit(t)
	if err := <-ended; !fault.Is(err, fault.Unknown) {
		t.Fatalf("a commit that was cancelled: %v", err)
	}
	c.WithStandby(t)
	if _, _, err := k.Draw(t.Context(), log); err != nil {
		t.Fatalf("it does not recover: %v", err)
	}
}
