package ops

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/pgdb"
	"muniment.dev/view"
)

// GenerationOptions say how a new generation is begun.
type GenerationOptions struct {
	// Checkpoint is the newest signed one that anybody kept; empty if none.
	Checkpoint []byte
	// Force begins it; without, only what would happen is said.
	Force bool
}

// Generations is how a log stands, and what beginning a new generation came to.
type Generations struct {
	Dir      string                `json:"dir"` // or that it is a database
	List     []eventlog.Generation `json:"generations"`
	Size     event.Position        `json:"size"`
	Register ledger.State          `json:"register"` // zero if there is none
	// Known is how many records the log had once, by the register or by a
	// checkpoint that was given; 0 if nobody knows.
	Known event.Position `json:"known"`
	// Missing is how many of them were known to be missing before it was begun.
	Missing event.Position `json:"missing"`
	// Names is the size of the checkpoint that the new generation names; 0 if it
	// names none.
	Names      event.Position `json:"names"`
	Unfinished bool           `json:"unfinished"` // it was begun before, and the register was not told
	Begun      bool           `json:"begun"`

	checkpoint string
	place      string // as it is said to commands
	register   string // flag that says where it is, if it is elsewhere
}

// GenerationsOf says how the log of a stopped data directory stands.
func GenerationsOf(ctx context.Context, l Layout) (*Generations, error) {
	s, err := OpenStopped(ctx, l, Program{}, false)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	at, err := ledger.LookAtGenerations(ctx, s.store, s.Log.ID(), register(l.Register))
	if at == nil {
		return nil, err
	}
	return generationsOf(l, at), err
}

func generationsOf(l Layout, at *ledger.Generations) *Generations {
	out := &Generations{Dir: l.Dir, List: at.List, Size: at.Log.Size, Register: at.Register, Known: at.Register.Size, Unfinished: at.Unfinished}
	if l.Register != "" && l.Register != DefaultLayout(l.Dir).Register {
		out.register = " --register " + l.Register
		if strings.Contains(l.Register, "://") { // it may hold a password
			out.register = " --register PLACE"
		}
	}
	switch out.place = l.Dir; {
	case pgdb.Is(l.Log) && l.Dir == inDatabase:
		out.place = "postgres://..."
	case pgdb.Is(l.Log):
		out.place += " --database postgres://..."
	}
	return out
}

// BeginGeneration begins a new generation of a log, in a directory or a database
// on which no server is at work, that was restored from a backup and lacks records (docs/adr/0017). It needs the
// keys: what was lost is admitted in a signed checkpoint.
func BeginGeneration(ctx context.Context, l Layout, p Program, o GenerationOptions) (*Generations, error) {
	if l.Register == "" {
		return nil, fault.Field("register", "say where the register is: it knows what is missing, and follows the new generation")
	}
	log, out, err := considerGeneration(ctx, l, p, o)
	if err != nil || !o.Force {
		return out, err
	}
	store, err := openIdle(ctx, l, log)
	if err != nil {
		return out, err
	}
	at, err := ledger.Begin(ctx, store, log, register(l.Register), out.checkpoint, eventlog.Options{})
	if err = errors.Join(err, store.Close()); err != nil {
		return out, err
	}
	size := out.Size
	out.List, out.Size, out.Register, out.Unfinished, out.Begun = at.List, at.Log.Size, at.Register, false, true
	if err := dropAhead(ctx, l, p, size); err != nil {
		return out, err
	}
	return out, Admitted(l)
}

