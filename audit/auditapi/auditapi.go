// Package auditapi serves the EventService of the API: what happened, to what,
// by whom, and the proof of it. Members see the events of what they may read;
// everybody sees their own; reading is recorded.
package auditapi

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/audit/stats"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
)

// Checkpoints are the signed checkpoints of the log; *ledger.Publisher.
type Checkpoints interface {
	Latest() ledger.Checkpoint
	WaitFor(ctx context.Context, at event.Position) (ledger.Checkpoint, error)
}

// Service implements the EventService.
type Service struct {
	Runner      *decide.Runner
	Reader      *audit.Reader
	Checkpoints Checkpoints
	Prover      *ledger.Prover
	VerifierKey string
	URL         string // external address: where exported events say that they come from
	// Statistics counts the log.
	Statistics *stats.Counter
	// Streams ends when the server stops, and ends all streams of events with
	// it. They go on for as long as the callers want if nil.
	Streams context.Context

	watchers watchers
}

// sightFor is what the caller may see now. If a filter names what it may not,
// that is a Denied fault, and recorded.
func (s *Service) sightFor(ctx context.Context, f audit.Filter) (audit.Sight, error) {
	sight, err := s.sight(ctx)
	if err == nil {
		if err = sight.Allows(f); err != nil {
			err = s.refused(ctx, "read events", err)
		}
	}
	return sight, err
}

// sight is what the caller may see now.
func (s *Service) sight(ctx context.Context) (audit.Sight, error) {
	c, err := call.CallerOf(ctx)
	if err != nil {
		return audit.Sight{}, err
	}
	upto := s.Runner.Log.Mark().Size
	a, err := s.Runner.Authority(ctx, c.Actor(), upto)
	if err != nil {
		return audit.Sight{}, err
	}
	sight := audit.Of(a)
	sight.Upto = upto
	return sight, nil
}

// Recorded records a reading of events in another place, unless people only
// looked at what is about themselves.
func (s *Service) Recorded(ctx context.Context, who authz.Authority, r audit.Read) error {
	return s.record(ctx, audit.Of(who), r)
}

// record records a reading, unless people only looked at what is about
// themselves.
func (s *Service) record(ctx context.Context, sight audit.Sight, r audit.Read) error {
	if sight.OnlyOwn() {
		return nil
	}
	r.Organization = sight.Organization()
	c, err := call.CallerOf(ctx)
	if err != nil {
		return err
	}
	f, _ := call.FactsOf(ctx)
	f.CommandID = event.ID{} // a reading is a fact of its own each time
	env := decide.Envelope{Actor: c.Actor(), Context: call.Context(f, c)}
	_, err = decide.Run(ctx, s.Runner, audit.Recording, env, audit.RecordRead{ID: event.NewID(), Read: r})
	return fault.Wrap("record the reading", err)
}

// seen reads a record that the caller may see. One that they may not see looks
// as if it were not there.
func (s *Service) seen(ctx context.Context, position uint64) (*event.Record, audit.Sight, error) {
	r, missing := s.Runner.Log.Record(ctx, event.Position(position))
	sight, err := s.sight(ctx) // as of the record or later
	if err == nil {
		err = missing
	}
	if err != nil {
		return nil, sight, err
	}
	if !sight.Sees(r) {
		return nil, sight, fault.New(fault.NotFound, "there is no record at position %d that you may see", position)
	}
	return r, sight, nil
}

// seenByID is seen for the id of an event.
func (s *Service) seenByID(ctx context.Context, text string) (*event.Record, audit.Sight, error) {
	id, err := id(text)
	if err != nil {
		return nil, audit.Sight{}, fault.Field("event_id", "%s", fault.Public(err))
	}
	l := s.Runner.Log
	p, ok, err := l.Store().EventPosition(ctx, l.ID(), id)
	if err != nil {
		return nil, audit.Sight{}, fault.Wrap("find an event by its id", err)
	}
	if ok && p <= l.Mark().Size {
		if r, sight, err := s.seen(ctx, uint64(p)); !fault.Is(err, fault.NotFound) {
			return r, sight, err
		}
	}
	if _, err := s.sight(ctx); err != nil { // whether anybody is asking
		return nil, audit.Sight{}, err
	}
	return nil, audit.Sight{}, fault.New(fault.NotFound, "there is no event with this id that you may see")
}

