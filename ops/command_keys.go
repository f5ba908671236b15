package ops

import (
	"bytes"
	"context"

	"muniment.dev/cell"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
	"muniment.dev/seal"
)

type keysCommand struct {
	Move    keysMove    `cmd:"" help:"Copy all keys from one key database to another that is empty. No server may be running."`
	Migrate keysMigrate `cmd:"" help:"Make the tables of a key database on PostgreSQL, as its owner, and give a role the right to serve."`
}

// AfterApply notes which of the two was chosen (kong calls it).
func (c *keysMove) AfterApply() error    { c.chosen = true; return nil }
func (c *keysMigrate) AfterApply() error { c.chosen = true; return nil }

func (c *keysCommand) run(ctx context.Context, s streams) (int, error) {
	if c.Migrate.chosen {
		return c.Migrate.run(ctx, s)
	}
	return c.Move.run(ctx, s)
}

type keysMove struct {
	From   string `arg:"" help:"The keys as they are: a file, or postgres://..."`
	To     string `arg:"" help:"Where they go: a file that does not exist, or an empty PostgreSQL database."`
	chosen bool
}

func (c *keysMove) run(ctx context.Context, s streams) (int, error) {
	copied, err := seal.Copy(ctx, c.From)
	if err != nil {
		return ExitUnchecked, err
	}
	if err := seal.Restore(ctx, c.To, bytes.NewReader(copied.Stream)); err != nil {
		return ExitUnchecked, err
	}
	keys, destroyed, err := seal.Count(ctx, c.To)
	if err != nil {
		return ExitUnchecked, err
	}
	if keys != copied.Keys || destroyed != len(copied.Destroyed) {
		return ExitFound, fault.New(fault.Corrupt, "%s arrived of %s; keep the old ones", count(keys, "key", "keys"), number(copied.Keys))
	}
	w := writer{s.out}
	w.line("Moved %s, and the marks of %s that were destroyed.", count(keys, "key", "keys"), number(destroyed))
	w.line("Start the server with the new place, then destroy the old one: it holds every key still.")
	return ExitOK, nil
}

type keysMigrate struct {
	Keys   string `arg:"" help:"The database, as its owner: postgres://..."`
	Serve  string `help:"The role as which the servers connect." required:"" placeholder:"ROLE"`
	chosen bool
}

func (c *keysMigrate) run(ctx context.Context, s streams) (int, error) {
	if !pgdb.Is(c.Keys) {
		return ExitUnchecked, fault.New(fault.Invalid, "only a key database on PostgreSQL is migrated; a file is made by the server")
	}
	if err := seal.MigrateKeys(ctx, c.Keys, c.Serve); err != nil {
		return ExitUnchecked, err
	}
	writer{s.out}.line("Servers may connect as %s.", c.Serve)
	return ExitOK, nil
}

type registerMigrate struct {
	Place  string `arg:"" help:"The register's database, as its owner: postgres://..."`
	Serve  string `help:"The role as which the servers connect." required:"" placeholder:"ROLE"`
	chosen bool
}

// AfterApply notes that it was chosen (kong calls it).
func (c *registerMigrate) AfterApply() error { c.chosen = true; return nil }

func (c *registerMigrate) run(ctx context.Context, s streams) (int, error) {
	if !pgdb.Is(c.Place) {
		return ExitUnchecked, fault.New(fault.Invalid, "only a register on PostgreSQL is migrated")
	}
	if err := cell.Migrate(ctx, c.Place, c.Serve); err != nil {
		return ExitUnchecked, err
	}
	writer{s.out}.line("Servers may connect as %s.", c.Serve)
	return ExitOK, nil
}
