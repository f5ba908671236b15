package ops

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/pgdb"
	"muniment.dev/seal"
	"muniment.dev/seal/erasure"
	"muniment.dev/seal/kms/file"
)

// RestoreOptions say what is restored, and what it is held against.
type RestoreOptions struct {
	From     string   // the log's backup file, in either form
	Then     []string // what came after it, in order
	KeysFrom string   // the keys' backup file; empty: without keys, so that no server can start
	RootKey  string   // file of the root key, to see that it is the right one
	To       string   // a folder that does not exist, or is empty; or a database that holds no log
	KeysTo   string   // of a database: where the keys go, which must hold none; empty: nowhere
	Register string   // the register that survived; empty: the place where the restored folder has its own
	Erasures string   // the list of erasures that survived; empty: the one beside the register
	// OldKeys lets a backup of the keys pass that lacks some of the log's.
	OldKeys bool
	VerifyOptions
	Moved Moved

	passing bool // To is on the way to somewhere else
}

// Restored is what was restored.
type Restored struct {
	Manifest Manifest     `json:"manifest"`
	Dir      string       `json:"dir"`
	Verified *Report      `json:"verified"`
	Keys     string       `json:"keys"`              // what became of them, in words
	Erased   int          `json:"erased"`            // keys that were destroyed again
	Register ledger.State `json:"register"`          // that survived; zero if none did
	Refused  string       `json:"refused,omitempty"` // why a server will not write to it; empty if it will
}

// restoredNote is a file in a restored folder until a server has opened it: so
// nobody takes an old state for the newest by adopting it unawares.
const restoredNote = "restored.json"

// Restoration is what that file says.
type Restoration struct {
	Made     time.Time      `json:"backup_made"`
	Restored time.Time      `json:"restored"`
	Log      event.LogID    `json:"log"`
	Size     event.Position `json:"size"`
	Root     tlog.Hash      `json:"root"`
}

// Restore makes a data directory out of backups. Everything is unpacked into a
// folder beside the target, compared with its sums, verified, and put on the
// disk; only then the folder gets its name. If it fails, the target is as it
// was. It writes no register: see [Restored.Refused].
func Restore(ctx context.Context, o RestoreOptions) (_ *Restored, err error) {
	if pgdb.Is(o.To) {
		return restoreInto(ctx, o)
	}
	if o.KeysTo != "" {
		return nil, fault.Field("keys-to", "the keys go into the restored folder; another place for them is for a database")
	}
	if err := checkTarget(o.To); err != nil {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(o.To))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, restoreFault(err)
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(o.To)+".restoring-*")
	if err != nil {
		return nil, restoreFault(err)
	}
	defer func() {
		if e := os.RemoveAll(tmp); err == nil && e != nil {
			err = restoreFault(e)
		}
	}()
	r := &restoring{RestoreOptions: o, l: DefaultLayout(tmp), out: &Restored{Dir: o.To}}
	for _, step := range []func(context.Context) error{r.unpack, r.check, r.checkKeys, r.eraseAgain, r.compare, r.note} {
		if err := step(ctx); err != nil {
			return r.out, err
		}
	}
	return r.out, publishFolder(ctx, tmp, o.To)
}

func restoreFault(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &fault.Error{Kind: fault.Unavailable, Op: "restore", Msg: "the folder could not be written; check its disk and permissions", Err: err}
}

// checkTarget refuses a folder in which anything is.
func checkTarget(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return &fault.Error{Kind: fault.Invalid, Field: "to", Msg: "is no folder that can be read", Err: err}
	case len(entries) > 0:
		return &fault.Error{Kind: fault.Exists, Field: "to", Msg: dir + " is not empty; restore into a folder that is, and compare before you replace anything"}
	}
	return nil
}

// restoring is a restore under way in a temporary folder.
type restoring struct {
	RestoreOptions
	l        Layout
	out      *Restored
	assigned []event.KeyID // that the log uses and has not erased
	erased   []event.KeyID // whose erasure the log holds
}

// unpack unpacks the log and the keys.
func (r *restoring) unpack(ctx context.Context) (err error) {
	if err := os.Mkdir(r.l.Log, 0o700); err != nil {
		return restoreFault(err)
	}
	c := chain{files: append([]string{r.From}, r.Then...), moved: r.Moved, progress: r.Progress}
	r.out.Manifest, err = c.unpack(ctx, r.l.Log)
	if err != nil || r.KeysFrom == "" {
		return err
	}
	keys, err := unpackFile(ctx, r.KeysFrom, HoldsKeys, r.Moved, func(name string, in io.Reader) error {
		switch name {
		case keysName:
			return seal.Restore(ctx, r.l.Keys, in)
		case oldKeysName:
			return writeSynced(r.l.Keys, in)
		}
		return errNoArchive
	})
	if err == nil && keys.Log != r.out.Manifest.Log {
		err = fault.Field("keys-from", "these are the keys of log %s, not of log %s", keys.Log, r.out.Manifest.Log)
	}
	return err
}

func writeSynced(path string, in io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return restoreFault(err)
	}
	_, err = io.Copy(f, in)
	if err == nil {
		err = restoreFault(f.Sync())
	}
	return errors.Join(err, f.Close())
}

