package seal

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// PostgreSQL never overwrites: a row that was deleted stays in its page, and in
// the free space of that after VACUUM. Only a table that is written anew is
// clean. So the keys are spread over parts, of which a destruction rewrites
// those that it touched; and what it has deleted is only forgotten once that
// was done, so that whoever is interrupted begins again.
const (
	parts    = 64
	partBits = 6
)

// partOf is the part that a key is in, by the first bits of its id.
func partOf(id event.KeyID) int { return int(id.ID[0] >> (8 - partBits)) }

// keySchema is the tables. No statistics are kept of wrapped keys: PostgreSQL
// would put samples of them into its own catalogue.
var keySchema = pgdb.Schema{Name: "muniment_keys", Steps: []string{`
CREATE TABLE {}.epoch (n bigint PRIMARY KEY, wrapped bytea NOT NULL);
CREATE TABLE {}.subject_key (id bytea PRIMARY KEY, log bytea NOT NULL, epoch bigint NOT NULL, wrapped bytea NOT NULL) PARTITION BY RANGE (id);
ALTER TABLE {}.subject_key ALTER COLUMN wrapped SET STATISTICS 0;
` + eachPart(func(n int) string {
	from, to := fmt.Sprintf(`('\x%02x')`, n<<(8-partBits)), fmt.Sprintf(`('\x%02x')`, (n+1)<<(8-partBits))
	if n == 0 {
		from = "(MINVALUE)"
	}
	if n == parts-1 {
		to = "(MAXVALUE)"
	}
	t := fmt.Sprintf("{}.subject_key_%02d", n)
	return "CREATE TABLE " + t + " PARTITION OF {}.subject_key FOR VALUES FROM " + from + " TO " + to + ";\n" +
		"ALTER TABLE " + t + " ALTER COLUMN wrapped SET STATISTICS 0, ALTER COLUMN wrapped SET STORAGE PLAIN;\n"
}) + `
CREATE TABLE {}.destroyed (id bytea PRIMARY KEY, log bytea NOT NULL);
CREATE TABLE {}.rewrite (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, part integer NOT NULL);
CREATE FUNCTION {}.rewrite(p integer) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	todo bigint[];
	name text := 'subject_key_' || lpad(p::text, 2, '0');
BEGIN
	SELECT array_agg(n) INTO todo FROM {}.rewrite WHERE part = p; -- what is deleted later is not seen to here
	EXECUTE format('CLUSTER VERBOSE {}.%I USING %I', name, name || '_pkey');
	DELETE FROM {}.rewrite WHERE n = ANY (todo);
END $$;
REVOKE ALL ON FUNCTION {}.rewrite(integer) FROM PUBLIC;`},
	Grants: `GRANT SELECT, INSERT, DELETE ON {}.subject_key` + eachPart(func(n int) string { return fmt.Sprintf(", {}.subject_key_%02d", n) }) + ` TO {role};
GRANT SELECT, INSERT ON {}.epoch, {}.destroyed, {}.rewrite TO {role};
GRANT EXECUTE ON FUNCTION {}.rewrite(integer) TO {role};`}

func eachPart(f func(int) string) string {
	var b strings.Builder
	for n := range parts {
		b.WriteString(f(n))
	}
	return b.String()
}

func (p *postgresKeys) destroy(ctx context.Context, log event.LogID, ids []event.KeyID) (had int, err error) {
	err = p.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		had, err = deleteKeys(ctx, tx, log, ids)
		return err
	})
	if err != nil {
		return 0, err
	}
	return had, p.rewrite(ctx)
}

// deleteKeys deletes keys and notes which parts have to be written anew.
func deleteKeys(ctx context.Context, tx pgx.Tx, log event.LogID, ids []event.KeyID) (had int, err error) {
	all := make([][]byte, len(ids))
	for i, id := range ids {
		all[i] = id.ID[:]
	}
	if _, err := tx.Exec(ctx, "INSERT INTO muniment_keys.destroyed (id, log) SELECT DISTINCT id, $2::bytea FROM unnest($1::bytea[]) AS k (id) ORDER BY id ON CONFLICT DO NOTHING", all, log.ID[:]); err != nil {
		return 0, err
	}
	sorted := byPart(ids)
	for _, part := range slices.Sorted(maps.Keys(sorted)) { // in one order, so that nodes do not wait for each other
		done, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM muniment_keys.subject_key_%02d WHERE id = ANY($1)", part), sorted[part])
		if err == nil && done.RowsAffected() > 0 {
			_, err = tx.Exec(ctx, "INSERT INTO muniment_keys.rewrite (part) VALUES ($1)", part)
		}
		if err != nil {
			return 0, err
		}
		had += int(done.RowsAffected())
	}
	return had, nil
}

// rewrite writes the parts anew from which keys were deleted, by whomever, and
// has the write-ahead log begin a new file after them.
func (p *postgresKeys) rewrite(ctx context.Context) error {
	rows, err := p.db.Pool.Query(ctx, "SELECT DISTINCT part FROM muniment_keys.rewrite")
	if err != nil {
		return p.db.Fault("look what is to be rewritten", err)
	}
	todo, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(todo) == 0 {
		return p.db.Fault("look what is to be rewritten", err)
	}
	for _, part := range todo {
		if err := p.rewritePart(ctx, part); err != nil {
			return err
		}
	}
	return p.checkpoint(ctx)
}

var errSeen = fault.New(fault.Unavailable, "the key is deleted, but its bytes stay in a file of the key database as long as a transaction is open there that is older, such as a dump; it is tried again")

// rewritePart tries for a moment: others' short transactions keep deleted rows
// in the table for as long as they last.
func (p *postgresKeys) rewritePart(ctx context.Context, part int) error {
	const tries = 60
	for try := 1; ; try++ {
		err := p.rewriteOnce(ctx, part)
		if err == nil || try == tries || err != errSeen && !pgdb.IsCode(err, "55P03") {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * time.Millisecond):
		case <-ctx.Done():
			return p.db.Fault("rewrite a part of the keys", ctx.Err())
		}
	}
}

// unremoved is the number of rows that CLUSTER VERBOSE took along although they
// are deleted.
var unremoved = regexp.MustCompile(`^\d+`)

func (p *postgresKeys) rewriteOnce(ctx context.Context, part int) error {
	left := ""
	hear := func(n *pgconn.Notice) {
		if d := unremoved.FindString(n.Detail); d != "" {
			left = d
		}
	}
	return p.db.WriteHearing(ctx, hear, func(ctx context.Context, tx pgx.Tx) error {
		// Nobody who draws or reads keys waits for longer than that behind us.
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '500ms'"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT muniment_keys.rewrite($1)", part); err != nil {
			return err
		}
		switch left {
		case "":
			return fault.New(fault.Internal, "PostgreSQL did not say what CLUSTER left behind")
		case "0":
			return nil
		}
		return errSeen
	})
}

// checkpoint has PostgreSQL write its files and let go of the write-ahead log
// of before. A role may be without the right to that: then both go by
// themselves, later; [Advice] says so.
func (p *postgresKeys) checkpoint(ctx context.Context) error {
	for _, statement := range []string{"SELECT pg_switch_wal()", "CHECKPOINT"} {
		if _, err := p.db.Pool.Exec(ctx, statement); err != nil && !pgdb.IsCode(err, "42501") {
			return p.db.Fault("clear the write-ahead log", err)
		}
	}
	return nil
}
