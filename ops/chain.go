package ops

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
)

// chain is a backup of a whole log, in either form, and what goes on from it, in
// order.
type chain struct {
	files    []string
	moved    Moved          // of a backup's files
	progress func(Progress) // of a dump's records
}

// unpack makes the store of a log in an empty folder out of a chain, and says
// what it is. Nobody is left in it who was erased in any of the files.
func (c *chain) unpack(ctx context.Context, dir string) (m Manifest, err error) {
	whole, err := isDumpFile(c.files[0])
	if err != nil {
		return m, err
	}
	if !whole {
		m, err = unpackFile(ctx, c.files[0], HoldsLog, c.moved, func(name string, in io.Reader) error {
			if rest, ok := strings.CutPrefix(name, "log/"); ok && !strings.Contains(rest, "/") {
				return writeSynced(filepath.Join(dir, rest), in)
			}
			return errNoArchive
		})
		if err != nil || len(c.files) == 1 {
			return m, err
		}
	}
	store, err := pebblelog.Open(dir, pebblelog.Options{})
	if err != nil {
		return m, err
	}
	if whole {
		m, err = c.load(ctx, store)
	} else {
		err = continueWith(ctx, store, &m, c.files[0], c.files[1:])
	}
	return m, errors.Join(err, store.Close())
}

// load fills a store out of dumps.
func (c *chain) load(ctx context.Context, store eventlog.Store) (Manifest, error) {
	ds, err := openWhole(ctx, c.files)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Format: dumpFormat, Holds: HoldsLog, Log: ds[0].Log}
	m.endsWith(ds.last())
	return m, eventlog.Copy(ctx, store, m.Log, ds, asVerified(c.progress))
}

// endsWith notes the last piece of a chain.
func (m *Manifest) endsWith(last *Dump) {
	m.Made, m.Size, m.Root, m.Checkpoint, m.Term = last.Made, last.Size, tlog.Hash(last.Root), last.Newest, last.Term
}

// openWhole opens dumps of which the first is of a whole log.
func openWhole(ctx context.Context, files []string) (dumps, error) {
	ds, err := openDumps(ctx, files)
	if err == nil && ds[0].After != 0 {
		err = fault.New(fault.Invalid, "a piece is missing: %s begins behind record %d; give the backup that it goes on from before it", ds[0].path, ds[0].After)
	}
	return ds, err
}

func isDumpFile(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, &fault.Error{Kind: fault.NotFound, Msg: "the backup " + path + " cannot be read", Err: err}
	}
	defer f.Close()
	return isDump(f), nil
}

// unpackFile gives a backup's files to take.
func unpackFile(ctx context.Context, path, holds string, moved Moved, take func(name string, in io.Reader) error) (Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, &fault.Error{Kind: fault.NotFound, Msg: "the backup " + path + " cannot be read", Err: err}
	}
	defer f.Close()
	m, _, err := readArchive(ctx, f, moved, func(m Manifest, name string, in io.Reader) error {
		if m.Holds != holds {
			return fault.New(fault.Invalid, "%s is a backup of the %s, not of the %s", path, m.Holds, holds)
		}
		return take(name, in)
	})
	var told *fault.Error
	if errors.As(err, &told) && told.Op == "" {
		e := *told
		e.Op = "read " + path
		return m, &e
	}
	return m, err
}

// VerifyFiles verifies the log in a backup and what goes on from it. It is
// unpacked into a temporary folder, which is deleted; the files stay as they
// are. A register is not looked at: it may well know of more.
func VerifyFiles(ctx context.Context, o VerifyOptions, moved Moved, files ...string) (_ *Report, err error) {
	dir, err := os.MkdirTemp("", "muniment-verify-*")
	if err != nil {
		return nil, restoreFault(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := chain{files: files, moved: moved, progress: o.Progress}
	m, err := c.unpack(ctx, dir)
	if err != nil {
		return nil, err
	}
	store, err := openUnpacked(ctx, dir, m)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	o.Register = nil
	return Verify(ctx, store, o)
}

// openUnpacked opens what was unpacked for reading, if it is what was said.
func openUnpacked(ctx context.Context, dir string, m Manifest) (*pebblelog.Store, error) {
	store, err := pebblelog.OpenReadOnly(dir, pebblelog.Options{})
	if err != nil {
		return nil, err
	}
	now, err := stateOf(ctx, store)
	if err == nil && (now.Log != m.Log || now.Size != m.Size || tlog.Hash(now.Root) != m.Root) {
		err = fault.New(fault.Corrupt, "the log in the backup is not the one that its manifest names")
	}
	if err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}