// check verifies the log that was unpacked.
func (r *restoring) check(ctx context.Context) error {
	m := r.out.Manifest
	store, err := openUnpacked(ctx, r.l.Log, m)
	if err != nil {
		return err
	}
	defer store.Close()
	if r.out.Verified, err = Verify(ctx, store, r.VerifyOptions); err != nil {
		return err
	}
	if len(r.out.Verified.Findings) > 0 {
		return fault.New(fault.Corrupt, "nothing was restored: verifying found something")
	}
	return store.Subjects(ctx, m.Log, func(u eventlog.KeyUse) bool {
		switch {
		case u.Key.IsZero():
		case u.Erased:
			r.erased = append(r.erased, u.Key)
		default:
			r.assigned = append(r.assigned, u.Key)
		}
		return true
	})
}

// checkKeys looks whether the keys are those that the log needs.
func (r *restoring) checkKeys(ctx context.Context) error {
	if r.KeysFrom == "" {
		r.out.Keys = "none: whoever has the log alone can verify it; a server cannot start on it"
		return nil
	}
	missing, err := seal.Missing(ctx, r.l.Keys, r.assigned)
	if err != nil {
		return err
	}
	if len(missing) > 0 && !r.OldKeys {
		return fault.New(fault.Refused, "nothing was restored: the backup of the keys is older than that of the log, and lacks %s of its %s; look for the one that was made with it, or give --old-keys and lose what they sealed",
			count(len(missing), "key", "keys"), number(len(r.assigned)))
	}
	r.out.Keys = count(len(r.assigned)-len(missing), "key that the log uses", "keys that the log uses")
	if len(missing) > 0 {
		r.out.Keys += ", " + number(len(missing)) + " missing"
	}
	if r.RootKey == "" {
		r.out.Keys += "; whether the root key is the right one was not looked at"
		return nil
	}
	return r.useRoot(ctx)
}

// useRoot puts the root key beside the keys, if they stay, and sees that it opens
// them.
func (r *restoring) useRoot(ctx context.Context) error {
	in, err := os.Open(r.RootKey)
	if err != nil {
		return &fault.Error{Kind: fault.NotFound, Field: "root-key", Msg: "the file cannot be read", Err: err}
	}
	defer in.Close()
	path := r.RootKey
	if !r.passing { // not on a disk of temporary files beside the keys
		path = r.l.Root
		if err := writeSynced(path, in); err != nil {
			return err
		}
	}
	root, err := file.Open(path)
	if err != nil {
		return err
	}
	keys, err := seal.OpenKeys(ctx, r.l.Keys, root)
	if err != nil {
		return err
	}
	return keys.Close()
}

// eraseAgain destroys the keys of everybody who was erased: by the log, and by
// the list that was kept apart from it, which may know of later ones.
func (r *restoring) eraseAgain(ctx context.Context) error {
	list := r.Erasures
	if list == "" {
		list = erasure.ListPath(r.register())
	}
	later, err := erasure.ReadList(ctx, list, r.out.Manifest.Log)
	if errors.Is(err, os.ErrNotExist) && r.Erasures == "" {
		err = nil
	}
	if err != nil || r.KeysFrom == "" {
		return err
	}
	r.out.Erased, err = seal.Destroy(ctx, r.l.Keys, r.out.Manifest.Log, append(r.erased, later...)...)
	return err
}

// register is where the register is that survived.
func (r *restoring) register() string {
	if r.RestoreOptions.Register != "" {
		return r.RestoreOptions.Register
	}
	return DefaultLayout(r.To).Register
}

// compare says whether a server would write to what was restored.
func (r *restoring) compare(ctx context.Context) (err error) {
	reg := register(r.register())
	if r.out.Register, err = reg.Load(ctx); err != nil {
		return err
	}
	store, err := pebblelog.OpenReadOnly(r.l.Log, pebblelog.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	_, err = ledger.Admit(ctx, store, r.out.Manifest.Log, reg)
	if fault.Is(err, fault.Refused) {
		r.out.Refused, err = explain(err), nil
	}
	return err
}

// note leaves word that this folder was restored.
func (r *restoring) note(context.Context) error {
	m := r.out.Manifest
	b, err := json.MarshalIndent(Restoration{m.Made, time.Now().UTC(), m.Log, m.Size, m.Root}, "", "  ")
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(r.l.Dir, restoredNote), strings.NewReader(string(b)+"\n"))
}

// publishFolder gives a finished folder its name.
func publishFolder(ctx context.Context, tmp, to string) error {
	os.Remove(filepath.Join(tmp, "log", "LOCK")) // of our reading
	for _, dir := range []string{filepath.Join(tmp, "log"), tmp} {
		if err := syncFolder(dir); err != nil {
			return restoreFault(err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return &fault.Error{Kind: fault.Unavailable, Op: "restore", Msg: to + " cannot be replaced; if a disk is mounted there, restore into a folder on it", Err: err}
	}
	if err := os.Rename(tmp, to); err != nil {
		return restoreFault(err)
	}
	return restoreFault(syncFolder(filepath.Dir(filepath.Clean(to))))
}

// WasRestored returns what is noted of a restore that no server has opened yet.
func WasRestored(l Layout) (r Restoration, ok bool) {
	b, err := os.ReadFile(filepath.Join(l.Dir, restoredNote))
	return r, err == nil && json.Unmarshal(b, &r) == nil
}

// Admitted notes that a server has opened a data directory: whether it was
// restored does not matter any more.
func Admitted(l Layout) error {
	err := os.Remove(filepath.Join(l.Dir, restoredNote))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
