package erasure

import (
	"context"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// recorded is the type of the event that an erasure is (docs/record-format.md).
const recorded = "subject.erased"

// erasure is a record of type subject.erased, read.
type erasure struct {
	subject  event.SubjectID
	keys     []event.KeyID // to be destroyed
	position event.Position
	time     time.Time
}

// erasures reads those recorded after < position <= upto.
func (p *Process) erasures(ctx context.Context, after, upto event.Position) ([]erasure, error) {
	var out []erasure
	for r, err := range p.Log.ReadTo(ctx, event.OfTerm(event.TypeTerm(recorded), recorded), after, upto) {
		if err != nil {
			return nil, fault.Wrap("read erasures", err)
		}
		e, err := p.read(ctx, r)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// read takes the record apart. The key that the log has assigned is destroyed
// even if the event does not name it.
func (p *Process) read(ctx context.Context, r *event.Record) (erasure, error) {
	var payload struct {
		Subject event.SubjectID `cbor:"1,keyasint"`
		Keys    []event.KeyID   `cbor:"2,keyasint,omitempty"`
	}
	if err := event.Strict.Unmarshal(r.Public, &payload); err != nil {
		return erasure{}, &fault.Error{Kind: fault.Corrupt, Err: err, Msg: "an erasure in the log is malformed; run verify"}
	}
	e := erasure{subject: payload.Subject, keys: payload.Keys, position: r.Position, time: r.Time}
	assigned, state, err := p.Log.AssignedKey(ctx, e.subject)
	switch {
	case err != nil:
		return erasure{}, err
	case state != event.Erased:
		return erasure{}, fault.New(fault.Corrupt, "the index does not know that subject %s was erased at position %d; run verify", e.subject, r.Position)
	case !assigned.IsZero() && !slices.Contains(e.keys, assigned):
		e.keys = append(e.keys, assigned)
	}
	return e, nil
}
