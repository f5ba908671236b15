package externalapi

import (
	"bytes"
	"context"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/external"
	"muniment.dev/field/external/exchange"
)

// Reasons that are not of a call.
const (
	stuck    exchange.Reason = "stuck"    // the cursor does not move although there is more
	internal exchange.Reason = "internal" // something is wrong here; the server's own log says what
)

// progress is how far an adapter's runs are. It is the state of a delivery: it
// holds the external system's cursor, times and classes of failure, and is kept
// beside the log, each change a comparison with what it was.
type progress struct {
	Version   uint64 `cbor:"1,keyasint"`
	Log       []byte `cbor:"2,keyasint"`           // the generation of the log that At is of
	At        uint64 `cbor:"3,keyasint,omitempty"` // all that was pulled stands up to here
	Applied   uint64 `cbor:"4,keyasint,omitempty"` // what was said of the adapter up to here is worked in
	Cursor    string `cbor:"5,keyasint,omitempty"` // of the external system
	Last      int64  `cbor:"6,keyasint,omitempty"` // run, in microseconds
	Succeeded int64  `cbor:"7,keyasint,omitempty"`
	Next      int64  `cbor:"8,keyasint,omitempty"`
	Failed    uint32 `cbor:"9,keyasint,omitempty"` // runs in a row
	Push      failed `cbor:"10,keyasint"`
	Pull      failed `cbor:"11,keyasint"`
}

// failed is why one direction of the last run failed.
type failed struct {
	Reason string `cbor:"1,keyasint,omitempty"`
	Status uint16 `cbor:"2,keyasint,omitempty"`
}

func failedBy(f *exchange.Failure) failed {
	if f == nil {
		return failed{}
	}
	return failed{string(f.Reason), uint16(f.Status)}
}

const progressVersion = 1

func progressName(id event.ID) string { return "adapter-run/" + id.String() }

// load reads how far an adapter's runs are, and what that was read from. Of a log
// that lost records by a restore, what was pulled may be among them: it is pulled
// from the beginning.
func (s *Service) load(ctx context.Context, id event.ID) (*progress, []byte, error) {
	log := s.core.Runner.Log
	was, err := log.Store().Cursor(ctx, log.ID(), progressName(id))
	if err != nil {
		return nil, nil, fault.Wrap("read how far an adapter is", err)
	}
	p := &progress{Version: progressVersion}
	if was == nil {
		return p, nil, nil
	}
	if err := event.Strict.Unmarshal(was, p); err != nil || p.Version != progressVersion || len(p.Log) != len(event.ID{}) {
		return nil, nil, &fault.Error{Kind: fault.Corrupt, Msg: "how far an adapter is has a form that this version does not know", Err: err}
	}
	if !log.Holds(event.LogID{ID: event.ID(p.Log)}, event.Position(max(p.At, p.Applied))) {
		p.Cursor, p.Applied = "", 0
	}
	return p, was, nil
}

// save keeps how far an adapter's runs are in place of was, and answers what it
// is kept as. eventlog.ErrCursorMoved: another has moved it.
func (s *Service) save(ctx context.Context, id event.ID, p *progress, was []byte) ([]byte, error) {
	log := s.core.Runner.Log
	p.At = uint64(log.Mark().Size)
	generation := log.GenerationAt(event.Position(p.At)).ID
	p.Log = generation[:]
	now, err := event.Deterministic.Marshal(p)
	if err != nil || bytes.Equal(now, was) {
		return now, fault.Wrap("write how far an adapter is", err)
	}
	if err := log.Store().SwapCursor(ctx, log.ID(), progressName(id), was, now); err != nil {
		return nil, fault.Wrap("keep how far an adapter is", err)
	}
	return now, nil
}

// followRuns works in what was said of an adapter since.
func (s *Service) followRuns(ctx context.Context, id event.ID, p *progress) error {
	upto := s.core.Runner.Log.Mark().Size
	err := s.said(ctx, id, event.Position(p.Applied), upto, func(payload any) {
		if _, again := payload.(external.PullRewound); again {
			p.Cursor = ""
		}
	})
	p.Applied = max(p.Applied, uint64(upto))
	return err
}

// said gives what was said of an adapter behind a position.
func (s *Service) said(ctx context.Context, id event.ID, after, upto event.Position, each func(payload any)) error {
	for r, err := range s.core.Runner.Log.ReadTo(ctx, event.OfStream(external.Stream(id)), after, upto) {
		if err != nil {
			return fault.Wrap("read what was said of an adapter", err)
		}
		f, err := s.core.Runner.Sealer.Decode(ctx, r)
		if err != nil {
			return err
		}
		each(f.Payload)
	}
	return nil
}

// instant is a time in microseconds; zero if there is none.
func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
