package ops

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
	"muniment.dev/seal"
)

// MoveOptions say what is copied where: a place is a data directory or
// postgres://….
type MoveOptions struct {
	From, To         string
	KeysFrom, KeysTo string // key databases; empty: they stay where they are
	Progress         func(eventlog.CopyProgress)
}

// Move copies a log to another engine, and its keys if it is told where. No
// server may be at work on either. Interrupted, it goes on when it is called
// again. The source stays as it is.
func Move(ctx context.Context, o MoveOptions) (*Copied, error) {
	from, err := openHeld(ctx, o.From)
	if err != nil {
		return nil, err
	}
	defer from.close()
	if from.busy {
		return nil, fault.New(fault.Refused, "a server is at work on %s: what it records from now on would be missing; stop it", shown(o.From))
	}
	src, err := eventlog.SourceOf(ctx, from.Store, from.log)
	if err != nil {
		return nil, err
	}
	out, err := copyTo(ctx, o.To, from.log, src, o.Progress)
	if err != nil || o.KeysTo == "" {
		return out, err
	}
	if o.KeysFrom == "" {
		if pgdb.Is(o.From) {
			return out, fault.Field("keys-from", "say where the keys are that are to be copied")
		}
		o.KeysFrom = DefaultLayout(o.From).Keys
	}
	if out.Keys, err = moveKeys(ctx, o.KeysFrom, o.KeysTo); err != nil {
		return out, fault.Wrap("the log is copied; copy the keys", err)
	}
	return out, nil
}

// moveKeys copies a key database, unless the target holds the same number of
// keys already: a move that goes on has done it.
func moveKeys(ctx context.Context, from, to string) (int, error) {
	c, err := seal.Copy(ctx, from)
	if err != nil {
		return 0, err
	}
	if n, gone, err := seal.Count(ctx, to); err == nil && n == c.Keys && gone == len(c.Destroyed) && n > 0 {
		return n, nil
	}
	return c.Keys, seal.Restore(ctx, to, bytes.NewReader(c.Stream))
}

// DumpOptions say what is written.
type DumpOptions struct {
	From     string // a data directory, beside a running server too, or postgres://…
	To       string // a file that does not exist, or a folder, in which it gets a name
	Since    string // an earlier dump or backup of the log: only what came after it is written
	Progress func(eventlog.CopyProgress)
}

// Dumped is what a dump came to.
type Dumped struct {
	DumpHeader
	File string `json:"file"`
}

// WriteDumpFile writes a dump, which gets its name when it is whole, on the
// disk, and was read again from there.
func WriteDumpFile(ctx context.Context, o DumpOptions) (out *Dumped, err error) {
	err = WithSnapshot(ctx, layoutOf(o.From), func(s *Snapshot) error {
		at, err := s.begins(ctx, o.Since)
		if err != nil {
			return err
		}
		path := o.To
		if isFolder(path) {
			path = filepath.Join(path, dumpName(s.manifest.Log, at.after, s.manifest.Size))
		}
		f, err := newFile(path)
		if err != nil {
			return err
		}
		defer f.drop()
		h, err := s.writePiece(ctx, f, at, o.Progress)
		if err != nil {
			return err
		}
		out = &Dumped{h, path}
		return f.commit()
	})
	return out, err
}

// dumpName names a dump so that those of a log sort as they follow each other.
func dumpName(log event.LogID, after, size event.Position) string {
	return "muniment-" + log.String()[:8] + "-" + number0(after) + "-" + number0(size) + ".jsonl"
}

// number0 writes a position so that names sort.
func number0(p event.Position) string {
	s := digits(p)
	return "000000000000"[:max(0, 12-len(s))] + s
}

// since finds where an earlier dump or backup ends, and the frontier of the log
// there, which must be that of the earlier one.
func since(ctx context.Context, from *Snapshot, path string) (event.Position, []event.Hash, error) {
	if path == "" {
		return 0, nil, nil
	}
	log, size, root, err := pieceEnd(ctx, path)
	switch {
	case err != nil:
		return 0, nil, err
	case log != from.manifest.Log:
		return 0, nil, fault.Field("since", "%s is of log %s, this is log %s", path, log, from.manifest.Log)
	case size > from.manifest.Size:
		return 0, nil, fault.Field("since", "%s has %d records, the log only %d: it is newer than the log", path, size, from.manifest.Size)
	}
	frontier, err := eventlog.FrontierAt(ctx, from.store, from.manifest.Log, size)
	if err == nil && eventlog.NewGrowing(size, frontier).Root() != root {
		err = fault.Field("since", "%s has other records than this log: they are two histories", path)
	}
	return size, frontier, err
}