// GetEvent implements the EventService.
func (s *Service) GetEvent(ctx context.Context, req *munimentv1.GetEventRequest) (*munimentv1.GetEventResponse, error) {
	find := func() (*event.Record, audit.Sight, error) { return s.seen(ctx, req.GetPosition()) }
	if req.GetPosition() == 0 || req.GetEventId() != "" {
		if req.GetPosition() > 0 {
			return nil, fault.Field("event_id", "give a position or an id, not both")
		}
		find = func() (*event.Record, audit.Sight, error) { return s.seenByID(ctx, req.GetEventId()) }
	}
	r, sight, err := find()
	if err != nil {
		return nil, err
	}
	e, err := s.Reader.Entry(ctx, r, sight)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.GetEventResponse{Event: s.event(ctx, e, sight)}
	if out.Fields, err = s.changes(ctx, e, sight); err != nil {
		return nil, err
	}
	if out.Context, err = s.context(ctx, r, sight); err != nil {
		return nil, err
	}
	for _, t := range r.Tags {
		out.Tags = append(out.Tags, string(t))
	}
	if out.Raw, err = s.raw(ctx, r, sight); err != nil {
		return nil, err
	}
	out.Proof = s.check(ctx, r)
	p := int64(r.Position)
	if err := s.record(ctx, sight, audit.Read{Filter: "one event", From: p, To: p, Count: 1}); err != nil {
		return nil, err
	}
	return out, nil
}

// GetReceipt implements the EventService.
func (s *Service) GetReceipt(ctx context.Context, req *munimentv1.GetReceiptRequest) (*munimentv1.GetReceiptResponse, error) {
	r, sight, err := s.seen(ctx, req.GetPosition())
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := s.Checkpoints.WaitFor(wait, r.Position)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fault.New(fault.Unavailable, "no checkpoint covers this event yet; try again in a moment")
	}
	if err != nil {
		return nil, err
	}
	file, err := s.Prover.Receipt(ctx, r.Position, c)
	if err != nil {
		return nil, err
	}
	p := int64(r.Position)
	if err := s.record(ctx, sight, audit.Read{Filter: "receipt of one event", From: p, To: p, Count: 1}); err != nil {
		return nil, err
	}
	name := "receipt-" + strconv.FormatUint(uint64(r.Position), 10) + ".json"
	return &munimentv1.GetReceiptResponse{Receipt: file, FileName: name, TreeSize: uint64(c.Size)}, nil
}

// check checks the record's proof with the stand-alone verifier, as a stranger
// would, and says what it found.
func (s *Service) check(ctx context.Context, r *event.Record) *munimentv1.ProofCheck {
	c := s.Checkpoints.Latest()
	if c.Size < r.Position {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if later, err := s.Checkpoints.WaitFor(wait, r.Position); err == nil {
			c = later
		}
	}
	out := &munimentv1.ProofCheck{Result: munimentv1.ProofResult_PROOF_RESULT_PENDING, TreeSize: uint64(c.Size), RootHash: c.Root[:], Checkpoint: string(c.Note)}
	if c.Size < r.Position {
		return out
	}
	invalid := func(err error) *munimentv1.ProofCheck {
		out.Result, out.Evidence = munimentv1.ProofResult_PROOF_RESULT_INVALID, err.Error()
		return out
	}
	proof, _, err := s.Prover.Inclusion(ctx, r.Position, c.Tree)
	if err != nil {
		return invalid(err)
	}
	for _, h := range proof {
		out.Inclusion = append(out.Inclusion, h[:])
	}
	file, err := s.Prover.Receipt(ctx, r.Position, c)
	if err != nil {
		return invalid(err)
	}
	if _, err := verify.Receipt(file, s.VerifierKey); err != nil {
		return invalid(err)
	}
	out.Result = munimentv1.ProofResult_PROOF_RESULT_VALID
	return out
}

func timestamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
