// Package auditapi serves the EventService of the API: what happened, to what,
// by whom, and the proof of it. Members see the events of what they may read;
// everybody sees their own; reading is recorded.
package auditapi

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
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
	// Streams ends when the server stops, and ends all streams of events with
	// it. They go on for as long as the callers want if nil.
	Streams context.Context

	watchers watchers
}

// sight is what the caller may see now.
func (s *Service) sight(ctx context.Context) (audit.Sight, error) {
	c, err := call.CallerOf(ctx)
	if err != nil {
		return audit.Sight{}, err
	}
	a, err := s.Runner.Authority(ctx, c.Actor(), s.Runner.Log.Mark().Size)
	if err != nil {
		return audit.Sight{}, err
	}
	return audit.Of(a), nil
}

// record records a reading, unless people only looked at what is about
// themselves.
func (s *Service) record(ctx context.Context, sight audit.Sight, r audit.Read) error {
	if !sight.All && len(sight.Organizations) == 0 {
		return nil
	}
	if !sight.All && len(sight.Organizations) == 1 {
		r.Organization = sight.Organizations[0]
	}
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

// ListEvents implements the EventService.
func (s *Service) ListEvents(ctx context.Context, req *munimentv1.ListEventsRequest) (*munimentv1.ListEventsResponse, error) {
	m := req
	f, err := filter(m.GetFilter())
	if err != nil {
		return nil, err
	}
	if m.GetRead().GetAtPosition() > 0 {
		if at := event.Position(m.GetRead().GetAtPosition()); f.Before == 0 || f.Before > at+1 {
			f.Before = at + 1
		}
	}
	size, err := pageSize(m.GetPageSize())
	if err != nil {
		return nil, err
	}
	sight, err := s.sight(ctx)
	if err != nil {
		return nil, err
	}
	if f, err = resume(f, m.GetPageToken(), m.GetDescending()); err != nil {
		return nil, err
	}
	entries, more, err := s.page(ctx, f, sight, m.GetDescending(), size)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListEventsResponse{}
	read := audit.Read{Filter: f.String(), Count: int64(len(entries))}
	for _, e := range entries {
		out.Events = append(out.Events, s.event(ctx, e, sight))
		p := int64(e.Record.Position)
		if read.From == 0 || p < read.From {
			read.From = p
		}
		read.To = max(read.To, p)
	}
	if more {
		out.NextPageToken = strconv.FormatUint(uint64(entries[len(entries)-1].Record.Position), 10)
	}
	if err := s.record(ctx, sight, read); err != nil {
		return nil, err
	}
	return out, nil
}

// page reads one page and whether there is more.
func (s *Service) page(ctx context.Context, f audit.Filter, sight audit.Sight, down bool, size int) ([]*audit.Entry, bool, error) {
	l := s.Runner.Log
	after, upto, err := audit.Span(ctx, l, f)
	if err != nil {
		return nil, false, err
	}
	q := audit.Query(f, sight, s.Reader.Sealer.Registry, l.ID())
	seq := l.ReadTo(ctx, q, after, upto)
	if down {
		seq = l.ReadBack(ctx, q, upto+1)
	}
	var out []*audit.Entry
	if after >= upto {
		return nil, false, nil
	}
	for r, err := range seq {
		if err != nil {
			return nil, false, fault.Wrap("read events", err)
		}
		if r.Position <= after {
			break
		}
		if len(out) == size {
			return out, true, nil
		}
		e, err := s.Reader.Entry(ctx, r, sight)
		if err != nil {
			return nil, false, err
		}
		out = append(out, e)
	}
	return out, false, nil
}

// resume moves a filter's bounds to where the page before ended.
func resume(f audit.Filter, token string, down bool) (audit.Filter, error) {
	if token == "" {
		return f, nil
	}
	n, err := strconv.ParseUint(token, 10, 63)
	if err != nil || n == 0 || token != strconv.FormatUint(n, 10) {
		return f, fault.Field("page_token", "is not one that this server gave")
	}
	p := event.Position(n)
	if down && (f.Before == 0 || p < f.Before) {
		f.Before = p
	}
	if !down {
		f.After = max(f.After, p)
	}
	return f, nil
}

func pageSize(n int32) (int, error) {
	switch {
	case n < 0 || n > 1000:
		return 0, fault.Field("page_size", "must be 1 to 1000")
	case n == 0:
		return 50, nil
	}
	return int(n), nil
}

// filter reads the request's filter.
func filter(m *munimentv1.EventFilter) (audit.Filter, error) {
	f := audit.Filter{Types: m.GetTypes(), After: event.Position(m.GetAfterPosition()), Before: event.Position(m.GetBeforePosition())}
	var err error
	if m.GetStream() != "" {
		if f.Stream, err = event.ParseStream(m.GetStream()); err != nil {
			return f, fault.Field("filter.stream", "%s", fault.Public(err))
		}
	}
	if m.GetActor() != "" {
		if f.Actor, err = event.ParseActor(m.GetActor()); err != nil {
			return f, fault.Field("filter.actor", "%s", fault.Public(err))
		}
	}
	for _, id := range []struct {
		field, text string
		to          *event.ID
	}{{"filter.organization_id", m.GetOrganizationId(), &f.Organization}, {"filter.user_id", m.GetUserId(), &f.User}} {
		if id.text == "" {
			continue
		}
		if *id.to, err = event.ParseID(id.text); err != nil {
			return f, fault.Field(id.field, "%s", fault.Public(err))
		}
	}
	for i, t := range m.GetTags() {
		if name, value, ok := strings.Cut(t, ":"); !ok || !event.IsName(name) || value == "" || len(t) > 300 {
			return f, fault.Field("filter.tags["+strconv.Itoa(i)+"]", "must be name:value")
		}
		f.Tags = append(f.Tags, event.Tag(t))
	}
	if m.GetFrom() != nil {
		f.From = m.GetFrom().AsTime()
	}
	if m.GetTo() != nil {
		f.To = m.GetTo().AsTime()
	}
	return f, f.Check()
}

var errStopping = fault.New(fault.Unavailable, "the server stops; watch on from the last position when it is back")

// WatchEvents implements the EventService.
func (s *Service) WatchEvents(ctx context.Context, req *munimentv1.WatchEventsRequest, stream *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if s.Streams != nil {
		defer context.AfterFunc(s.Streams, func() { end(errStopping) })()
	}
	err := s.watch(ctx, req, stream)
	if errors.Is(context.Cause(ctx), errStopping) {
		return errStopping
	}
	return err
}

func (s *Service) watch(ctx context.Context, req *munimentv1.WatchEventsRequest, stream *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
	c, err := call.CallerOf(ctx)
	if err != nil {
		return err
	}
	leave, err := s.watchers.enter(c.Actor())
	if err != nil {
		return err
	}
	defer leave()
	f, err := filter(req.GetFilter())
	if err != nil {
		return err
	}
	if req.GetOnlyNew() {
		f.After = s.Runner.Log.Mark().Size
	}
	sight, err := s.sight(ctx)
	if err != nil {
		return err
	}
	if err := s.record(ctx, sight, audit.Read{Filter: "live: " + f.String(), From: int64(f.After) + 1}); err != nil {
		return err
	}
	for {
		done, next, err := s.forward(ctx, f, stream)
		if err != nil || done {
			return err
		}
		f.After = next
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		err = s.Runner.Log.Wait(wait, next)
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
	}
}

// forward sends what has happened after f.After, and a sign of life. What the
// caller may see is asked anew each time: a right that was withdrawn counts.
func (s *Service) forward(ctx context.Context, f audit.Filter, stream *connect.ServerStream[munimentv1.WatchEventsResponse]) (done bool, next event.Position, err error) {
	sight, err := s.sight(ctx)
	if err != nil {
		return false, 0, err
	}
	l := s.Runner.Log
	mark := l.Mark()
	after, upto, err := audit.Span(ctx, l, f)
	if err != nil {
		return false, 0, err
	}
	for r, err := range l.ReadTo(ctx, audit.Query(f, sight, s.Reader.Sealer.Registry, l.ID()), after, upto) {
		if err != nil {
			return false, 0, err
		}
		e, err := s.Reader.Entry(ctx, r, sight)
		if err != nil {
			return false, 0, err
		}
		if err := stream.Send(&munimentv1.WatchEventsResponse{Event: s.event(ctx, e, sight), Position: uint64(r.Position)}); err != nil {
			return false, 0, err
		}
	}
	if err := stream.Send(&munimentv1.WatchEventsResponse{Position: uint64(mark.Size)}); err != nil {
		return false, 0, err
	}
	ended := f.Before > 0 && mark.Size+1 >= f.Before || !f.To.IsZero() && !mark.Time.Before(f.To)
	return ended, mark.Size, nil
}

// seen reads a record that the caller may see. One that they may not see looks
// as if it were not there.
func (s *Service) seen(ctx context.Context, position uint64) (*event.Record, audit.Sight, error) {
	sight, err := s.sight(ctx)
	if err != nil {
		return nil, sight, err
	}
	r, err := s.Runner.Log.Record(ctx, event.Position(position))
	if err != nil {
		return nil, sight, err
	}
	if !sight.Sees(r) {
		return nil, sight, fault.New(fault.NotFound, "there is no record at position %d that you may see", position)
	}
	return r, sight, nil
}

// GetEvent implements the EventService.
func (s *Service) GetEvent(ctx context.Context, req *munimentv1.GetEventRequest) (*munimentv1.GetEventResponse, error) {
	r, sight, err := s.seen(ctx, req.GetPosition())
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

// ListEventTypes implements the EventService.
func (s *Service) ListEventTypes(ctx context.Context, _ *munimentv1.ListEventTypesRequest) (*munimentv1.ListEventTypesResponse, error) {
	if _, err := call.CallerOf(ctx); err != nil {
		return nil, err
	}
	out := &munimentv1.ListEventTypesResponse{}
	for _, d := range s.Reader.Sealer.Registry.All(s.Runner.Log.ID()) {
		out.Types = append(out.Types, eventType(d))
	}
	return out, nil
}

func timestamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
