package customapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/publish"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// EntityService implements munimentv1connect.EntityServiceHandler.
type EntityService struct{ *Service }

// PublishEvents records events of customers' types.
func (s EntityService) PublishEvents(ctx context.Context, req *munimentv1.PublishEventsRequest) (*munimentv1.PublishEventsResponse, error) {
	if n := len(req.GetEvents()); n == 0 || n > publish.MaxEvents {
		return nil, fault.Field("events", "1 to %d events are published at a time", publish.MaxEvents)
	}
	events := make([]publish.Event, len(req.GetEvents()))
	for i, e := range req.GetEvents() {
		var err error
		if events[i], err = NewEvent(e); err != nil {
			return nil, inEvent(i, err)
		}
	}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	also, err := s.condition(ctx, env, req.GetCondition())
	if err != nil {
		return nil, err
	}
	do := s.Publisher.Publish
	if req.GetCheckOnly() {
		do = s.Publisher.Check
	}
	results, err := do(ctx, env, events, also)
	if err != nil {
		return nil, err
	}
	return s.published(ctx, results, req.GetWithReceipts())
}

func (s EntityService) published(ctx context.Context, results []publish.Result, receipts bool) (*munimentv1.PublishEventsResponse, error) {
	out := &munimentv1.PublishEventsResponse{Events: make([]*munimentv1.Published, len(results))}
	for i, r := range results {
		out.Events[i] = &munimentv1.Published{Id: r.ID.String(), Position: uint64(r.Position), Version: r.Version, Repeated: r.Repeated}
		out.Position = max(out.Position, uint64(r.Position))
	}
	if out.Position == 0 {
		return out, nil
	}
	log := s.core.Runner.Log.GenerationAt(event.Position(out.Position))
	out.LogId = log.String()
	call.Answered(ctx, call.Place{Log: log, Position: event.Position(out.Position)})
	if !receipts {
		return out, nil
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := s.Checkpoints.WaitFor(wait, event.Position(out.Position))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fault.New(fault.Unknown, "the events are recorded, but no checkpoint covers them yet; send them again with the same ids for their receipts")
	}
	if err != nil {
		return nil, err
	}
	for _, e := range out.Events {
		if e.Receipt, err = s.Prover.Receipt(ctx, event.Position(e.Position), c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inEvent says which event of the request an error is about.
func inEvent(i int, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	e := *f
	e.Field = "events[" + strconv.Itoa(i) + "]." + f.Field
	return &e
}

// NewEvent reads an event that a publisher sends.
func NewEvent(e *munimentv1.NewEvent) (publish.Event, error) {
	out := publish.Event{Type: e.GetType(), Revision: e.GetRevision(), Expected: e.ExpectedVersion}
	var err error
	if out.ID, err = optionalID(adapter.UUID, "id", e.GetId()); err != nil {
		return out, err
	}
	if out.Entity, err = adapter.UUID("entity_id", e.GetEntityId()); err != nil {
		return out, err
	}
	if out.Organization, err = optionalID(adapter.ID, "organization_id", e.GetOrganizationId()); err != nil {
		return out, err
	}
	if out.Data, err = data(e); err != nil {
		return out, err
	}
	out.Context, out.Private, err = circumstances(e.GetContext(), e.GetOccurred())
	return out, err
}

func optionalID(read func(field, text string) (event.ID, error), field, text string) (event.ID, error) {
	if text == "" {
		return event.ID{}, nil
	}
	return read(field, text)
}

// data is what an event says, as JSON values.
func data(e *munimentv1.NewEvent) (map[string]any, error) {
	if e.GetDataJson() == "" {
		return fromStruct("data", e.GetData())
	}
	if e.GetData() != nil {
		return nil, fault.Field("data_json", "give data or data_json, not both")
	}
	v, err := event.ParseJSON([]byte(e.GetDataJson()))
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return nil, fault.Field("data_json"+f.Field, "%s", f.Msg)
		}
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fault.Field("data_json", "must be a JSON object")
	}
	return m, nil
}

func fromStruct(at string, s *structpb.Struct) (map[string]any, error) {
	out := make(map[string]any, len(s.GetFields()))
	for name, v := range s.GetFields() {
		var err error
		if out[name], err = fromValue(at+"/"+event.EscapePointer(name), v, 2); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// maxExact is the largest integer up to which doubles hold all of them.
const maxExact = 1 << 53

func fromValue(at string, v *structpb.Value, depth int) (any, error) {
	if depth > event.MaxJSONDepth {
		return nil, fault.Field(at, "nested deeper than %d", event.MaxJSONDepth)
	}
	switch k := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return k.BoolValue, nil
	case *structpb.Value_StringValue:
		return k.StringValue, nil
	case *structpb.Value_NumberValue:
		return fromDouble(at, k.NumberValue)
	case *structpb.Value_ListValue:
		list := make([]any, len(k.ListValue.GetValues()))
		for i, item := range k.ListValue.GetValues() {
			var err error
			if list[i], err = fromValue(at+"/"+strconv.Itoa(i), item, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case *structpb.Value_StructValue:
		m := make(map[string]any, len(k.StructValue.GetFields()))
		for name, item := range k.StructValue.GetFields() {
			var err error
			if m[name], err = fromValue(at+"/"+event.EscapePointer(name), item, depth+1); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return nil, nil
}

func fromDouble(at string, n float64) (any, error) {
	if n == math.Trunc(n) && math.Abs(n) <= maxExact {
		return int64(n), nil
	}
	if math.IsNaN(n) || math.IsInf(n, 0) || n == math.Trunc(n) {
		return nil, fault.Field(at, "this number has more digits than data keeps; send data_json instead")
	}
	v, err := event.Decimal(string(json.Number(strconv.FormatFloat(n, 'g', -1, 64))))
	if err != nil {
		return nil, fault.Field(at, "%s", fault.Public(err))
	}
	return v, nil
}

// circumstances are what a publisher says around an event: in clear what is of
// machines, sealed what is of people.
func circumstances(c *munimentv1.EventContext, occurred *timestamppb.Timestamp) (public map[string]any, private map[string]string, err error) {
	public, private = map[string]any{}, map[string]string{}
	if occurred != nil {
		if !occurred.IsValid() {
			return nil, nil, fault.Field("occurred", "is not a time")
		}
		public["occurred"] = event.Instant(occurred.AsTime().UnixMicro())
	}
	if c == nil {
		return public, private, nil
	}
	for name, v := range map[string]string{"source": c.GetSource(), "publisher-session": c.GetSession(), "correlation": c.GetCorrelation(), "causation": c.GetCausation(),
		"publisher-trace": c.GetTrace(), "app-version": c.GetAppVersion(), "network": c.GetNetwork()} {
		if v == "" {
			continue
		}
		if !isToken(v) {
			return nil, nil, fault.Field("context", "%s must be at most 128 letters, digits and ._-:/ because it is recorded in clear", name)
		}
		public[name] = v
	}
	for name, v := range map[string]string{"event-reason": c.GetReason(), "device": c.GetDevice(), "location": c.GetLocation(), "claimed-actor": c.GetClaimedActor(),
		"origin": c.GetOrigin(), "origin-id": c.GetOriginId()} {
		if len(v) > 1000 {
			return nil, nil, fault.Field("context", "%s must be at most 1,000 bytes", name)
		}
		if v != "" {
			private[name] = v
		}
	}
	return public, private, nil
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' && c != ':' && c != '/' {
			return false
		}
	}
	return len(s) <= 128
}
