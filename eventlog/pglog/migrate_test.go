package pglog

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"muniment.dev/event"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/internal/postgres"
	"muniment.dev/pgdb"
)

// fresh is a schema of its own in a database, with a connection that finds it.
func fresh(t *testing.T) (o Options, exec func(sql ...string)) {
	t.Helper()
	o = testOptions(t, postgres.Shared(t).NewDatabase(t))
	o.Schema = newSchema()
	return o, func(sql ...string) {
		t.Helper()
		conn := connectAs(t, o, o.DSN)
		for _, q := range sql {
			if _, err := conn.Exec(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
}

// Each version is told of while it is made, once; nodes that start at once do
// not disturb each other.
func TestMigrate(t *testing.T) {
	t.Parallel()
	o, _ := fresh(t)
	var mu sync.Mutex
	var made []int
	o.Progress = func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if p.Of != Version {
			t.Errorf("progress: %+v", p)
		}
		if p.Done {
			made = append(made, p.Version)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := Migrate(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if want := []int{1, 2}; !slices.Equal(made, want) {
		t.Errorf("versions %v were made, want %v", made, want)
	}
}

// What is not ours, or not of our time, is refused by name and left alone.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before []string
		own    bool // the schema is made by us first
		says   string
	}{
		"something else":    {[]string{`CREATE SCHEMA {}`, `CREATE TABLE {}.users (id int)`}, false, "belongs to something else"},
		"another migration": {[]string{`CREATE SCHEMA {}`, `CREATE TABLE {}.migration (id int)`}, false, "belongs to something else"},
		"functions only":    {[]string{`CREATE SCHEMA {}`, `CREATE FUNCTION {}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`}, false, "belongs to something else"},
		"newer":             {[]string{`INSERT INTO {}.migration VALUES (3, 'x', now(), now())`}, true, "has version 3 of the schema, and this program knows 2"},
		"of another build":  {[]string{`UPDATE {}.migration SET digest = 'x' WHERE version = 1`}, true, "version 1 of the schema was made by a program that differs"},
		"a version missing": {[]string{`DELETE FROM {}.migration WHERE version = 1`}, true, "lacks version 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, exec := fresh(t)
			if c.own {
				if err := Migrate(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			for _, sql := range c.before {
				exec(strings.ReplaceAll(sql, "{}", o.Schema))
			}
			before := catalog(t, o)
			_, err := Open(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("open: %v, want %q", err, c.says)
			}
			if after := catalog(t, o); after != before {
				t.Errorf("it was changed:\n%s\n%s", before, after)
			}
		})
	}
}

// catalog is what there is in the schema.
func catalog(t *testing.T, o Options) string {
	t.Helper()
	var all string
	err := connectAs(t, o, o.DSN).QueryRow(t.Context(), `SELECT coalesce(string_agg(c.relname || ':' || coalesce(a.attname, ''), ' ' ORDER BY c.relname, a.attnum), '')
		FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = to_regnamespace($1)`, o.Schema).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A migration that was begun and came to no end is finished by the next start.
func TestMigrateResumes(t *testing.T) {
	t.Parallel()
	o, exec := fresh(t)
	if err := Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	exec(`DROP FUNCTION sealed_grow(integer), sealed_grant(text)`, `DROP TABLE sealed_0, sealed_1`, `UPDATE migration SET done = NULL WHERE version = 2`)
	resumed := false
	o.Progress = func(p Progress) { resumed = resumed || p.Resumed && p.Version == 2 }
	s := mustOpen(t, o)
	if !resumed {
		t.Error("nobody was told that it is finished")
	}
	l := openTestLog(t, s, event.LogID{ID: event.NewID()})
	if _, err := l.Append(t.Context(), logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted"))); err != nil {
		t.Fatal(err)
	}
}

// An empty schema that somebody made for us is used.
func TestMigrateEmptySchema(t *testing.T) {
	t.Parallel()
	o, exec := fresh(t)
	exec(`CREATE SCHEMA ` + o.Schema)
	mustOpen(t, o)
}

// Servers older than 15 are refused by name.
func TestVersion(t *testing.T) {
	for version, refused := range map[string]bool{"14.22 (Debian 14.22-1)": true, "9.6.24": true, "15.18": false, "18.4": false, "19beta1": false} {
		if pgdb.TooOld(version) != refused {
			t.Errorf("version %s: too old is %v", version, !refused)
		}
	}
}
