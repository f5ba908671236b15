package pglog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// logDatabase is what advice calls it.
const logDatabase = "log's database"

// logSettings are those that decide what PostgreSQL keeps of who was erased, and
// where else it writes it.
var logSettings = []pgdb.Setting{
	{Name: "wal_recycle", Good: "off", Advice: pgdb.Advice{Is: "the log's database uses files of its write-ahead log again: what was erased stays in them until they are written over", Do: "Set wal_recycle = off."}},
	{Name: "wal_keep_size", Good: "0", Advice: pgdb.Advice{Is: "the log's database keeps write-ahead log for standbys: what was erased stays in it", Do: "Set wal_keep_size = 0; let standbys use replication slots, bounded by max_slot_wal_keep_size."}},
	{Name: "log_statement", Good: "none ddl", Advice: pgdb.Advice{Serious: true, Is: "the log's database writes statements into its own log: ciphertexts and blind tags of people among them, where no erasure finds them", Do: "Set log_statement = none or ddl."}},
	{Name: "data_checksums", Good: "on", Advice: pgdb.Advice{Is: "the log's database does not notice pages that its disk damaged; muniment verify does, when it is run", Do: "Stop PostgreSQL and run pg_checksums --enable."}},
}

// question is a query that gives true if something is as it should not be.
type question struct {
	bad string
	pgdb.Advice
}

// questions are about what must be so whatever the settings.
var questions = []question{
	{`SELECT current_setting('log_parameter_max_length_on_error') <> '0' OR current_setting('log_parameter_max_length') <> '0' AND
		(current_setting('log_min_duration_statement') <> '-1' OR current_setting('log_min_duration_sample') <> '-1' OR current_setting('log_transaction_sample_rate')::float > 0)`,
		pgdb.Advice{Serious: true, Is: "the log's database writes parameters of statements into its own log: ciphertexts and blind tags of people among them, where no erasure finds them", Do: "Set log_parameter_max_length = 0 and log_parameter_max_length_on_error = 0."}},
	{`SELECT current_setting('synchronous_standby_names') = '' AND EXISTS (SELECT FROM pg_stat_replication)`,
		pgdb.Advice{Serious: true, Is: "there are standbys, and no commit waits for one (synchronous_standby_names is empty): a fail-over loses what was acknowledged last", Do: "Set synchronous_standby_names = 'ANY 1 (s1, s2)', with the names of the standbys."}},
	{`SELECT NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'record'::regclass AND tgname = 'record_is_kept' AND tgenabled IN ('O', 'A'))`,
		pgdb.Advice{Serious: true, Is: "the trigger that keeps records from being changed or deleted is gone or disabled", Do: "Find out who did that, and run muniment verify. ALTER TABLE muniment.record ENABLE TRIGGER record_is_kept, or make it again as the first migration does."}},
	{`SELECT has_table_privilege('record', 'UPDATE') OR has_table_privilege('record', 'DELETE') OR has_table_privilege('record', 'TRUNCATE')`,
		pgdb.Advice{Serious: true, Is: "the role that serves may change or delete records; only a trigger keeps it from that", Do: "REVOKE UPDATE, DELETE, TRUNCATE ON muniment.record FROM it; a superuser has every right, so serve with another role."}},
	{`SELECT pg_has_role((SELECT relowner FROM pg_class WHERE oid = 'record'::regclass), 'USAGE')`,
		pgdb.Advice{Is: "the role that serves owns the tables: a program that was taken over could take the trigger away and change the past", Do: "Use three roles: docs/how-to/postgresql.md."}},
	{`SELECT has_table_privilege('sealed_0', 'DELETE') AND NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = 'record'::regclass), 'USAGE')`,
		pgdb.Advice{Is: "the role that serves may delete ciphertexts", Do: "REVOKE DELETE on the tables sealed_... FROM it, and name a role that erases (database-erase)."}},
	{`SELECT NOT (pg_has_role('pg_checkpoint', 'USAGE') AND has_function_privilege('pg_switch_wal()', 'EXECUTE'))`,
		pgdb.Advice{Is: "the role that serves may not have PostgreSQL write a checkpoint: if views stand in this database, what they said of somebody who was erased stays in the write-ahead log until PostgreSQL writes one by itself", Do: "GRANT pg_checkpoint TO it, and GRANT EXECUTE ON FUNCTION pg_switch_wal() TO it."}},
	{`SELECT EXISTS (SELECT FROM scrub)`,
		pgdb.Advice{Serious: true, Is: "bytes of somebody who was erased are still in files of the log's database", Do: "Look for transactions that have been open for long (pg_stat_activity), such as a dump, and for standbys with hot_standby_feedback; the erasure goes on by itself."}},
	{`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_xmin IS NOT NULL AND clock_timestamp() - xact_start > interval '10 minutes')`,
		pgdb.Advice{Is: "a transaction has been open for more than ten minutes: while it lasts no erasure is complete", Do: "SELECT pid, usename, xact_start, query FROM pg_stat_activity ORDER BY xact_start; end it if nobody needs it."}},
	{`SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())`,
		pgdb.Advice{Is: "there are prepared transactions, which nothing of Muniment makes: while they last no erasure is complete", Do: "Look at pg_prepared_xacts, then COMMIT PREPARED or ROLLBACK PREPARED."}},
	{`SELECT EXISTS (SELECT FROM pg_replication_slots WHERE xmin IS NOT NULL AND slot_type = 'physical') OR EXISTS (SELECT FROM pg_stat_replication WHERE backend_xmin IS NOT NULL)`,
		pgdb.Advice{Is: "a standby has hot_standby_feedback on: a long query on it keeps erasures from being complete", Do: "Set hot_standby_feedback = off on the standbys."}},
	{`SELECT EXISTS (SELECT FROM pg_replication_slots WHERE NOT active)`,
		pgdb.Advice{Is: "a replication slot that nobody uses keeps the write-ahead log for ever: what was erased stays in it, and the disk fills up", Do: "Drop it: SELECT pg_drop_replication_slot(name)."}},
}

