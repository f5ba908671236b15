package ops

import (
	"context"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// asDump reports whether a backup of the snapshot is written as a dump: what
// came after another one is, and what has no files to be copied.
func (s *Snapshot) asDump(o BackupOptions) bool { return o.Since != "" || s.store.dir == "" }

// writePiece writes a backup as a dump, and reads it again from the disk.
func (s *Snapshot) writePiece(ctx context.Context, f *pendingFile, at *piece, progress func(eventlog.CopyProgress)) (h DumpHeader, err error) {
	src, err := eventlog.SourceUpTo(ctx, s.store, s.manifest.Log, s.manifest.Size)
	if err != nil {
		return h, err
	}
	h, err = WriteDump(ctx, f, s.manifest.Log, src, at.after, at.before, progress)
	if err == nil {
		err = writeFault(f.Sync())
	}
	if err == nil {
		_, err = OpenDump(ctx, f.path+partial)
	}
	if s.store.withdrawn() { // whatever else went wrong then
		return h, ErrWithdrawn
	}
	if err == nil && s.store.dir == "" {
		err = s.stillHolds(ctx)
	}
	return h, err
}

// piece is where a dump begins.
type piece struct {
	after  event.Position
	before []event.Hash
}

// begins finds where the backup begins that goes on from another.
func (s *Snapshot) begins(ctx context.Context, earlier string) (*piece, error) {
	after, before, err := since(ctx, s, earlier)
	return &piece{after, before}, err
}

// stillHolds is ErrWithdrawn if somebody was erased behind the snapshot of a
// database, which nobody takes back.
func (s *Snapshot) stillHolds(ctx context.Context) error {
	now, err := openLog(ctx, s.layout)
	if err != nil {
		return err
	}
	defer now.close()
	h, err := now.Head(ctx, s.manifest.Log)
	if err != nil {
		return err
	}
	for _, err := range now.Postings(ctx, s.manifest.Log, event.TypeTerm("subject.erased"), s.manifest.Size, h.Size, false) {
		if err != nil {
			return err
		}
		return ErrWithdrawn
	}
	return nil
}

// acknowledged takes back a snapshot of a database to what its nodes published:
// what is behind may yet be lost.
func (s *Snapshot) acknowledged(ctx context.Context) error {
	shared, ok := s.store.readable.(eventlog.Shared)
	if !ok {
		return nil
	}
	st, err := shared.Standing(ctx, s.manifest.Log)
	if err != nil || st.Left <= 0 || !st.Known || st.Mark.Size >= s.manifest.Size {
		return err
	}
	s.manifest.Size, s.manifest.Root = st.Mark.Size, tlog.Hash(st.Mark.Root)
	return nil
}

// asVerified tells of records that are copied as of those that are verified.
func asVerified(show func(Progress)) func(eventlog.CopyProgress) {
	if show == nil {
		return nil
	}
	return func(p eventlog.CopyProgress) { show(Progress{Done: uint64(p.Done), Of: uint64(p.Of)}) }
}

// writeLogFile writes the log of a backup, in the form that it is due.
func (s *Snapshot) writeLogFile(ctx context.Context, o BackupOptions, out *Backedup) (*pendingFile, error) {
	var at *piece
	out.Log = named(o.To, s.manifest, HoldsLog)
	if s.asDump(o) {
		var err error
		if at, err = s.begins(ctx, o.Since); err != nil {
			return nil, err
		}
		out.Format, out.After = dumpFormat, at.after
		if out.Log = o.To; isFolder(o.To) {
			out.Log = filepath.Join(o.To, dumpName(s.manifest.Log, at.after, s.manifest.Size))
		}
	}
	f, err := newFile(out.Log)
	if err != nil {
		return nil, err
	}
	if at != nil {
		_, err = s.writePiece(ctx, f, at, asVerified(o.Progress))
	} else {
		err = written(ctx, f, s.WriteLog, o.Moved)
	}
	if err != nil {
		f.drop()
	}
	return f, err
}
