package seal

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"muniment.dev/pgdb"
)

// keySettings are those that decide how long PostgreSQL keeps what was
// destroyed, and where else it writes it.
var keySettings = []pgdb.Setting{
	{Name: "archive_mode", Good: "off", Advice: pgdb.Advice{Is: "the key database archives its write-ahead log: destroyed keys stay in the archive", Do: "Set archive_mode = off and rely on muniment backup --keys-to, or delete the archive after as many days as backups of keys are kept."}},
	{Name: "wal_recycle", Good: "off", Advice: pgdb.Advice{Is: "the key database uses files of its write-ahead log again: destroyed keys stay in them until they are written over", Do: "Set wal_recycle = off."}},
	{Name: "wal_keep_size", Good: "0", Advice: pgdb.Advice{Is: "the key database keeps write-ahead log for standbys: destroyed keys stay in it", Do: "Set wal_keep_size = 0; let standbys use replication slots."}},
	{Name: "log_statement", Good: "none ddl", Advice: pgdb.Advice{Serious: true, Is: "the key database writes statements into its log, wrapped keys among them", Do: "Set log_statement = none or ddl."}},
}

// Advise says what an operator should know about where the keys are: who can
// read the file; or how the database is set up, and what keeps destroyed keys in
// it for longer. It changes nothing.
func Advise(ctx context.Context, where string) ([]pgdb.Advice, error) {
	if !pgdb.Is(where) {
		return adviseFile(where)
	}
	db, err := pgdb.Open(ctx, where, keyDatabase)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	out, err := db.Advise(ctx, keySettings...)
	if err != nil {
		return nil, err
	}
	for _, q := range []struct {
		bad string
		pgdb.Advice
	}{
		{"SELECT NOT (pg_has_role('pg_checkpoint', 'USAGE') AND has_function_privilege('pg_switch_wal()', 'EXECUTE'))",
			pgdb.Advice{Is: "our role may not have the key database write a checkpoint: destroyed keys stay in the write-ahead log until PostgreSQL writes one by itself", Do: "GRANT pg_checkpoint TO the role, and GRANT EXECUTE ON FUNCTION pg_switch_wal() TO it, in the key database."}},
		{"SELECT has_table_privilege('muniment_keys.subject_key', 'TRUNCATE')",
			pgdb.Advice{Is: "our role owns the tables of the keys: a program that was taken over could empty them", Do: "Let another role own them and migrate, and serve with one that has only the rights that the migration grants."}},
		{"SELECT EXISTS (SELECT FROM muniment_keys.rewrite)",
			pgdb.Advice{Serious: true, Is: "keys that were deleted are still in files of the key database", Do: "Look for transactions that have been open for long (pg_stat_activity), such as a dump; the erasure goes on by itself."}},
		{"SELECT EXISTS (SELECT FROM pg_replication_slots WHERE NOT active)",
			pgdb.Advice{Is: "a replication slot that nobody uses keeps the write-ahead log, and destroyed keys in it, for ever", Do: "Drop it: SELECT pg_drop_replication_slot(name)."}},
	} {
		bad, err := db.May(ctx, q.bad)
		if err != nil {
			return nil, err
		}
		if bad {
			out = append(out, q.Advice)
		}
	}
	return out, nil
}

// adviseFile looks at who can read a file of keys, and the folder that it is in.
func adviseFile(path string) ([]pgdb.Advice, error) {
	var out []pgdb.Advice
	for _, f := range []struct {
		path, why string
		bits      fs.FileMode
	}{{path, "others can read the keys", 0o077}, {filepath.Dir(path), "others can put another file in the place of the keys", 0o022}} {
		info, err := os.Stat(f.path)
		if err != nil {
			return nil, noDatabase(path, err)
		}
		if mode := info.Mode().Perm(); mode&f.bits != 0 {
			out = append(out, pgdb.Advice{Serious: true, Is: fmt.Sprintf("%s has mode %04o: %s", f.path, mode, f.why), Do: fmt.Sprintf("chmod %o %s", mode&^f.bits, f.path)})
		}
	}
	return out, nil
}
