package pgdb

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"muniment.dev/fault"
)

// Schema is the tables of one purpose, in a schema of their own, by version:
// step n makes version n of version n-1. Steps that were ever released are not
// changed. {} in a statement stands for the schema's name.
type Schema struct {
	Name  string
	Steps []string
	// Grants are the rights of a role that serves; {role} stands for it.
	Grants string
}

// ours are the schemas that may stand beside each other in one database.
const ours = "muniment_"

// Prepare makes the tables, or brings them to this version, if that is needed. It
// is refused if the database belongs to something else, or to a newer version;
// then nothing was changed. A role that may not make them is told who can.
func (db *DB) Prepare(ctx context.Context, s Schema) error {
	return fault.Wrap("open the "+db.what, db.prepare(ctx, s, ""))
}

// Migrate does what Prepare does, and gives a role the right to serve, which is
// less than to own: not to change or empty the tables.
func (db *DB) Migrate(ctx context.Context, s Schema, serve string) error {
	return fault.Wrap("migrate the "+db.what, db.prepare(ctx, s, serve))
}

func (db *DB) prepare(ctx context.Context, s Schema, serve string) error {
	version, err := db.version(ctx, db.Pool, s)
	if err != nil || version == len(s.Steps) && serve == "" {
		return err
	}
	err = db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		// Two nodes that are started at once must not both make the tables.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", s.Name); err != nil {
			return err
		}
		version, err := db.version(ctx, tx, s)
		if err != nil {
			return err
		}
		return s.apply(ctx, tx, version, serve)
	})
	if IsCode(err, "42501") {
		return &fault.Error{Kind: fault.Unavailable, Msg: fmt.Sprintf("the %s is at version %d of %d, and the role that we are may not change that; let the database's owner run the migration", db.what, version, len(s.Steps)), Err: err}
	}
	if IsCode(err, "42704") {
		return fault.New(fault.NotFound, "there is no role %s; create it first", serve)
	}
	return err
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// version is that of the tables; 0 if there are none and may be.
func (db *DB) version(ctx context.Context, q querier, s Schema) (version int, err error) {
	var exists, foreign bool
	var others int
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
		EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AND to_regclass($1 || '.about') IS NULL,
		(SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND NOT starts_with(n.nspname, $2)
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))`, s.Name, ours).Scan(&exists, &foreign, &others)
	switch {
	case err != nil:
		return 0, db.Fault("look at the "+db.what, err)
	case others > 0 || foreign:
		return 0, fault.New(fault.Refused, "the database given as %s belongs to something else: it holds tables that are not ours; give one that is empty. Nothing was changed", db.what)
	case !exists:
		return 0, nil
	}
	err = q.QueryRow(ctx, strings.ReplaceAll("SELECT version FROM {}.about", "{}", s.Name)).Scan(&version)
	if err == nil && version > len(s.Steps) {
		err = fault.New(fault.Refused, "the %s was made by a newer version of Muniment (%d, this one knows %d); use that version", db.what, version, len(s.Steps))
	}
	return version, db.Fault("look at the "+db.what, err)
}

// apply takes the steps that are missing.
func (s Schema) apply(ctx context.Context, tx pgx.Tx, version int, serve string) error {
	run := func(sql string, args ...any) error {
		_, err := tx.Exec(ctx, strings.ReplaceAll(sql, "{}", s.Name), args...)
		return err
	}
	if version == 0 {
		if err := run("CREATE SCHEMA {}"); err != nil {
			return err
		}
		if err := run("CREATE TABLE {}.about (one boolean PRIMARY KEY DEFAULT true CHECK (one), version integer NOT NULL, made timestamptz NOT NULL DEFAULT now())"); err != nil {
			return err
		}
		if err := run("INSERT INTO {}.about (version) VALUES (0)"); err != nil {
			return err
		}
	}
	for _, step := range s.Steps[version:] {
		if err := run(step); err != nil {
			return err
		}
	}
	if version < len(s.Steps) {
		if err := run("UPDATE {}.about SET version = $1", len(s.Steps)); err != nil {
			return err
		}
	}
	if serve == "" {
		return nil
	}
	return run(strings.ReplaceAll("GRANT USAGE ON SCHEMA {} TO {role}; GRANT SELECT ON {}.about TO {role};"+s.Grants, "{role}", pgx.Identifier{serve}.Sanitize()))
}
