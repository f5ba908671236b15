package pglog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"muniment.dev/eventlog"
	"muniment.dev/pgdb"
)

var _ eventlog.Readiness = (*Store)(nil)

// slow is how long a commit may wait for a standby before Ready says so. Whoever
// is not a superuser sees the commits of the own role, which are those of all
// nodes.
const slow = 2 * time.Second

// readyQuery asks for what would keep a commit from being made.
const readyQuery = `SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool,
	has_table_privilege('log_head', 'UPDATE') AND has_table_privilege('record', 'INSERT') AND has_table_privilege('record', 'SELECT')
		AND has_table_privilege('sealed_0', 'INSERT') AND has_table_privilege('standing', 'UPDATE'),
	EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep' AND xact_start < clock_timestamp() - $1::bigint * interval '1 microsecond')`

// Ready implements eventlog.Readiness: whether the database answers and could
// be written to; if not, the fault says why and what to do.
func (s *Store) Ready(ctx context.Context) error {
	const op = "ask PostgreSQL whether it is ready"
	var standby, readOnly, privilege, waits bool
	err := s.reads.QueryRow(ctx, readyQuery, slow.Microseconds()).Scan(&standby, &readOnly, &privilege, &waits)
	switch {
	case err != nil:
		return readFault(op, err)
	case standby:
		return because(errStandby, op, nil)
	case readOnly:
		return because(pgdb.ReadOnly, op, nil)
	case !privilege:
		return because(pgdb.Privilege, op, nil)
	case waits:
		return because(errWaits, op, nil)
	}
	return s.room(ctx)
}

// noted keeps in mind whether the last commit found no room, since PostgreSQL
// tells nobody how much of its disk is free.
func (s *Store) noted(err error) error {
	if says(err, pgdb.Full) || says(err, pgdb.NoMemory) {
		s.cramped.Store(true)
	} else if err == nil {
		s.cramped.Store(false)
	}
	return err
}

// probeSize is more than the room that is left in a table's last pages.
const probeSize = 256 << 10

// room tries, after a commit that found no room, whether there is some now. A
// balancer that asks keeps commits away for as long as the answer is no, so
// nobody else would find out. What it writes it takes back.
func (s *Store) room(ctx context.Context) error {
	if !s.cramped.Load() {
		return nil
	}
	const op = "try whether the disk of PostgreSQL has room"
	tx, err := s.writes.Begin(ctx)
	if err != nil {
		return readFault(op, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // a connection that cannot is thrown away
	for _, table := range []string{"tile (log, level, index, data)", "record (position, version, log, id, stream, type, actor, leaf)"} {
		if err := probe(ctx, tx, table); err != nil {
			return s.noted(readFault(op, err))
		}
	}
	s.cramped.Store(false)
	return nil
}

func probe(ctx context.Context, tx pgx.Tx, table string) error {
	values := "-1, 0, 0, $1"
	if table[0] == 'r' {
		none := "'00000000-0000-0000-0000-000000000000'"
		values = "0, 0, -1, " + none + ", " + none + ", " + none + ", " + none + ", $1"
	}
	_, err := tx.Exec(ctx, "INSERT INTO "+table+" VALUES ("+values+")", make([]byte, probeSize))
	return err
}
