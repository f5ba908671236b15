package ops

import (
	"context"
	"iter"

	trail "muniment.dev/audit"
	"muniment.dev/custom/publish"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/seal"
)

// Reading is a data directory that is read and not changed: that of a server
// which is stopped, or a snapshot of one that runs; or the log of a database.
// Close must be called.
type Reading struct {
	Log  event.LogID
	Size event.Position

	store  *opened
	types  *eventlog.Log // for the event types that are this log's own
	reader *trail.Reader
	keys   *seal.Keys // nil: what is sealed stays so
}

// LogAt is the layout of a data directory, or of a log in a database without
// anything beside it.
func LogAt(where string) Layout { return layoutOf(where) }

// OpenReading opens a data directory, or a log in a database, for reading. Sealed fields are opened only
// with unseal, which needs the keys; a server must not run then.
func OpenReading(ctx context.Context, l Layout, reg *event.Registry, unseal bool) (_ *Reading, err error) {
	r := &Reading{}
	if r.store, err = openLog(ctx, l); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	log, head, bad, err := end(ctx, r.store, event.LogID{})
	switch {
	case err != nil:
		return nil, err
	case bad != nil:
		return nil, fault.New(fault.Corrupt, "%s; run verify", bad.Msg)
	}
	r.Log, r.Size = log, head.Size
	if r.types, err = eventlog.OpenReadOnly(ctx, r.store, log); err != nil {
		return nil, err
	}
	sealer := &seal.Sealer{Log: log, Assigned: assigned{r.store, log}, Keys: noKeys{}, Registry: reg}
	publish.Learn(r.types, sealer)
	if unseal {
		if r.keys, err = openKeys(ctx, l); err != nil {
			return nil, err
		}
		sealer.Keys, sealer.Erased = r.keys, erasedIn(assigned{r.store, log})
	}
	r.reader = &trail.Reader{Sealer: sealer}
	return r, nil
}

// Close closes what was opened.
func (r *Reading) Close() {
	if r.keys != nil {
		r.keys.Close()
	}
	if r.types != nil {
		r.types.Close() //nolint:errcheck // it holds nothing
	}
	r.store.close()
}

// Events yields the events that a filter selects, in order.
func (r *Reading) Events(ctx context.Context, f trail.Filter) iter.Seq2[*trail.Entry, error] {
	return func(yield func(*trail.Entry, error) bool) {
		upto := r.Size
		if f.Before > 0 {
			upto = min(upto, f.Before-1)
		}
		if f.After >= upto {
			return
		}
		for rec, err := range ahead(r.store.Records(ctx, r.Log, f.After+1, upto)) {
			if err == nil && (!f.Matches(rec) || rec.Time.Before(f.From) || !f.To.IsZero() && !rec.Time.Before(f.To)) {
				continue
			}
			var e *trail.Entry
			if err == nil {
				e, err = r.reader.Entry(ctx, rec, trail.Whole())
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Records yields all records as they are stored, in order.
func (r *Reading) Records(ctx context.Context) iter.Seq2[*event.Record, error] {
	return ahead(r.store.Records(ctx, r.Log, 1, r.Size))
}

// Inspection is all that there is to say of one record.
type Inspection struct {
	*trail.Entry
	Context []trail.ContextField
	Hash    event.Hash
	Proof   []event.Hash // leaf's sibling first; nil if no checkpoint covers it
	Tree    ledger.Tree  // that the proof leads to
	Note    string       // the checkpoint
	Result  string       // "valid", "pending", or what does not fit
}

// At finds the position of an event by its id.
func (r *Reading) At(ctx context.Context, id event.ID) (event.Position, error) {
	p, ok, err := r.store.EventPosition(ctx, r.Log, id)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "there is no event with this id")
	}
	return p, err
}

// Inspect reads one record and checks its proof against a stored checkpoint;
// with the log's public key, the checkpoint's signature too.
func (r *Reading) Inspect(ctx context.Context, p event.Position, key string) (*Inspection, error) {
	if p == 0 || p > r.Size {
		return nil, fault.New(fault.NotFound, "there is no record at position %d; the last one is %d", p, r.Size)
	}
	for rec, err := range r.store.Records(ctx, r.Log, p, p) {
		if err != nil {
			return nil, err
		}
		return r.inspect(ctx, rec, key)
	}
	return nil, fault.New(fault.Corrupt, "the record at position %d is missing; run verify", p)
}

func (r *Reading) inspect(ctx context.Context, rec *event.Record, key string) (i *Inspection, err error) {
	i = &Inspection{Hash: rec.Hash(), Result: "pending"}
	if i.Entry, err = r.reader.Entry(ctx, rec, trail.Whole()); err != nil {
		return nil, err
	}
	if i.Context, err = r.reader.Context(ctx, rec, trail.Whole()); err != nil {
		return nil, err
	}
	c, err := covering(ctx, r.store, r.Log, rec.Position)
	if fault.Is(err, fault.Unavailable) {
		return i, nil
	}
	if err != nil {
		return nil, err
	}
	i.Tree, i.Note = c.Tree, string(c.Note)
	prover := ledger.NewProver(r.store, r.Log)
	proof, _, err := prover.Inclusion(ctx, rec.Position, c.Tree)
	if err != nil {
		return nil, err
	}
	for _, h := range proof {
		i.Proof = append(i.Proof, event.Hash(h))
	}
	file, err := prover.Receipt(ctx, rec.Position, c)
	if err != nil {
		return nil, err
	}
	switch report, err := VerifyReceipt(file, key); {
	case err != nil:
		i.Result = err.Error()
	case report.Verdict == verify.Verified:
		i.Result = "valid, and signed with the key that was given"
	default:
		i.Result = "valid; whose signature it is was not checked, for want of a key"
	}
	return i, nil
}

// assigned answers whose keys are in use from a store that is only read.
type assigned struct {
	store eventlog.Store
	log   event.LogID
}

// AssignedKey implements seal.Assignments.
func (a assigned) AssignedKey(ctx context.Context, s event.SubjectID) (event.KeyID, event.State, error) {
	use, ok, err := a.store.Subject(ctx, a.log, s)
	switch {
	case err != nil || !ok || use.Key.IsZero() && !use.Erased:
		return event.KeyID{}, event.Absent, err
	case use.Erased:
		return use.Key, event.Erased, nil
	}
	return use.Key, event.Present, nil
}

// erasedIn answers who was erased, looking everybody up once: the key may still
// be there, if the server stopped right after it recorded the erasure.
func erasedIn(a assigned) func(context.Context, event.SubjectID) (bool, error) {
	known := map[event.SubjectID]bool{}
	return func(ctx context.Context, s event.SubjectID) (bool, error) {
		erased, ok := known[s]
		if !ok {
			_, state, err := a.AssignedKey(ctx, s)
			if err != nil {
				return false, err
			}
			erased = state == event.Erased
			known[s] = erased
		}
		return erased, nil
	}
}

// Generation implements seal.Assignments; nothing is sealed here.
func (a assigned) Generation() event.LogID { return a.log }

// noKeys is a seal.KeyStore without any.
type noKeys struct{}

var errNoKeys = fault.New(fault.NotFound, "the keys were not opened")

// Draw implements seal.KeyStore.
func (noKeys) Draw(context.Context, event.LogID) (event.KeyID, seal.Secret, error) {
	return event.KeyID{}, seal.Secret{}, errNoKeys
}

// Get implements seal.KeyStore.
func (noKeys) Get(context.Context, event.LogID, event.KeyID) (seal.Secret, error) {
	return seal.Secret{}, errNoKeys
}
