package ops

import (
	"context"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
)

type registerCommand struct {
	Show    registerShow    `cmd:"" help:"Show what the register knows, and whether the log continues it."`
	Adopt   registerAdopt   `cmd:"" help:"Make the register say what the log is, whatever it said before. The server must not be running."`
	Migrate registerMigrate `cmd:"" help:"Make the table of a register on PostgreSQL, as its owner, and give a role the right to use it."`
}

// AfterApply notes which of them was chosen (kong calls it).
func (c *registerShow) AfterApply() error  { c.chosen = true; return nil }
func (c *registerAdopt) AfterApply() error { c.chosen = true; return nil }

func (c *registerCommand) run(ctx context.Context, s streams) (int, error) {
	if c.Migrate.chosen {
		return c.Migrate.run(ctx, s)
	}
	if c.Adopt.chosen {
		return c.Adopt.run(ctx, s)
	}
	return c.Show.run(ctx, s)
}

type registerShow struct {
	Data string `help:"The data directory." type:"path" default:"." env:"MUNIMENT_DATA" placeholder:"DIR"`
	where
	chosen bool
}

func (c *registerShow) run(ctx context.Context, s streams) (int, error) {
	l, err := c.layout(c.Data)
	if err != nil {
		return ExitUnchecked, err
	}
	held, err := heldRegister(ctx, register(l.Register))
	if err != nil {
		return ExitUnchecked, err
	}
	store, err := openLog(ctx, l)
	if fault.Is(err, fault.NotFound) {
		store, err = nil, nil
	}
	if err != nil {
		return ExitUnchecked, err
	}
	w := writer{s.out}
	state, err := held.Load(ctx)
	if err != nil {
		return ExitFound, err
	}
	showState(w, "register", state)
	var log event.LogID
	if store != nil {
		defer store.close()
		now, err := stateOf(ctx, store)
		if err != nil {
			return ExitUnchecked, err
		}
		log = now.Log
		g, err := eventlog.GenerationsOf(ctx, store, log)
		if err != nil {
			return ExitUnchecked, err
		}
		now.Log = g[len(g)-1].ID
		showState(w, "log", now)
		_, err = ledger.Admit(ctx, store, log, held)
		return verdictOf(w, err)
	}
	showState(w, "log", ledger.State{})
	if !state.IsZero() {
		return verdictOf(w, ledger.ErrNoLog)
	}
	return ExitOK, nil
}

func verdictOf(w writer, err error) (int, error) {
	switch {
	case err == nil:
		w.line("\nThe log continues what the register knows.")
		return ExitOK, nil
	case fault.Is(err, fault.Refused):
		w.line("\nThe server will not write to this log: %s.", explain(err))
		return ExitFound, nil
	}
	return ExitUnchecked, err
}

func showState(w writer, name string, s ledger.State) {
	if s.IsZero() {
		w.item(name, "none")
		return
	}
	w.item(name, "log %s, %s, term %d, root %s", s.Log, count(uint64(s.Size), "record", "records"), s.Term, tlog.Hash(s.Root))
}

// stateOf is what a register should hold of the store's only log.
func stateOf(ctx context.Context, store eventlog.Store) (ledger.State, error) {
	log, head, bad, err := end(ctx, store, event.LogID{})
	switch {
	case fault.Is(err, fault.NotFound):
		return ledger.State{}, nil
	case err != nil:
		return ledger.State{}, err
	case bad != nil:
		return ledger.State{}, fault.New(fault.Corrupt, "%s; run verify", bad.Msg)
	}
	return ledger.State{Log: log, Term: head.Term, Tree: ledger.Tree{Size: head.Size, Root: head.Root()}}, nil
}

type registerAdopt struct {
	Data  string `help:"The data directory." type:"path" default:"." env:"MUNIMENT_DATA" placeholder:"DIR"`
	Force bool   `help:"Adopt even though the log is shorter than, or differs from, what the register knows. What is missing was acknowledged to somebody."`
	where
	chosen bool
}

func (c *registerAdopt) run(ctx context.Context, s streams) (int, error) {
	l, err := c.layout(c.Data)
	if err != nil {
		return ExitUnchecked, err
	}
	reg, w := register(l.Register), writer{s.out}
	var store eventlog.Store = nothing{}
	log := event.LogID{}
	if _, err := os.Stat(l.Log); err == nil {
		p, err := pebblelog.OpenReadOnly(l.Log, pebblelog.Options{}) // holds the lock: no server runs
		switch {
		case err == nil:
			defer p.Close()
			store = p
		case !fault.Is(err, fault.NotFound):
			return ExitUnchecked, err
		}
	}
	now, err := stateOf(ctx, store)
	if err != nil {
		return ExitUnchecked, err
	}
	log = now.Log
	_, refusal := ledger.Admit(ctx, store, log, reg)
	if refusal != nil && !fault.Is(refusal, fault.Refused) {
		return ExitUnchecked, refusal
	}
	if was, ok := WasRestored(l); ok && refusal != nil && !losing(refusal) && !c.Force {
		w.line("Nothing was changed: this log was restored from a backup of %s, and no register says whether it is the newest.\nWhatever was acknowledged after that is missing in it, and if it went on from here under the same id, there would be\ntwo histories of it, each with signed checkpoints. Look for a newer copy, and for the newest checkpoint that anybody\nkept: muniment verify %s --checkpoint FILE.\n\nTo adopt the log nevertheless, add --force.", was.Made.Format(clock), l.Dir)
		return ExitFound, nil
	}
	if losing(refusal) && !c.Force {
		w.line("Nothing was changed: %s.\n\nTo adopt the log nevertheless, add --force.", explain(refusal))
		return ExitFound, nil
	}
	old, new, err := ledger.Adopt(ctx, store, log, reg)
	if err != nil {
		return ExitUnchecked, err
	}
	if old == new {
		w.line("The register says what the log is already; nothing was changed.")
		return ExitOK, nil
	}
	w.line("The register was changed. Keep what it said before:\n")
	showState(w, "before", old)
	showState(w, "now", new)
	return ExitOK, nil
}

// losing reports whether adopting gives up records that were registered.
func losing(refusal error) bool {
	for _, e := range []*fault.Error{ledger.ErrRolledBack, ledger.ErrForked, ledger.ErrOtherLog, ledger.ErrNoLog} {
		if refusal != nil && sameMsg(refusal, e) {
			return true
		}
	}
	return false
}

func sameMsg(err error, e *fault.Error) bool { return fault.Public(err) == e.Msg }

// nothing is a store without logs.
type nothing struct{ eventlog.Store }

// Logs implements eventlog.Store.
func (nothing) Logs(context.Context) ([]event.LogID, error) { return nil, nil }

// Head implements eventlog.Store.
func (nothing) Head(context.Context, event.LogID) (eventlog.Head, error) {
	return eventlog.Head{}, fault.New(fault.NotFound, "there is no log")
}
