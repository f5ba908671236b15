package ops

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/seal"
)

// Snapshot is one consistent state of a data directory, held until Close: of a
// running server what it gave out over its admin socket, else the directory
// itself, locked meanwhile.
type Snapshot struct {
	layout   Layout
	manifest Manifest
	store    *opened

	early, known map[event.KeyID]bool // see destroyedEarly; in this one, in the one before
}

// ErrWithdrawn asks to begin again: somebody was erased while the snapshot was
// in use, and it still held what has to go.
var ErrWithdrawn = fault.New(fault.Conflict, "somebody was erased meanwhile, and the server took the snapshot back; begin again")

// TakeSnapshot takes the snapshot of a data directory. Close must be called,
// soon: a snapshot keeps files alive that would otherwise be deleted, and an
// erasure withdraws it.
func TakeSnapshot(ctx context.Context, l Layout) (_ *Snapshot, err error) {
	// The register first: a running server moves it on, always behind the log.
	held, err := heldRegister(ctx, register(l.Register))
	if err != nil {
		return nil, err
	}
	store, err := openLog(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.close()
		}
	}()
	now, err := stateOf(ctx, store)
	if err != nil {
		return nil, err
	}
	if now.IsZero() {
		return nil, fault.New(fault.NotFound, "there is no log in %s", l.Dir)
	}
	m := Manifest{Format: archiveFormat, Made: time.Now().UTC(), Log: now.Log, Size: now.Size, Root: tlog.Hash(now.Root), Term: now.Term}
	if l.Register != "" {
		m.Register = saidBy(held.Load(ctx))
	}
	for c, err := range store.Checkpoints(ctx, now.Log, 0) {
		if err != nil {
			return nil, err
		}
		m.Checkpoint = string(c.Note)
	}
	s := &Snapshot{layout: l, manifest: m, store: store}
	return s, s.acknowledged(ctx)
}

// WithSnapshot lends a snapshot to f, and another one if it was withdrawn.
func WithSnapshot(ctx context.Context, l Layout, f func(*Snapshot) error) error {
	known := map[event.KeyID]bool{}
	for attempt := 1; ; attempt++ {
		s, err := TakeSnapshot(ctx, l)
		if err != nil {
			return err
		}
		s.known = known
		err = f(s)
		s.Close()
		if !errors.Is(err, ErrWithdrawn) || attempt == 5 {
			return err
		}
		known = s.early
	}
}

// saidBy writes what a register said.
func saidBy(s ledger.State, err error) string {
	switch {
	case err != nil:
		return "cannot be read"
	case s.IsZero():
		return "none"
	}
	return count(uint64(s.Size), "record", "records") + ", root " + tlog.Hash(s.Root).String()
}

// Manifest says what the snapshot is of.
func (s *Snapshot) Manifest() Manifest { return s.manifest }

// Close gives the snapshot back.
func (s *Snapshot) Close() { s.store.close() }

// Verify verifies the log in the snapshot.
func (s *Snapshot) Verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	r, err := Verify(ctx, s.store, o)
	if s.store.withdrawn() {
		return r, ErrWithdrawn
	}
	return r, err
}

// WriteLog writes the log as a backup file and returns its sums. What it wrote
// is worth nothing if it fails; with [ErrWithdrawn], a new snapshot helps.
func (s *Snapshot) WriteLog(ctx context.Context, w io.Writer, moved Moved) (sums []byte, err error) {
	if s.store.dir == "" {
		return nil, fault.New(fault.Refused, "the log is in a database; write it with muniment dump, which is consistent beside servers too")
	}
	files, total, err := regular(s.store.dir)
	if err != nil {
		return nil, err
	}
	m := s.manifest
	m.Holds, m.Bytes = HoldsLog, total
	a, err := newArchiver(ctx, w, m, moved)
	for _, f := range files {
		if err == nil {
			err = addFile(a, filepath.Join(s.store.dir, f.Name()), "log/"+f.Name(), f.Size())
		}
	}
	if err == nil {
		sums, err = a.close()
	}
	if s.store.withdrawn() { // whatever else went wrong then
		return nil, ErrWithdrawn
	}
	return sums, err
}

// regular lists the files of a store, without its lock.
func regular(dir string) (files []os.FileInfo, total int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, &fault.Error{Kind: fault.Unavailable, Msg: "the log store cannot be read", Err: err}
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, 0, &fault.Error{Kind: fault.Unavailable, Msg: "the log store cannot be read", Err: err}
		}
		if info.Mode().IsRegular() && e.Name() != "LOCK" {
			files, total = append(files, info), total+info.Size()
		}
	}
	return files, total, nil
}

func addFile(a *archiver, path, name string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Msg: "a file of the log store cannot be read", Err: err}
	}
	defer f.Close()
	return a.add(name, size, f)
}