// pieceEnd reads of what a dump or a backup is, and where it ends.
func pieceEnd(ctx context.Context, path string) (log event.LogID, size event.Position, root event.Hash, err error) {
	f, err := os.Open(path)
	if err != nil {
		return log, 0, root, &fault.Error{Kind: fault.NotFound, Field: "since", Msg: "the file cannot be read", Err: err}
	}
	defer f.Close()
	if isDump(f) {
		d, err := newDumpReader(f)
		if err != nil {
			return log, 0, root, err
		}
		return d.header.Log, d.header.Size, event.Hash(d.header.Root), nil
	}
	m, _, err := readArchive(ctx, f, nil, func(Manifest, string, io.Reader) error { return errEnough })
	if err != errEnough && err != nil && m.Log.IsZero() {
		return log, 0, root, err
	}
	return m.Log, m.Size, event.Hash(m.Root), nil
}

// isDump looks whether a file begins as a dump does.
func isDump(f *os.File) bool {
	b := make([]byte, 11)
	n, _ := io.ReadFull(f, b)
	f.Seek(0, io.SeekStart)
	return string(b[:n]) == `{"format":"`
}

// Load makes a log in a place out of a dump and those that go on from it. All of
// them are read to their ends first; a missing or foreign piece is named, and
// nothing is touched.
func Load(ctx context.Context, to string, progress func(eventlog.CopyProgress), files ...string) (*Copied, error) {
	ds, err := openWhole(ctx, files)
	if err != nil {
		return nil, err
	}
	return copyTo(ctx, to, ds[0].Log, ds, progress)
}

func openDumps(ctx context.Context, files []string) (ds dumps, err error) {
	for _, path := range files {
		d, err := OpenDump(ctx, path)
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, ds.follow()
}

// continueWith adds pieces behind a store that was unpacked from a backup whose
// manifest is m, and takes out of it whom they erase.
func continueWith(ctx context.Context, store eventlog.Store, m *Manifest, from string, files []string) error {
	ds, err := openDumps(ctx, files)
	if err != nil {
		return err
	}
	if err := ds[0].follows(m.Log, m.Size, event.Hash(m.Root), from); err != nil {
		return err
	}
	if err := eventlog.Copy(ctx, store, m.Log, ds, nil); err != nil {
		return err
	}
	if err := eraseAll(ctx, store, m.Log, ds.last().Size); err != nil {
		return err
	}
	m.endsWith(ds.last())
	return nil
}

// eraseAll deletes what is left of everybody whom a log erases.
func eraseAll(ctx context.Context, store eventlog.Store, log event.LogID, size event.Position) error {
	var gone []event.SubjectID // first all: erasing waits for whoever reads
	for p, err := range store.Postings(ctx, log, event.TypeTerm("subject.erased"), 0, size, false) {
		if err != nil {
			return err
		}
		for r, err := range store.Records(ctx, log, p, p) {
			if err != nil {
				return err
			}
			if s, ok := erasedBy(r); ok {
				gone = append(gone, s)
			}
		}
	}
	for _, s := range gone {
		left, err := isLeft(ctx, store, log, s, size)
		if err == nil && left {
			err = store.Erase(ctx, log, s, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isLeft reports whether anything is left to be deleted of a subject.
func isLeft(ctx context.Context, store eventlog.Store, log event.LogID, s event.SubjectID, size event.Position) (bool, error) {
	for p, err := range store.Postings(ctx, log, event.SubjectTerm(s), 0, size, false) {
		if err != nil {
			return false, err
		}
		for r, err := range store.Records(ctx, log, p, p) {
			if err != nil {
				return false, err
			}
			for i, b := range r.Blocks {
				if b.Subject == s && r.Ciphertexts[i] != nil {
					return true, nil
				}
			}
		}
	}
	return false, nil
}
