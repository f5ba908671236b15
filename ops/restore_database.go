package ops

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/seal"
)

// restoreInto restores into a database: first into a temporary folder, as
// everywhere, with all that is looked at there; then from it into the database.
// So what is refused has touched nothing.
func restoreInto(ctx context.Context, o RestoreOptions) (_ *Restored, err error) {
	if err := checkDatabase(ctx, o); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "muniment-restore-*")
	if err != nil {
		return nil, restoreFault(err)
	}
	defer func() { err = errors.Join(err, restoreFault(os.RemoveAll(tmp))) }()
	database, keysTo := o.To, o.KeysTo
	o.To, o.KeysTo, o.passing = filepath.Join(tmp, "data"), "", true
	out, err := Restore(ctx, o)
	if err != nil {
		return out, err
	}
	out.Dir = shown(database)
	m := MoveOptions{From: o.To, To: database, KeysTo: keysTo}
	if o.Progress != nil {
		m.Progress = func(p eventlog.CopyProgress) { o.Progress(Progress{Done: uint64(p.Done), Of: uint64(p.Of)}) }
	}
	if _, err := Move(ctx, m); err != nil {
		return out, fault.Wrap("restore into the database; empty both before you begin again", err)
	}
	return out, nil
}

// checkDatabase refuses databases in which anything is.
func checkDatabase(ctx context.Context, o RestoreOptions) error {
	if (o.KeysFrom == "") != (o.KeysTo == "") {
		return fault.Field("keys-to", "of keys, say both: the backup (--keys-from) and the place where they go (--keys-to)")
	}
	store, err := openTarget(ctx, o.To)
	if err != nil {
		return err
	}
	logs, err := store.Logs(ctx)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	if len(logs) > 0 {
		return &fault.Error{Kind: fault.Exists, Field: "to", Msg: "the database is not empty: it holds a log; restore into one that holds none, and compare before you replace anything"}
	}
	if o.KeysTo == "" {
		return nil
	}
	switch keys, gone, err := seal.Count(ctx, o.KeysTo); {
	case fault.Is(err, fault.NotFound): // it will be made
	case err != nil:
		return err
	case keys+gone > 0:
		return &fault.Error{Kind: fault.Exists, Field: "keys-to", Msg: "it holds keys already; give a place that holds none"}
	}
	return nil
}
