package bench

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/fault"
)

// engine is where a store is: in its directory, or, if there is a DSN, in a
// schema of that database.
type engine struct{ dsn, schema string }

// engine is the one that was asked for. A schema of its own is made, and
// dropped when everything was measured.
func (b *bench) engine() engine {
	if b.Database == "" {
		return engine{}
	}
	e := engine{b.Database, "muniment_bench_" + strings.ReplaceAll(event.NewID().String(), "-", "")}
	b.schemas = append(b.schemas, e)
	return e
}

// open opens the store; dir is that of the embedded one.
func (e engine) open(ctx context.Context, dir string) (eventlog.Store, error) {
	if e.dsn == "" {
		return pebblelog.Open(dir, pebblelog.Options{})
	}
	return pglog.Open(ctx, pglog.Options{DSN: e.dsn, Schema: e.schema})
}

// lease is for how long a log is held: on PostgreSQL as several nodes hold it.
func (e engine) lease() time.Duration {
	if e.dsn == "" {
		return 0
	}
	return eventlog.DefaultLease
}

// drop removes the schemas that were made, also after the run was interrupted.
func (b *bench) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	for _, e := range b.schemas {
		conn, err := pgx.Connect(ctx, e.dsn)
		if err == nil {
			_, err = conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{e.schema}.Sanitize()+" CASCADE")
			err = errors.Join(err, conn.Close(ctx))
		}
		if err != nil { // its text may hold parts of the DSN
			errs = append(errs, fault.New(fault.Unavailable, "the schema %s could not be dropped; drop it yourself", e.schema))
		}
	}
	return errors.Join(errs...)
}