// Advise says what an operator should know about the database that a store with
// these options would use. It changes nothing. What other roles do it sees as far
// as the role that serves may see it.
func Advise(ctx context.Context, o Options) ([]pgdb.Advice, error) { return advise(ctx, o, time.Now) }

func advise(ctx context.Context, o Options, now func() time.Time) ([]pgdb.Advice, error) {
	o.defaults()
	conn, err := o.connect(ctx, o.DSN)
	if err != nil {
		return nil, err
	}
	defer closeSoon(conn)
	db, err := pgdb.Open(ctx, o.DSN, logDatabase)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	out, err := db.Advise(ctx, logSettings...)
	if err != nil {
		return nil, err
	}
	d := &diagnosis{conn: conn, opts: &o, out: out}
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('record') IS NOT NULL`).Scan(&there); err != nil {
		return nil, readFault("look for the tables", err)
	}
	if !there {
		d.say(true, "Muniment's tables are not in this database, or the role that serves may not see them", "Start the server, which makes them, or see docs/how-to/postgresql.md for the roles.")
		return d.out, nil
	}
	for _, look := range []func(context.Context) error{d.ask, d.commits, d.indexes, d.roles} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	return d.out, d.clock(ctx, now)
}

// diagnosis collects advice over one connection, which is made as those of a
// store are.
type diagnosis struct {
	conn *pgx.Conn
	opts *Options
	out  []pgdb.Advice
}

func (d *diagnosis) say(serious bool, is, do string) {
	d.out = append(d.out, pgdb.Advice{Serious: serious, Is: is, Do: do})
}

func (d *diagnosis) ask(ctx context.Context) error {
	for _, q := range questions {
		var bad *bool
		if err := d.conn.QueryRow(ctx, q.bad).Scan(&bad); err != nil {
			return readFault("look at the database", err)
		}
		if bad != nil && *bad {
			d.out = append(d.out, q.Advice)
		}
	}
	return nil
}

// commits looks at what decides whether something that was acknowledged is kept.
func (d *diagnosis) commits(ctx context.Context) error {
	var commit, standbys string
	if err := d.conn.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names')`).Scan(&commit, &standbys); err != nil {
		return readFault("look at the settings", err)
	}
	if commit == "off" {
		d.say(false, "synchronous_commit is off: what Muniment appends is safe, as it asks for more itself; what others keep in this PostgreSQL is not", "Set synchronous_commit = on.")
	}
	hosts := map[string]bool{}
	c := d.conn.Config()
	hosts[fmt.Sprint(c.Host, c.Port)] = true
	for _, f := range c.Fallbacks { // there is one for each host, and for TLS or not
		hosts[fmt.Sprint(f.Host, f.Port)] = true
	}
	if standbys == "" && len(hosts) > 1 {
		d.say(true, "the address names several servers, and no commit waits for a standby (synchronous_standby_names is empty): a fail-over loses what was acknowledged last", "Set synchronous_standby_names = 'ANY 1 (s1, s2)', with the names of the standbys, on each of them.")
	}
	return nil
}