// WriteKeys writes the key database, as it is now, as a backup file: it has all
// keys that the snapshot's log uses. [ErrWithdrawn] means that it may lack one
// that was destroyed after the snapshot was taken.
func (s *Snapshot) WriteKeys(ctx context.Context, w io.Writer, moved Moved) (sums []byte, err error) {
	c, err := seal.Copy(ctx, s.layout.Keys)
	if err != nil {
		return nil, err
	}
	if s.early, err = s.destroyedEarly(ctx, c); err != nil {
		return nil, err
	}
	m := s.manifest
	m.Holds, m.Bytes = HoldsKeys, int64(len(c.Stream))
	a, err := newArchiver(ctx, w, m, moved)
	if err == nil {
		err = a.add(keysName, int64(len(c.Stream)), bytes.NewReader(c.Stream))
	}
	if err == nil {
		sums, err = a.close()
	}
	if s.store.withdrawn() || s.store.live && len(s.early) > 0 && !maps.Equal(s.early, s.known) {
		return nil, ErrWithdrawn
	}
	return sums, err
}

// destroyedEarly returns the keys that are destroyed although the snapshot's log
// does not say so: the erasure came in between. (Or, if they are the same the
// next time, a list of erasures was applied to an older log.)
func (s *Snapshot) destroyedEarly(ctx context.Context, c seal.Copied) (map[event.KeyID]bool, error) {
	out := map[event.KeyID]bool{}
	for k := range c.Destroyed {
		use, ok, err := s.store.Key(ctx, s.manifest.Log, k)
		if err != nil {
			return nil, err
		}
		if ok && !use.Erased {
			out[k] = true
		}
	}
	return out, nil
}

// BackupOptions say where a backup goes.
type BackupOptions struct {
	To     string // file, or folder in which it gets a name by itself
	KeysTo string // the same for the keys; empty: they are left out
	Since  string // an earlier backup: only what came after it is written
	Verify bool   // the log's records before they are written, against Key and Checkpoint
	VerifyOptions
	Moved Moved // of the file that is being written, then of it being read again
}

// Backedup is what a backup came to.
type Backedup struct {
	Manifest
	Log      string         `json:"log_file"`
	Keys     string         `json:"keys_file,omitempty"`
	After    event.Position `json:"after,omitempty"` // the records up to here are in the backup before
	Verified *Report        `json:"verified,omitempty"`
}

// Backup writes a backup of a data directory or a database, beside running
// servers or without one. Each file gets its name when it is whole, on the disk, and was
// read again from there and compared. If it fails there is none.
func Backup(ctx context.Context, l Layout, o BackupOptions) (out *Backedup, err error) {
	if o.KeysTo != "" && filepath.Clean(o.KeysTo) == filepath.Clean(o.To) && !isFolder(o.To) {
		return nil, fault.Field("keys-to", "the keys must not go into the same file as the log: whoever has both can read everything")
	}
	err = WithSnapshot(ctx, l, func(s *Snapshot) error {
		out, err = s.backup(ctx, o)
		return err
	})
	return out, err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (s *Snapshot) backup(ctx context.Context, o BackupOptions) (_ *Backedup, err error) {
	out := &Backedup{Manifest: s.manifest}
	if o.Verify {
		if out.Verified, err = s.Verify(ctx, o.VerifyOptions); err != nil {
			return out, err
		}
		if len(out.Verified.Findings) > 0 {
			return out, fault.New(fault.Corrupt, "nothing was written: verifying found something; keep the backups that you have")
		}
	}
	log, err := s.writeLogFile(ctx, o, out)
	if err != nil {
		return out, err
	}
	defer log.drop()
	if o.KeysTo == "" {
		return out, log.commit()
	}
	out.Keys = named(o.KeysTo, s.manifest, HoldsKeys)
	keys, err := newFile(out.Keys)
	if err != nil {
		return out, err
	}
	defer keys.drop()
	if err := written(ctx, keys, s.WriteKeys, o.Moved); err != nil {
		return out, err
	}
	if err := keys.commit(); err != nil { // first: a log without its keys is worth less than keys without their log
		return out, err
	}
	return out, log.commit()
}

// named is the file that a backup goes to: in a folder, it is named after log,
// length and time.
func named(to string, m Manifest, holds string) string {
	if !isFolder(to) {
		return to
	}
	return filepath.Join(to, "muniment-"+m.Log.String()[:8]+"-"+m.Made.Format("20060102T150405.000Z")+"-"+holds+".tar")
}

// written writes a backup file and reads it again from the disk.
func written(ctx context.Context, f *pendingFile, write func(context.Context, io.Writer, Moved) ([]byte, error), moved Moved) error {
	sums, err := write(ctx, f, moved)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return writeFault(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return writeFault(err)
	}
	_, again, err := readArchive(ctx, f, moved, func(Manifest, string, io.Reader) error { return nil })
	if err == nil && !bytes.Equal(sums, again) {
		err = fault.New(fault.Corrupt, "the backup does not read as it was written; look at the disk that it went to")
	}
	return err
}
