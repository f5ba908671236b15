package pglog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/internal/postgres"
)

var roleSets atomic.Int64 // roles belong to the cluster, tests share one

// withRoles makes a database with three roles and returns the options of a
// store that uses them.
func withRoles(t *testing.T, c *postgres.Cluster) (o Options, roles Roles) {
	t.Helper()
	n := roleSets.Add(1)
	roles = Roles{fmt.Sprintf("migrate %d", n), fmt.Sprintf("serve %d", n), fmt.Sprintf("erase %d", n)}
	o = testOptions(t, c.NewDatabase(t))
	database := nameOf(t, o.DSN)
	o.Schema = "the log" // names may hold anything
	c.Exec(t, database, strings.Split(strings.TrimSpace(roles.SQL(o.Schema)), ";\n")...)
	for _, r := range []string{roles.Migrate, roles.Serve, roles.Erase} {
		c.Exec(t, database, fmt.Sprintf("ALTER ROLE %s PASSWORD 'a password of %s'", pgx.Identifier{r}.Sanitize(), r))
	}
	dsn := func(r string) string { return c.DSNOf(r, "a password of "+r, database) }
	o.DSN, o.MigrateDSN, o.EraseDSN = dsn(roles.Serve), dsn(roles.Migrate), dsn(roles.Erase)
	return o, roles
}

// No role can update or delete a leaf; only the one that erases can delete
// ciphertexts and blind tags (issue 4, 1). Each privilege is tried with the role.
func TestRoles(t *testing.T) {
	t.Parallel()
	c := postgres.Shared(t)
	o, _ := withRoles(t, c)
	s := mustOpen(t, o)
	id := event.LogID{ID: event.NewID()}
	l := openTestLog(t, s, id)
	gone, key := logtest.NewSubject(), logtest.NewKey()
	sealed := func() *event.Draft {
		return logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(gone, key, "/a"), logtest.Blind(gone, "a", logtest.RandomHash()))
	}
	if _, err := l.Append(t.Context(), logtest.Request(sealed())); err != nil {
		t.Fatal(err)
	}
	serve, migrate, erase := connectAs(t, o, o.DSN), connectAs(t, o, o.MigrateDSN), connectAs(t, o, o.EraseDSN)
	for _, c := range []struct {
		who  string
		conn *pgx.Conn
		sql  []string
	}{
		{"serve", serve, []string{
			`UPDATE record SET leaf = ''`, `DELETE FROM record`, `TRUNCATE record`, `DELETE FROM log_head`, `DROP TABLE record`,
			`ALTER TABLE record DISABLE TRIGGER ALL`, `DELETE FROM sealed_0`, `UPDATE sealed_0 SET ciphertext = ''`, `DELETE FROM blind`,
			`UPDATE blind SET position = 1`, `DELETE FROM posting`, `DELETE FROM outcome`, `UPDATE outcome SET first = 1`, `DELETE FROM tile`, `UPDATE tile SET data = ''`,
			`DELETE FROM checkpoint`, `DELETE FROM subject`, `DELETE FROM key`, `CREATE TABLE x (y int)`, `UPDATE migration SET version = 3`, `UPDATE setting SET value = ''`,
		}},
		{"erase", erase, []string{
			`SELECT leaf FROM record`, `UPDATE record SET leaf = ''`, `DELETE FROM record`, `TRUNCATE record`, `INSERT INTO record SELECT * FROM record`,
			`UPDATE log_head SET size = 1`, `DELETE FROM posting`, `DELETE FROM outcome`, `DELETE FROM key`, `DELETE FROM subject`, `UPDATE sealed_0 SET ciphertext = ''`,
			`INSERT INTO sealed_0 SELECT * FROM sealed_0`, `TRUNCATE sealed_0`, `INSERT INTO blind SELECT * FROM blind`, `DELETE FROM tile`, `SELECT value FROM cursor`,
		}},
		{"migrate", migrate, []string{`UPDATE record SET leaf = ''`, `DELETE FROM record`, `TRUNCATE record`}},
	} {
		for _, sql := range c.sql {
			_, err := c.conn.Exec(t.Context(), sql)
			var pe *pgconn.PgError
			if !errors.As(err, &pe) || pe.Code != "42501" {
				t.Errorf("%s: %s: %v, want permission denied", c.who, sql, err)
			}
		}
	}
	// Who takes the privilege back as the owner meets the trigger.
	for _, sql := range []string{`UPDATE record SET leaf = ''`, `DELETE FROM record`, `TRUNCATE record`} {
		if _, err := migrate.Exec(t.Context(), `GRANT ALL ON record TO CURRENT_USER`); err != nil {
			t.Fatal(err)
		}
		if _, err := migrate.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "records are never changed or deleted") {
			t.Errorf("the owner: %s: %v", sql, err)
		}
	}
	// And with these roles the log lives: it grows into new tables and forgets.
	if _, err := l.Append(t.Context(), logtest.Request(logtest.Erasure(gone, key))); err != nil {
		t.Fatal(err)
	}
	if err := s.growSealed(3); err != nil {
		t.Fatal(err)
	}
	if _, err := serve.Exec(t.Context(), `INSERT INTO sealed_3 SELECT * FROM sealed_0`); err != nil {
		t.Errorf("a table that was made later: %v", err)
	}
	if _, err := serve.Exec(t.Context(), `DELETE FROM sealed_3`); err == nil {
		t.Error("the one who serves deletes from a table that was made later")
	}
	if err := l.Erase(t.Context(), gone, nil); err != nil {
		t.Fatal(err)
	}
	for r, err := range s.Records(t.Context(), id, 1, 1) {
		if err != nil || r.Ciphertexts[0] != nil || len(r.Blind) != 0 {
			t.Fatalf("after the erasure: %+v, %v", r, err)
		}
	}
	if err := logtest.Check(t.Context(), s, id); err != nil {
		t.Fatal(err)
	}
	l.Close()
	s.Close()
	mustOpen(t, o) // migrating again changes nothing
	o.MigrateDSN = ""
	mustOpen(t, o) // nor is it with the one who erases named
	o.EraseDSN = ""
	mustOpen(t, o) // and is not needed by the one who serves
}

func connectAs(t *testing.T, o Options, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := o.connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeSoon(conn) })
	return conn
}

// Without roles of their own one role does all, and still no leaf is changed.
func TestOneRole(t *testing.T) {
	t.Parallel()
	c := postgres.Shared(t)
	name := fmt.Sprintf("alone_%d", roleSets.Add(1))
	o := testOptions(t, c.NewDatabase(t))
	database := nameOf(t, o.DSN)
	c.Exec(t, "", `CREATE ROLE `+name+` LOGIN PASSWORD 'p'`, `GRANT CREATE ON DATABASE `+database+` TO `+name)
	o.DSN = c.DSNOf(name, "p", database)
	s := mustOpen(t, o)
	id := event.LogID{ID: event.NewID()}
	l := openTestLog(t, s, id)
	gone, key := logtest.NewSubject(), logtest.NewKey()
	for _, d := range []*event.Draft{logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(gone, key, "/a")), logtest.Erasure(gone, key)} {
		if _, err := l.Append(t.Context(), logtest.Request(d)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Erase(t.Context(), gone, nil); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`UPDATE record SET leaf = ''`, `DELETE FROM record`, `TRUNCATE record`} {
		if _, err := s.writes.Exec(context.Background(), sql); err == nil {
			t.Errorf("%s: done", sql)
		}
	}
	var _ eventlog.Store = s
}