// openIdle opens a log for writing on which no server is at work.
func openIdle(ctx context.Context, l Layout, log event.LogID) (eventlog.Store, error) {
	if !pgdb.Is(l.Log) {
		return pebblelog.Open(l.Log, pebblelog.Options{})
	}
	store, err := pglog.Open(ctx, pglog.Options{DSN: l.Log})
	if err != nil {
		return nil, err
	}
	if err := refuseAtWork(ctx, store, log); err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

// refuseAtWork refuses a log that a node holds.
func refuseAtWork(ctx context.Context, store eventlog.Store, log event.LogID) error {
	shared, ok := store.(eventlog.Shared)
	if !ok {
		return nil
	}
	busy, err := atWork(ctx, shared, log)
	if err == nil && busy {
		err = fault.New(fault.Refused, "a node is at work on the log in the database; stop all of them, and if one was killed, wait until its lease has run out")
	}
	return err
}

// considerGeneration looks at everything, and changes nothing.
func considerGeneration(ctx context.Context, l Layout, p Program, o GenerationOptions) (event.LogID, *Generations, error) {
	s, err := OpenStopped(ctx, l, p, true)
	if err != nil {
		return event.LogID{}, nil, err
	}
	defer s.Close()
	if err := refuseAtWork(ctx, s.store.readable, s.Log.ID()); err != nil {
		return event.LogID{}, nil, err
	}
	at, err := ledger.LookAtGenerations(ctx, s.store, s.Log.ID(), register(l.Register))
	if err != nil {
		return event.LogID{}, nil, err
	}
	out := generationsOf(l, at)
	if at.Unfinished {
		out.Known = 0
		return s.Log.ID(), out, nil
	}
	if !at.Register.IsZero() && at.Missing() == 0 {
		return event.LogID{}, out, ledger.ErrNothingMissing
	}
	err = s.lastKnown(ctx, at, o.Checkpoint, out)
	out.Missing = out.Known - min(out.Known, out.Size)
	return s.Log.ID(), out, err
}

// lastKnown finds the newest checkpoint of the present generation that anybody
// knows of: what the register says, signed, since a register is written just
// before its checkpoint is; the one that was given; or the newest in the log.
func (s *Stopped) lastKnown(ctx context.Context, at *ledger.Generations, given []byte, out *Generations) error {
	secret, err := s.program.CheckpointSigner(ctx, s.Log, s.Sealer)
	if err != nil {
		return fault.Wrap("open the checkpoint key", err)
	}
	signer, err := ledger.NewSigner(secret)
	if err == nil {
		signer, err = signer.For(at.Log.Log)
	}
	if err != nil {
		return fault.Wrap("open the checkpoint key", err)
	}
	var best ledger.Checkpoint
	for c, err := range s.store.Checkpoints(ctx, s.Log.ID(), at.List[len(at.List)-1].First) {
		if err != nil {
			return err
		}
		if best, err = ledger.ParseCheckpoint(c.Note); err != nil {
			return err
		}
	}
	if at.Register.Size > best.Size {
		if best, err = signer.Sign(at.Register.Tree); err != nil {
			return err
		}
	}
	if len(given) > 0 {
		c, err := checkGiven(signer, given)
		switch {
		case err != nil:
			return err
		case c.Size == best.Size && c.Root != best.Root:
			return fault.Field("checkpoint", "it has another root than what is known of %d records: they tell two histories; keep a copy of everything, and find out which is right", c.Size)
		case c.Size > best.Size:
			best = c
		}
	}
	out.checkpoint, out.Names, out.Known = string(best.Note), best.Size, max(out.Known, best.Size)
	return nil
}

// checkGiven reads a checkpoint that somebody kept.
func checkGiven(signer *ledger.Signer, given []byte) (ledger.Checkpoint, error) {
	c, err := ledger.ParseCheckpoint(given)
	if err != nil {
		return c, &fault.Error{Kind: fault.Invalid, Field: "checkpoint", Msg: "the file is no signed checkpoint", Err: err}
	}
	v, err := note.NewVerifier(signer.VerifierKey())
	if err == nil {
		_, err = note.Open(given, note.VerifierList(v))
	}
	if err != nil || c.Log != signer.Log() {
		return c, &fault.Error{Kind: fault.Invalid, Field: "checkpoint", Msg: "the checkpoint is not signed with the key of this log's generation " + signer.Log().String(), Err: err}
	}
	return c, nil
}

// dropAhead deletes what was computed from records that are not there: it is
// made again from the log.
func dropAhead(ctx context.Context, l Layout, p Program, size event.Position) error {
	f, err := view.Inspect(ctx, ViewsIn(l.Views, nil), p.Views)
	if err != nil || f.Position <= size {
		return nil // none, or it is looked at when it is opened
	}
	if pgdb.Is(l.Views) {
		return view.Postgres{DSN: l.Views}.Drop(ctx)
	}
	for _, path := range []string{l.Views, l.Views + "-wal", l.Views + "-shm", filepath.Join(l.Dir, "stats.json")} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &fault.Error{Kind: fault.Unavailable, Msg: "the views are of records that are lost, and cannot be deleted; delete " + path, Err: err}
		}
	}
	return nil
}
