package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/pgdb"
	"muniment.dev/seal"
	"muniment.dev/seal/kms/file"
)

// VerifyOptions say what a log is held against. The zero value holds it against
// itself and against the register of its layout, if there is one.
type VerifyOptions struct {
	Log        event.LogID // which log of the store; zero: the only one
	Key        string      // the log's public key, from outside
	Checkpoint []byte      // a signed checkpoint, kept outside
	Register   ledger.Register
	Keys       *seal.Keys // to open sealed fields and recompute commitments; may be nil
	Progress   func(Progress)
}

// Progress is how far verifying has come.
type Progress struct {
	Done, Of uint64 // records
	Findings int
	Elapsed  time.Duration
}

// Report is the result of verifying a store.
type Report struct {
	verify.Report
	KeyName  string    `json:"key,omitempty"` // of the key it was held against
	From     time.Time `json:"from,omitzero"` // of the first record, by the operator's clock
	Until    time.Time `json:"until,omitzero"`
	Postings uint64    `json:"postings"` // entries of the index that the records ask for
	Register string    `json:"register"` // what became of it, in words
	Erasures []Erasure `json:"erasures,omitempty"`

	term uint64 // that the register says
}

// Erasure is an erasure in the log and what is still there in spite of it.
type Erasure struct {
	Subject     event.SubjectID `json:"subject"`
	Position    uint64          `json:"position"`
	Time        time.Time       `json:"time"`
	Ciphertexts int             `json:"ciphertexts"` // not deleted yet
	Tags        int             `json:"tags"`        // blind tags not deleted yet
	Key         string          `json:"key"`         // "destroyed", "not destroyed", or "not looked at"
}

// Pending reports whether anything is left to be deleted.
func (e Erasure) Pending() bool { return e.Ciphertexts+e.Tags > 0 || e.Key == keyPresent }

const (
	keyGone    = "destroyed"
	keyPresent = "not destroyed"
	keyUnseen  = "not looked at"
)

// Verify verifies one log of a store. Its findings are in the report; an error
// means that it could not be checked, or not to the end.
func Verify(ctx context.Context, store eventlog.Store, o VerifyOptions) (*Report, error) {
	out := &Report{Register: "none was given"}
	vo := verify.Options{Key: o.Key, Checkpoint: o.Checkpoint, Blind: true, EventIDs: true}
	if o.Key != "" {
		v, err := note.NewVerifier(o.Key)
		if err != nil {
			return nil, fault.Field("key", "not a public key of a log: <host>/<log id>+<hash>+<key>")
		}
		out.KeyName = v.Name()
	}
	found, err := readRegister(ctx, o.Register, &vo, out)
	if err != nil {
		return nil, err
	}
	log, head, f, err := end(ctx, store, o.Log)
	if err != nil {
		return nil, err
	}
	if f != nil {
		found = append(found, *f)
	}
	if out.term > head.Term && f == nil {
		found = append(found, finding(StoreHead, 0, "the log was last taken under term %d, the register says %d: this is an older state of it", head.Term, out.term))
	}
	a := newAudit(store, log, head)
	a.found = append(a.found, found...)
	if o.Keys != nil {
		vo.Open = opener{o.Keys}
	}
	if o.Progress != nil {
		vo.Progress = func(p verify.Progress) {
			o.Progress(Progress{p.Position, uint64(head.Size), p.Findings + len(a.found), p.Elapsed})
		}
	}
	r, err := verify.Log(ctx, &source{store, log, head, a}, vo)
	if r != nil {
		out.Report = *r
	}
	if err == nil {
		err = a.finish(ctx)
	}
	if err == nil {
		err = a.erasures(ctx, o.Keys, out)
	}
	a.merge(out)
	if err != nil {
		out.Verdict = verify.Incomplete
		return out, asFault(err)
	}
	if out.LogID == (verify.ID{}) {
		out.LogID = verify.ID(log.ID)
	}
	return out, nil
}

// asFault keeps the verifier's own refusals of options readable.
func asFault(err error) error {
	var bad *verify.Error
	if errors.As(err, &bad) {
		return &fault.Error{Kind: fault.Invalid, Msg: "what the log was to be held against is not usable: " + bad.Error()}
	}
	return err
}

// readRegister reads the register, which must happen before the store is looked
// at: a server may be moving both.
func readRegister(ctx context.Context, reg ledger.Register, vo *verify.Options, out *Report) ([]verify.Finding, error) {
	if reg == nil {
		return nil, nil
	}
	s, err := reg.Load(ctx)
	switch {
	case fault.Is(err, fault.Corrupt):
		out.Register = "cannot be read"
		return []verify.Finding{finding(RegisterError, 0, "the register is damaged: %v", err)}, nil
	case err != nil:
		return nil, fault.Wrap("read the register", err)
	case s.IsZero():
		out.Register = "there is none, so a log that was cut short or rolled back may not be noticed"
		return nil, nil
	}
	out.Register, out.term = fmt.Sprintf("%d records, term %d", s.Size, s.Term), s.Term
	vo.Register = &verify.Head{LogID: verify.ID(s.Log.ID), Size: uint64(s.Size), Root: [32]byte(s.Root)}
	return nil, nil
}

