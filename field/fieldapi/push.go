package fieldapi

import (
	"context"
	"errors"
	"time"

	"muniment.dev/custom"
	"muniment.dev/custom/publish"
	"muniment.dev/custom/schema"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/field"
)

// Engine records what devices did, and answers what others did. It keeps
// nothing: what it answers follows from the log.
type Engine struct {
	Catalog   *publish.Catalog
	Publisher *publish.Publisher
	Runner    *decide.Runner
}

// Event is an event of a device.
type Event struct {
	publish.Event
	Occurred event.Instant  // as the device says; 0 if it does not
	Base     event.Position // up to where the device had pulled
	Previous event.ID       // the event of the device before, of the same entity, that Base does not cover
	Latest   bool           // the device says nothing of what it knew: it counts as made on all that is recorded
}

// Status is what became of an event.
type Status int

// What can become of an event.
const (
	Recorded Status = iota + 1
	Asked
	Refused
	Gone
	Waiting
	Invalid
)

// Result is what became of an event. Err is set if it is Waiting or Invalid.
type Result struct {
	Status     Status
	Position   event.Position
	Version    uint64
	Repeated   bool
	Superseded []string
	With       event.Position
	Err        error
}

// MaxPush is how many events are pushed at a time.
const MaxPush = 100

// maxAhead is how far ahead of ours a device's clock may be for what it says to
// count between changes that did not know of each other.
const maxAhead = 366 * 24 * time.Hour

const attempts = 32

// Why an event waits.
var (
	errPrevious = fault.New(fault.Refused, "the event that this device made before is not recorded yet; push that first")
	errAbsent   = fault.New(fault.Refused, "there is no such entity yet; push the event that makes it first")
)

// Push records events one by one. The error is of what concerns all of them,
// such as a server that cannot go on; those before it are recorded and are
// answered so when they are pushed again.
func (e *Engine) Push(ctx context.Context, env decide.Envelope, replica string, events []Event) ([]Result, error) {
	env.Command, env.Request = event.ID{}, nil // each event has its own id
	out := make([]Result, len(events))
	for i := range events {
		r, err := e.push(ctx, env, replica, events[i])
		if err != nil && !ofEvent(err) {
			return nil, err
		}
		if err != nil {
			r = Result{Status: Invalid, Err: err}
		}
		out[i] = r
	}
	return out, nil
}

// ofEvent reports whether an error is about an event alone, and will be the same
// when it is pushed again.
func ofEvent(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Denied, fault.NotFound, fault.Exists, fault.Refused, fault.Erased:
		return true
	}
	return false
}

func (e *Engine) push(ctx context.Context, env decide.Envelope, replica string, in Event) (Result, error) {
	var err error
	for range attempts {
		var r Result
		if r, err = e.once(ctx, env, replica, in); err == nil || !again(err) {
			return r, err
		}
	}
	return Result{}, &fault.Error{Kind: fault.Unavailable, Msg: "the entity keeps changing; push the event again in a moment", Err: err}
}

// again reports whether an event is to be decided about anew.
func again(err error) bool {
	return errors.Is(err, publish.ErrExpect) || errors.Is(err, eventlog.ErrVersion) || errors.Is(err, decide.ErrAlso) || errors.Is(err, custom.ErrMoved)
}

// once decides about an event against the entity as it is, on the condition that
// it stays so.
func (e *Engine) once(ctx context.Context, env decide.Envelope, replica string, in Event) (Result, error) {
	// Nobody learns what there is, or has it read, who may not publish anyway.
	if err := e.Publisher.May(ctx, env, []publish.Event{in.Event}); err != nil {
		return Result{}, err
	}
	defs, err := e.Catalog.Current(ctx)
	if err != nil {
		return Result{}, err
	}
	t := defs.Set.Events[in.Type]
	if t == nil {
		return Result{}, fault.Field("type", "there is no such type of event; GET /v1/schema lists those that are defined")
	}
	def := t.Latest()
	if d := defs.Set.Definition(in.Type, in.Revision); d != nil {
		def = d
	}
	if r, done, err := e.earlier(ctx, env, in); err != nil || done {
		return r, err
	}
	if known, err := e.known(ctx, in.Previous); err != nil || !known {
		return Result{Status: Waiting, Err: errPrevious}, err
	}
	stream := event.Stream{Kind: def.Entity, ID: in.Entity}
	history, version, organization, err := e.history(ctx, defs, stream)
	if err != nil {
		return Result{}, err
	}
	if version == 0 && !def.Creates {
		return Result{Status: Waiting, Err: errAbsent}, nil
	}
	if version > 0 && in.Organization.IsZero() {
		in.Organization = organization
	}
	if version > 0 && in.Organization != organization {
		return Result{}, publish.ErrOther
	}
	out := field.Decide(history, def, e.incoming(replica, in))
	if out.Keep != "" {
		return e.keep(ctx, env, replica, in, def, version, out)
	}
	r, err := e.record(ctx, env, replica, in, version, out)
	if errors.Is(err, custom.ErrGone) {
		out.Keep = field.ReasonGone
		return e.keep(ctx, env, replica, in, def, version, out)
	}
	return r, err
}