// indexed are the indexes that migrating makes.
const indexed = "log_head_pkey log_head_id_key standing_pkey record_pkey record_log_id_key record_log_stream_version_key record_type record_actor posting_pkey " +
	"blind_8_pkey blind_9_pkey blind_a_pkey blind_b_pkey blind_c_pkey blind_d_pkey blind_e_pkey blind_f_pkey " +
	"scrub_pkey outcome_pkey subject_pkey key_pkey tile_pkey checkpoint_pkey cursor_pkey node_pkey"

// indexes looks for those that are missing or invalid.
func (d *diagnosis) indexes(ctx context.Context) error {
	const query = `SELECT
		coalesce((SELECT string_agg(x, ', ') FROM unnest($1::text[]) x WHERE to_regclass(x) IS NULL), '') || coalesce((SELECT string_agg('that of ' || relname, ', ') FROM pg_class c
			WHERE relnamespace = to_regnamespace($2) AND relkind = 'r' AND relname ~ '^sealed_[0-9]+$' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND indisprimary)), ''),
		coalesce((SELECT string_agg(i.indexrelid::regclass::text, ', ') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
			WHERE c.relnamespace = to_regnamespace($2) AND NOT (indisvalid AND indisready)), '')`
	var missing, invalid string
	if err := d.conn.QueryRow(ctx, query, strings.Fields(indexed), pgx.Identifier{d.opts.Schema}.Sanitize()).Scan(&missing, &invalid); err != nil {
		return readFault("look at the indexes", err)
	}
	if missing != "" {
		d.say(true, "indexes are missing: "+missing+"; each append and read goes through whole tables, and nothing keeps a record from being there twice", "Make them again as the migrations do (eventlog/pglog/migrations).")
	}
	if invalid != "" {
		d.say(true, "indexes are invalid: "+invalid, "REINDEX INDEX CONCURRENTLY each of them, as the owner of its table.")
	}
	return nil
}

// roles looks at those that migrate and erase, and whether all are there.
func (d *diagnosis) roles(ctx context.Context) error {
	const may = `SELECT has_table_privilege('sealed_0', 'DELETE'), pg_has_role('pg_checkpoint', 'USAGE') AND has_function_privilege('pg_switch_wal()', 'EXECUTE')`
	conn, err := d.opts.connect(ctx, d.opts.EraseDSN)
	if err != nil {
		d.say(true, "the role that erases cannot be used: "+fault.Public(err), "Put database-erase right: until then no erasure is complete.")
		return nil
	}
	defer closeSoon(conn)
	var deletes, flushes bool
	if err := conn.QueryRow(ctx, may).Scan(&deletes, &flushes); err != nil {
		return readFault("look at the role that erases", err)
	}
	switch {
	case !deletes && d.opts.EraseDSN == d.opts.DSN:
		d.say(true, "the role that serves may not delete ciphertexts, and no role that erases is named: no erasure will be complete", "Name it: database-erase.")
	case !deletes:
		d.say(true, "the role that erases may not delete ciphertexts: no erasure will be complete", "Start once with database-owner, which migrates and grants it.")
	case !flushes:
		d.say(false, "the role that erases may not have PostgreSQL write a checkpoint: what was erased stays in the write-ahead log until PostgreSQL writes one by itself", "GRANT pg_checkpoint TO it, and GRANT EXECUTE ON FUNCTION pg_switch_wal() TO it.")
	}
	return nil
}

// apart is how much the clocks of server and database may differ; farApart is
// where nodes stop to forward to each other.
const (
	clocksApart    = 2 * time.Second
	clocksFarApart = 30 * time.Second
)

// clock compares the database's clock with ours.
func (d *diagnosis) clock(ctx context.Context, now func() time.Time) error {
	before := now()
	var there time.Time
	if err := d.conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
		return readFault("ask for the time", err)
	}
	after := now()
	off := max(there.Sub(after), before.Sub(there)) // what the way may have taken is let pass
	if off > clocksApart {
		d.say(off > clocksFarApart, fmt.Sprintf("the clock of the database is %s off ours", off.Round(time.Second)), "Run NTP (chrony, systemd-timesyncd) on both machines.")
	}
	return nil
}