// end finds the log and its head. A head that cannot be read is a finding; how
// long the log is then follows from its records.
func end(ctx context.Context, store eventlog.Store, log event.LogID) (event.LogID, eventlog.Head, *verify.Finding, error) {
	if log.IsZero() {
		logs, err := store.Logs(ctx)
		if err != nil {
			return log, eventlog.Head{}, nil, fault.Wrap("list the logs", err)
		}
		if len(logs) != 1 {
			return log, eventlog.Head{}, nil, fault.New(fault.NotFound, "the store holds %d logs; say which one to verify: %v", len(logs), logs)
		}
		log = logs[0]
	}
	head, err := store.Head(ctx, log)
	if err == nil || !fault.Is(err, fault.Corrupt) {
		return log, head, nil, fault.Wrap("read the log's head", err)
	}
	f := finding(StoreHead, 0, "the log's head cannot be read: %v", err)
	for r, err := range store.Records(ctx, log, 1, 1<<53-1) {
		if err != nil {
			break
		}
		head.Size, head.Last, head.Time = r.Position, r.Hash(), r.Time
	}
	return log, head, &f, nil
}

// merge adds the audit's findings to the verifier's.
func (a *audit) merge(out *Report) {
	out.Postings = a.terms
	if a.first != nil {
		out.From, out.Until = a.first.Time, a.last.Time
	}
	out.Suppressed += a.suppressed
	out.Findings = append(out.Findings, a.found...)
	slices.SortStableFunc(out.Findings, func(x, y verify.Finding) int { return cmp.Compare(place(x), place(y)) })
	for _, f := range a.found {
		if f.Position != 0 && (out.FirstBad == 0 || f.Position < out.FirstBad) {
			out.FirstBad = f.Position
		}
	}
	if len(out.Findings) > 0 && out.Verdict != verify.Incomplete {
		out.Verdict = verify.Failed
	}
}

// place sorts findings that name no record to the end.
func place(f verify.Finding) uint64 {
	if f.Position == 0 {
		return 1 << 63
	}
	return f.Position
}

// erasures lists the erasures with what is still there.
func (a *audit) erasures(ctx context.Context, keys *seal.Keys, out *Report) error {
	for s, e := range a.erased {
		if left := a.present[s]; left != nil {
			e.Ciphertexts, e.Tags = left.ciphertexts, left.tags
		}
		e.Key = keyUnseen
		if id := a.keys[s].Key; keys != nil && !id.IsZero() {
			_, err := keys.Get(ctx, a.log, id)
			switch {
			case err == nil:
				e.Key = keyPresent
			case fault.Is(err, fault.Erased), fault.Is(err, fault.NotFound):
				e.Key = keyGone
			default:
				return err
			}
		}
	}
	for _, e := range slices.SortedFunc(maps.Values(a.erased), func(x, y *Erasure) int { return cmp.Compare(x.Position, y.Position) }) {
		out.Erasures = append(out.Erasures, *e)
	}
	return nil
}

// opener gives the verifier keys from the key database.
type opener struct{ keys *seal.Keys }

// Key implements verify.Opener.
func (o opener) Key(ctx context.Context, log, _, key verify.ID) ([]byte, verify.KeyState, error) {
	k, err := o.keys.Get(ctx, event.LogID{ID: event.ID(log)}, event.KeyID{ID: event.ID(key)})
	switch {
	case err == nil:
		return k[:], verify.KeyActive, nil
	case fault.Is(err, fault.Erased):
		return nil, verify.KeyErased, nil
	case fault.Is(err, fault.NotFound):
		return nil, verify.KeyNever, nil
	}
	return nil, 0, err
}

// openKeys opens the key database of a layout. Neither it nor the root key is
// made if it does not exist.
func openKeys(ctx context.Context, l Layout) (*seal.Keys, error) {
	for _, path := range []string{l.Root, l.Keys} {
		if pgdb.Is(path) {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return nil, &fault.Error{Kind: fault.NotFound, Msg: "to open sealed fields, the key database and the root key are needed; there is no " + path}
		}
	}
	root, err := file.Open(l.Root)
	if err != nil {
		return nil, err
	}
	return seal.OpenKeys(ctx, l.Keys, root)
}

// readable is an engine, and what it tells of its index.
type readable interface {
	eventlog.Store
	eventlog.Lister
	leafReader
	lister
}

// opened is a store opened for reading, offline or as a server's snapshot.
type opened struct {
	readable
	dir   string          // of the files; empty for a database
	live  bool            // it is a snapshot of a running server's
	gone  <-chan struct{} // closed when the server withdrew it
	close func()
}

// openLog opens the log store of a layout for reading. If a server runs on it,
// the server is asked for a snapshot, or the database.
func openLog(ctx context.Context, l Layout) (*opened, error) {
	if exists(l.Socket) && !pgdb.Is(l.Log) {
		dir, release, gone, err := askForSnapshot(ctx, l)
		if err == nil {
			s, err := pebblelog.OpenReadOnly(dir, pebblelog.Options{})
			if err != nil {
				release()
				return nil, err
			}
			return &opened{s, dir, true, gone, func() { s.Close(); release() }}, nil
		}
		if !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	return openStopped(ctx, l)
}

// openStopped opens the log store of a layout on which no server runs, or a
// database as it is now.
func openStopped(ctx context.Context, l Layout) (*opened, error) {
	if pgdb.Is(l.Log) {
		s, err := pglog.OpenSnapshot(ctx, pglog.Options{DSN: l.Log})
		if err != nil {
			return nil, err
		}
		return &opened{s, "", true, nil, func() { s.Close() }}, nil
	}
	if !exists(l.Log) {
		return nil, fault.New(fault.NotFound, "there is no log store in %s", l.Dir)
	}
	s, err := pebblelog.OpenReadOnly(l.Log, pebblelog.Options{})
	if err != nil {
		return nil, err
	}
	return &opened{s, l.Log, false, nil, func() { s.Close() }}, nil
}

// withdrawn reports whether the server took its snapshot back.
func (o *opened) withdrawn() bool {
	if o.gone == nil {
		return false
	}
	select {
	case <-o.gone:
		return true
	default:
		return false
	}
}