// incoming is an event as far as it matters for conflicts.
func (e *Engine) incoming(replica string, in Event) field.Incoming {
	out := field.Incoming{ID: in.ID, Replica: replica, Base: in.Base, Occurred: in.Occurred, Data: in.Data}
	if in.Latest {
		out.Base = e.Runner.Log.Mark().Size
	}
	if limit := event.Instant(e.Runner.Log.Now().Add(maxAhead).UnixMicro()); out.Occurred > limit || out.Occurred < 0 {
		out.Occurred = 0
	}
	return out
}

// earlier is what became of an event that was pushed before.
func (e *Engine) earlier(ctx context.Context, env decide.Envelope, in Event) (Result, bool, error) {
	if in.ID.IsZero() {
		return Result{}, false, fault.Field("id", "an event of a device needs an id, made on the device")
	}
	at, ok, err := e.Runner.Log.Store().EventPosition(ctx, e.Runner.Log.ID(), in.ID)
	if err != nil {
		return Result{}, false, err
	}
	if ok {
		done, err := e.Publisher.Publish(ctx, env, []publish.Event{in.Event}, event.Condition{}) // compares
		if err != nil {
			return Result{}, false, err
		}
		r, err := e.Runner.Log.Record(ctx, at)
		if err != nil {
			return Result{}, false, err
		}
		return Result{Status: Recorded, Position: at, Version: done[0].Version, Repeated: true, Superseded: custom.Superseded(r)}, true, nil
	}
	kept, err := e.Kept(ctx, in.ID)
	if err != nil || !kept.There {
		return Result{}, false, err
	}
	if kept.Type != in.Type || kept.EventKept.Entity != in.Entity {
		return Result{}, false, publish.ErrReused
	}
	return Result{Status: statusOf(kept.Reason), Repeated: true}, true, nil
}

func statusOf(reason string) Status {
	switch reason {
	case field.ReasonAsk:
		return Asked
	case field.ReasonGone:
		return Gone
	}
	return Refused
}

// Kept is what is known of an event that may have been kept.
func (e *Engine) Kept(ctx context.Context, id event.ID) (field.Kept, error) {
	return decide.Read(ctx, e.Runner, "event that was kept", field.KeptFacts(id), field.Kept{}, field.EvolveKept)
}

// known reports whether an event is recorded or kept; the zero id is.
func (e *Engine) known(ctx context.Context, id event.ID) (bool, error) {
	if id.IsZero() {
		return true, nil
	}
	at, ok, err := e.Runner.Log.Store().EventPosition(ctx, e.Runner.Log.ID(), id)
	if err != nil || ok {
		return ok && at <= e.Runner.Log.Mark().Size, err
	}
	kept, err := e.Kept(ctx, id)
	return kept.There, err
}

// history is what is recorded of an entity, its version, and whose it is.
func (e *Engine) history(ctx context.Context, defs *custom.Definitions, s event.Stream) (h field.History, version uint64, organization event.ID, err error) {
	for r, err := range e.Runner.Log.Read(ctx, event.OfStream(s), 0) {
		if err != nil {
			return nil, 0, event.ID{}, err
		}
		f, err := e.Runner.Sealer.Decode(ctx, r)
		if err != nil {
			return nil, 0, event.ID{}, err
		}
		if r.Version == 1 {
			organization = custom.OrganizationOf(r)
		}
		version = r.Version
		h = h.Add(defs.Set.Definition(r.Type, r.Revision), f)
	}
	return h, version, organization, nil
}

// record records an event of a device with what was decided about it.
func (e *Engine) record(ctx context.Context, env decide.Envelope, replica string, in Event, version uint64, out field.Outcome) (Result, error) {
	p := in.Event
	p.Expected = &version
	p.Context = map[string]any{field.ContextClock: int64(out.Clock)}
	for name, v := range in.Context {
		p.Context[name] = v
	}
	if replica != "" {
		p.Context[field.ContextReplica], p.Context[field.ContextBase] = replica, int64(in.Base)
	}
	if len(out.Superseded) > 0 {
		p.Context[custom.ContextSuperseded] = out.Superseded
	}
	done, err := e.Publisher.Publish(ctx, env, []publish.Event{p}, event.Condition{})
	if err != nil {
		return Result{}, err
	}
	return Result{Status: Recorded, Position: done[0].Position, Version: done[0].Version, Repeated: done[0].Repeated, Superseded: out.Superseded, With: out.With}, nil
}

// keep keeps an event of a device without applying it.
func (e *Engine) keep(ctx context.Context, env decide.Envelope, replica string, in Event, def *schema.Definition, version uint64, out field.Outcome) (Result, error) {
	if err := def.Validate(in.Data); err != nil {
		return Result{}, err
	}
	k := field.EventKept{Event: in.ID, Entity: in.Entity, Kind: def.Entity, Organization: in.Organization, Type: in.Type, Revision: int64(def.Revision), Reason: out.Keep,
		Replica: replica, Base: int64(in.Base), Occurred: in.Occurred}
	if err := k.Hold(def, in.Data); err != nil {
		return Result{}, err
	}
	if who := in.Private["claimed-actor"]; who != "" {
		k.Claimed = event.Seal(who)
	}
	env.Also = event.Condition{Streams: map[event.Stream]uint64{{Kind: def.Entity, ID: in.Entity}: version}}
	res, err := decide.Run(ctx, e.Runner, field.Keeping, env, field.Keep{EventKept: k})
	if err != nil {
		return Result{}, err
	}
	return Result{Status: statusOf(out.Keep), Position: 0, Repeated: res.Events == 0, With: out.With}, nil
}
