package view

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// File is where views are kept in one file of SQLite. The empty one is in
// memory.
type File string

func (f File) open(_ context.Context, s *Set) (home, error) { return &files{s, string(f)}, nil }

// files are a file of views and those that are made beside it.
type files struct {
	s    *Set
	path string
}

// The file that is being built, beside the one that serves.
const (
	newSuffix   = ".new"
	checkSuffix = ".check"
)

// live opens the file, or makes a new one.
func (h *files) live(ctx context.Context) (*database, error) {
	if h.path != inMemory {
		for _, suffix := range []string{newSuffix, checkSuffix} {
			if err := remove(h.path + suffix); err != nil {
				return nil, err
			}
		}
		if _, err := os.Stat(h.path); err == nil && !h.s.opts.Rebuild {
			d, err := h.existing(ctx)
			if d != nil || err != nil {
				return d, err
			}
		}
		if err := remove(h.path); err != nil {
			return nil, err
		}
	}
	d, err := createFile(h.path, h.s.all().views, h.s.log.ID(), serving)
	if err != nil {
		return nil, err
	}
	return d, d.kept.(*file).addReaders(h.s.opts.Readers)
}

// existing returns nil if the file has nothing that could be used.
func (h *files) existing(ctx context.Context) (d *database, err error) {
	d, err = openFile(h.path, nil, serving)
	if err != nil {
		return nil, h.unusable(err)
	}
	usable := false
	defer func() {
		if !usable {
			d.close()
			d = nil
		}
	}()
	f := d.kept.(*file)
	at, prints, ours, err := f.survey(d.w)
	if err != nil || !ours {
		return d, h.unusable(err)
	}
	if err := h.s.follows(ctx, at); err != nil {
		return d, err
	}
	d.at = at
	var same []*View
	for _, v := range h.s.known() {
		if prints[v.Name] == v.fingerprint() {
			same = append(same, v)
		}
	}
	if len(same) == 0 {
		return d, nil
	}
	if err := d.keep(same, prints); err != nil {
		return d, err
	}
	usable = true
	return d, f.addReaders(h.s.opts.Readers)
}

// unusable turns the errors of a damaged file into none: it is made again.
func (h *files) unusable(err error) error {
	if code := sqliteCode(err); err == nil || code == codeNotADB || code == codeCorrupt {
		h.s.opts.Logger.Warn("the file of views cannot be used and is made again from the log", slog.Any("reason", err))
		return nil
	}
	return err
}

func (h *files) beside(suffix string) string {
	if h.path == inMemory {
		return inMemory
	}
	return h.path + suffix
}

func (h *files) shadow(_ context.Context, suffix string, views []*View) (*database, error) {
	path := h.beside(suffix)
	if err := remove(path); err != nil {
		return nil, err
	}
	return createFile(path, views, h.s.log.ID(), building)
}

// copy writes one state of the database to another file. The writer goes on
// meanwhile.
func (h *files) copy(_ context.Context, _ *database, views []*View) (*database, error) {
	if h.path == inMemory {
		return nil, nil
	}
	path := h.beside(newSuffix)
	if err := remove(path); err != nil {
		return nil, err
	}
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	c, err := connect(h.path)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if _, err = exec(context.Background(), c, sqlCopy, path); err != nil {
		return nil, err
	}
	d, err := openFile(path, views, building)
	if err != nil {
		return nil, err
	}
	if err := d.become(views); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// become makes a file of views that of others, without rows where they differ.
func (d *database) become(views []*View) error {
	at, prints, _, err := d.kept.(*file).survey(d.w)
	if err != nil {
		return err
	}
	whole := d.lay
	d.at = at
	same := slices.DeleteFunc(slices.Clone(views), func(v *View) bool { return prints[v.Name] != v.fingerprint() })
	if len(same) == len(views) && len(same) == len(prints) {
		return nil
	}
	if err := d.keep(same, prints); err != nil {
		return err
	}
	d.lay = whole
	ctx := context.Background()
	return d.w.in(sqlite.begin, nil, func() error {
		for _, v := range views {
			if slices.Contains(same, v) {
				continue
			}
			if err := d.w.run(ctx, plain(whole.creates(v))); err != nil {
				return err
			}
			if _, err := exec(ctx, d.w, sqlAddView, v.Name, v.fingerprint()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *files) install(live, d *database, catchUp func(event.Position) error) (*database, error) {
	if err := catchUp(live.at.position); err != nil {
		return nil, err
	}
	if h.path == inMemory {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.closed = true // its connection lives on
		return &database{kept: d.kept, lay: d.lay, w: d.w, at: d.at}, live.close()
	}
	return h.rename(live, d)
}

func (h *files) rename(live, d *database) (*database, error) {
	path := d.kept.(*file).path
	if err := d.shut(); err != nil {
		return nil, err
	}
	if err := syncFile(path); err != nil {
		return nil, err
	}
	if err := live.close(); err != nil {
		return nil, err
	}
	// Closing takes its write-ahead log in. If that failed, the old file is not
	// whole without it, and may yet have to serve.
	if info, err := os.Stat(h.path + remains[0]); err == nil && info.Size() > 0 {
		return nil, fault.New(fault.Unavailable, "the old file of views could not be closed in order")
	}
	for _, suffix := range remains { // of the old file; they would be taken for the new one's
		if err := os.Remove(h.path + suffix); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	if err := os.Rename(path, h.path); err != nil {
		return nil, err
	}
	if err := syncFile(filepath.Dir(h.path)); err != nil {
		return nil, err
	}
	next, err := openFile(h.path, d.lay.views, serving)
	if err != nil {
		return nil, err
	}
	if err := next.find(); err != nil {
		next.close()
		return nil, err
	}
	return next, next.kept.(*file).addReaders(h.s.opts.Readers)
}

// discard removes the file, if it is not the one that serves now.
func (h *files) discard(d *database) error { return remove(d.kept.(*file).path) }

func (h *files) claim(context.Context) (func(), error) { return func() {}, nil }

func (h *files) close() {}

// remains are the files that SQLite keeps beside a database.
var remains = []string{"-wal", "-shm", "-journal"}

// remove deletes a database's files, if there are any.
func remove(path string) error {
	if path == inMemory {
		return nil
	}
	for _, suffix := range slices.Concat([]string{""}, remains) {
		if err := os.Remove(path + suffix); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// syncFile makes a file's or a folder's content durable.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}
