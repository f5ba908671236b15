package pglog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"muniment.dev/internal/postgres"
)

// advised is all advice, one line each.
func advised(t *testing.T, o Options, off time.Duration) string {
	t.Helper()
	all, err := advise(t.Context(), o, func() time.Time { return time.Now().Add(off) })
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, a := range all {
		if a.Is == "" || a.Do == "" {
			t.Errorf("%+v", a)
		}
		fmt.Fprintf(&b, "%v %s\n", a.Serious, a.Is)
	}
	return b.String()
}

// What bites operators of the database is said; of what is as it should be,
// nothing (issue 4, 4).
func TestAdvise(t *testing.T) {
	t.Parallel()
	c := postgres.Start(t, postgres.Options{Settings: map[string]string{"wal_recycle": "off", "wal_keep_size": "0", "max_prepared_transactions": "2"}})
	o, roles := withRoles(t, c)
	database := nameOf(t, o.DSN)
	if all := advised(t, o, 0); !strings.Contains(all, "tables are not in this database") {
		t.Errorf("an empty database: %s", all)
	}
	mustOpen(t, o)
	if all := advised(t, o, 0); all != "" {
		t.Fatalf("a careful server: %s", all)
	}
	alone := o
	alone.EraseDSN = ""
	owner := o
	owner.DSN, owner.EraseDSN = o.MigrateDSN, ""
	wrong := o
	wrong.EraseDSN = strings.Replace(o.EraseDSN, "password", "passphrase", 1)
	several := o
	several.DSN = strings.Replace(o.DSN, fmt.Sprintf("127.0.0.1:%d", c.Port), fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", c.Port, closedPort(t)), 1)
	super := o
	super.DSN = c.DSN(database)
	alter := func(sql ...string) func() { return func() { c.Exec(t, database, sql...) } }
	set := func(name, value string) func() { return func() { c.Set(t, name, value) } }
	for _, x := range []struct {
		o          Options
		off        time.Duration
		begin, end func()
		want       string
	}{
		{o: alone, want: "true the role that serves may not delete ciphertexts"},
		{o: owner, want: "false the role that serves owns the tables"},
		{o: wrong, want: "true the role that erases cannot be used"},
		{o: several, want: "true the address names several servers"},
		{o: super, want: "true the role that serves may change or delete records"},
		{o: o, off: time.Minute, want: "true the clock of the database is 1m0s off ours"},
		{o: o, off: -10 * time.Second, want: "false the clock of the database is 10s off ours"},
		{o: o, begin: set("fsync", "off"), end: set("fsync", ""), want: "true fsync is off"},
		{o: o, begin: set("full_page_writes", "off"), end: set("full_page_writes", ""), want: "true full_page_writes is off"},
		{o: o, begin: set("synchronous_commit", "off"), end: set("synchronous_commit", ""), want: "false synchronous_commit is off"},
		{o: o, begin: set("wal_recycle", "on"), end: set("wal_recycle", ""), want: "false the log's database uses files"},
		{o: o, begin: set("wal_keep_size", "'64MB'"), end: set("wal_keep_size", ""), want: "false the log's database keeps write-ahead log"},
		{o: o, begin: set("log_statement", "'all'"), end: set("log_statement", ""), want: "true the log's database writes statements"},
		{o: o, begin: set("log_min_duration_statement", "1000"), end: set("log_min_duration_statement", ""), want: "true the log's database writes parameters"},
		{o: o, begin: alter(`ALTER TABLE "the log".record DISABLE TRIGGER record_is_kept`), end: alter(`ALTER TABLE "the log".record ENABLE TRIGGER record_is_kept`), want: "true the trigger"},
		{o: o, begin: alter(`GRANT DELETE ON "the log".sealed_0 TO "` + roles.Serve + `"`), end: alter(`REVOKE DELETE ON "the log".sealed_0 FROM "` + roles.Serve + `"`), want: "false the role that serves may delete ciphertexts"},
		{o: o, begin: alter(`REVOKE pg_checkpoint FROM "` + roles.Erase + `"`), end: alter(`GRANT pg_checkpoint TO "` + roles.Erase + `"`), want: "false the role that erases may not have PostgreSQL write a checkpoint"},
		{o: o, begin: alter(`REVOKE EXECUTE ON FUNCTION pg_switch_wal() FROM "` + roles.Serve + `"`), end: alter(`GRANT EXECUTE ON FUNCTION pg_switch_wal() TO "` + roles.Serve + `"`), want: "false the role that serves may not have PostgreSQL write a checkpoint"},
		{o: o, begin: alter(`DROP INDEX "the log".record_actor`, `ALTER TABLE "the log".sealed_0 DROP CONSTRAINT sealed_0_pkey`),
			end: alter(`CREATE INDEX record_actor ON "the log".record (log, actor, position)`, `ALTER TABLE "the log".sealed_0 ADD PRIMARY KEY (log, position, block)`), want: "true indexes are missing: record_actor"},
		{o: o, begin: alter(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = '"the log".record_type'::regclass`),
			end: alter(`UPDATE pg_index SET indisvalid = true WHERE indexrelid = '"the log".record_type'::regclass`), want: "true indexes are invalid: record_type"},
		{o: o, begin: alter(`INSERT INTO "the log".scrub VALUES ('sealed_0', gen_random_uuid())`), end: alter(`DELETE FROM "the log".scrub`), want: "true bytes of somebody who was erased"},
		{o: o, begin: alter(`BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'forgotten'`), end: alter(`ROLLBACK PREPARED 'forgotten'`), want: "false there are prepared transactions"},
		{o: o, begin: alter(`SELECT pg_create_physical_replication_slot('forgotten', true)`), end: alter(`SELECT pg_drop_replication_slot('forgotten')`), want: "false a replication slot that nobody uses"},
	} {
		name, _, _ := strings.Cut(x.want, ":")
		t.Run(name, func(t *testing.T) {
			if x.begin != nil {
				x.begin()
			}
			deadline := time.Now().Add(time.Minute) // settings take effect in their own time
			for all := ""; ; {
				if all = advised(t, x.o, x.off); strings.Contains(all, x.want) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("no word of it in:\n%s", all)
				}
			}
			if x.end != nil {
				x.end()
			}
		})
	}
	for end := time.Now().Add(time.Minute); ; {
		all := advised(t, o, 0)
		if all == "" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("afterwards: %s", all)
		}
	}
	c.Standby(t, "s1")
	if all := advised(t, o, 0); !strings.Contains(all, "true there are standbys, and no commit waits for one") {
		t.Errorf("a standby that nothing waits for: %s", all)
	}
}
