package publish

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// Event is what a publisher sends.
type Event struct {
	ID           event.ID // zero: a fresh one
	Type         string
	Revision     uint32 // 0: the newest
	Entity       event.ID
	Organization event.ID // zero: as the entity's first event says, or home
	Data         map[string]any
	Expected     *uint64 // version of the entity; nil: any
	Context      map[string]any
	Private      map[string]string
}

// Result is what became of an event.
type Result struct {
	ID       event.ID
	Position event.Position // 0 if it was only checked
	Version  uint64
	Repeated bool
}

// MaxEvents is how many events are published at a time.
const MaxEvents = 500

// Publisher publishes to one log. It is safe for concurrent use.
type Publisher struct {
	Catalog *Catalog
	Runner  *decide.Runner
	Views   *view.Set
	// AtOnce is how many entities have their values claimed by one command of
	// Index; 0: IndexBatch.
	AtOnce int

	owners   owners
	waiting  atomic.Int64
	appliers slots
	turns    turns
}

// owners remembers to which organization entities belong, which never changes.
type owners struct {
	mu sync.Mutex
	of map[event.Stream]event.ID
}

const maxOwners = 1 << 16

func (o *owners) get(s event.Stream) (event.ID, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, ok := o.of[s]
	return id, ok
}

func (o *owners) put(s event.Stream, id event.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil || len(o.of) >= maxOwners {
		o.of = map[event.Stream]event.ID{}
	}
	o.of[s] = id
}

// attempts bounds how often events are made ready again because definitions or
// entities changed meanwhile.
const attempts = 16

// The refusals.
var (
	ErrReused = fault.New(fault.Exists, "an event with this id is recorded already, with other content; a new event needs a new id")
	ErrAbsent = fault.New(fault.Refused, "there is no such entity, and this type of event makes none; publish the event that does first, or look at the entity id")
	ErrOther  = fault.New(fault.Refused, "the entity belongs to another organization, for good")
	ErrSince  = fault.New(fault.Conflict, "facts that the condition names were recorded after its position; read them and decide anew")
	ErrExpect = fault.New(fault.Conflict, "the entity is not at the version that was expected; read it again and decide anew")
)

// Publish records events, all of those that are not recorded yet or none. The
// condition must hold besides; only its query and position count.
func (p *Publisher) Publish(ctx context.Context, env decide.Envelope, events []Event, also event.Condition) ([]Result, error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	who, err := p.may(ctx, env, events)
	if err != nil {
		return nil, err
	}
	for n := range attempts {
		b, err := p.ready(ctx, who, env.Actor, events, also, false)
		if err != nil {
			p.Runner.Refused(ctx, custom.Publishing.Name, env, err)
			return nil, err
		}
		if len(b.cmd.Events) == 0 {
			return b.results, nil
		}
		env.Also = b.also
		res, err := decide.Run(ctx, p.Runner, custom.Publishing, env, b.cmd)
		if err == nil {
			return p.recorded(ctx, b, res)
		}
		if !again(err) {
			return nil, b.locate(err)
		}
		if n == 0 {
			next, err := p.turns.take(ctx, b.streams())
			if err != nil {
				return nil, err
			}
			defer next()
		}
		if err := p.Runner.Log.CatchUp(ctx); err != nil { // with what came between
			return nil, err
		}
	}
	return nil, ErrContended
}

// Check makes events ready and says what would be refused.
func (p *Publisher) Check(ctx context.Context, env decide.Envelope, events []Event, also event.Condition) ([]Result, error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	who, err := p.may(ctx, env, events)
	if err != nil {
		return nil, err
	}
	b, err := p.ready(ctx, who, env.Actor, events, also, true)
	if err != nil {
		p.Runner.Refused(ctx, custom.Publishing.Name, env, err)
		return nil, err
	}
	return b.results, nil
}

// again reports whether making the events ready anew may help.
func again(err error) bool {
	return errors.Is(err, custom.ErrMoved) || errors.Is(err, eventlog.ErrEventExists) || errors.Is(err, eventlog.ErrVersion) || errors.Is(err, decide.ErrAlso)
}

// May refuses, before anything is looked at, who may not publish such events at
// all. The decider asks again, with the organization that is settled by then.
func (p *Publisher) May(ctx context.Context, env decide.Envelope, events []Event) error {
	_, err := p.may(ctx, env, events)
	return err
}

func (p *Publisher) may(ctx context.Context, env decide.Envelope, events []Event) (who authz.Authority, err error) {
	if len(events) == 0 || len(events) > MaxEvents {
		return who, fault.Field("events", "1 to %d events are published at a time", MaxEvents)
	}
	if who, err = p.Runner.Authority(ctx, env.Actor, p.Runner.Log.Mark().Size); err != nil {
		return who, err
	}
	for i := range events {
		if err := mayAnywhere(who, &events[i]); err != nil {
			p.Runner.Refused(ctx, custom.Publishing.Name, env, err)
			return who, inEvent(i, "", err)
		}
	}
	return who, nil
}

func mayAnywhere(who authz.Authority, e *Event) error {
	if who.MayPublish(e.Type, e.Organization) {
		return nil
	}
	if e.Organization.IsZero() && slices.ContainsFunc(who.Permissions(authz.Publish), func(h authz.Permission) bool { return h.Types.Has(e.Type) }) {
		return nil
	}
	return who.NeedPublish(e.Type, e.Organization)
}

// inEvent says which event, and which field of it, an error is about.
func inEvent(i int, field string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	e := *f
	e.Field = "events[" + strconv.Itoa(i) + "]"
	if field != "" {
		e.Field += "." + field
	}
	if f.Field != "" {
		e.Field += f.Field
	}
	return &e
}

// batch is a command that is made ready.
type batch struct {
	who     authz.Authority
	defs    *custom.Definitions
	actor   event.Actor
	cmd     custom.Publish
	also    event.Condition
	results []Result
	from    []int // for each event of cmd, which of the publisher's it is
	heads   map[event.Stream]uint64
	owner   map[event.Stream]event.ID
	states  map[event.Stream]*custom.Entity // of entities with unique values
	exact   bool                            // versions must be known before the events are recorded
	met     *met                            // nil: each event and entity is looked up by itself
}

func (p *Publisher) ready(ctx context.Context, who authz.Authority, actor event.Actor, events []Event, also event.Condition, exact bool) (*batch, error) {
	defs, err := p.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	exact = exact || slices.ContainsFunc(events, func(e Event) bool { return e.Expected != nil })
	b := &batch{who: who, exact: exact, defs: defs, actor: actor, cmd: custom.Publish{Defined: defs.At}, results: make([]Result, len(events)),
		also:  event.Condition{Streams: map[event.Stream]uint64{}},
		heads: map[event.Stream]uint64{}, owner: map[event.Stream]event.ID{}, states: map[event.Stream]*custom.Entity{}}
	if b.met, err = p.meet(ctx, b, events); err != nil {
		return nil, err
	}
	seen := map[event.ID]bool{}
	for i := range events {
		e := &events[i]
		if !e.ID.IsZero() && seen[e.ID] {
			return nil, inEvent(i, "id", fault.New(fault.Invalid, "another event of the same request has this id"))
		}
		seen[e.ID] = true
		if err := p.add(ctx, b, i, e); err != nil {
			return nil, err
		}
	}
	if len(also.Query) == 0 || len(b.cmd.Events) == 0 { // what is recorded already was under its condition
		return b, nil
	}
	if err := p.unchanged(ctx, also); err != nil {
		return nil, err
	}
	b.also.Query, b.also.After = also.Query, p.Runner.Log.Mark().Size
	return b, p.unchanged(ctx, also)
}

// unchanged refuses if a record that the publisher's condition selects stands
// after its position.
func (p *Publisher) unchanged(ctx context.Context, c event.Condition) error {
	for r, err := range p.Runner.Log.ReadTo(ctx, c.Query, c.After, p.Runner.Log.Mark().Size) {
		if err != nil {
			return err
		}
		return &fault.Error{Kind: ErrSince.Kind, Field: "condition", Msg: ErrSince.Msg,
			Err: &eventlog.Between{Position: r.Position, Type: r.Type}}
	}
	return nil
}

// add makes one event ready, unless it is recorded already.
func (p *Publisher) add(ctx context.Context, b *batch, i int, e *Event) error {
	def, err := b.definition(e)
	if err != nil {
		return inEvent(i, "type", err)
	}
	if !e.ID.IsZero() {
		done, err := p.earlier(ctx, b, def, e)
		if err != nil || done.Repeated {
			b.results[i] = done
			return inEvent(i, "id", err)
		}
	} else {
		e.ID = event.NewID()
	}
	if def.Retired {
		return inEvent(i, "type", fault.New(fault.Refused, "this type of event is retired: it is not published any more"))
	}
	if err := def.Validate(e.Data); err != nil {
		return inEvent(i, "data", err)
	}
	stream := event.Stream{Kind: def.Entity, ID: e.Entity}
	if err := p.place(ctx, b, i, e, def, stream); err != nil {
		return err
	}
	payload, err := def.Payload(e.Entity, b.owner[stream], e.Data)
	if err != nil {
		return inEvent(i, "data", err)
	}
	b.heads[stream]++
	r := custom.Ready{Type: e.Type, Organization: b.owner[stream],
		New: event.New{Stream: stream, Payload: payload, ID: e.ID, Context: e.Context, Private: e.Private}}
	r.Ends, r.Makes = b.defs.Lifetime(def.Entity)
	if b.defs.Unique(def.Entity) {
		if err := p.claim(ctx, b, i, def, &r); err != nil {
			return err
		}
	}
	b.results[i] = Result{ID: e.ID, Version: b.heads[stream]}
	b.cmd.Events, b.from = append(b.cmd.Events, r), append(b.from, i)
	return nil
}

func (b *batch) definition(e *Event) (*schema.Definition, error) {
	t := b.defs.Set.Events[e.Type]
	if t == nil {
		return nil, fault.New(fault.Invalid, "there is no such type of event; GET /v1/schema lists those that are defined")
	}
	if e.Revision == 0 {
		return t.Latest(), nil
	}
	def := b.defs.Set.Definition(e.Type, e.Revision)
	if def == nil {
		return nil, fault.New(fault.Invalid, "%s has revisions 1 to %d, not %d", e.Type, len(t.Revisions), e.Revision)
	}
	return def, nil
}

// place finds where in its entity the event goes, and makes a condition of it.
func (p *Publisher) place(ctx context.Context, b *batch, i int, e *Event, def *schema.Definition, stream event.Stream) error {
	if _, known := b.heads[stream]; !known {
		if e.Entity.IsZero() {
			return inEvent(i, "entity_id", fault.New(fault.Invalid, "is missing; it is a UUID, made by whoever publishes the first event"))
		}
		if err := p.head(ctx, b, e, def, stream); err != nil {
			return err
		}
	}
	version := b.heads[stream]
	if e.Expected != nil && *e.Expected != version {
		var err error
		if version, err = p.readable(ctx, b, stream); err != nil {
			return err
		}
		b.heads[stream] = version
	}
	switch {
	case version == 0 && !def.Creates:
		return inEvent(i, "entity_id", ErrAbsent)
	case !e.Organization.IsZero() && e.Organization != b.owner[stream]:
		return inEvent(i, "organization_id", ErrOther)
	case !b.who.MayPublish(e.Type, b.owner[stream]):
		return inEvent(i, "", denied(e, version > 0, b.owner[stream]))
	case e.Expected != nil && *e.Expected != version:
		return inEvent(i, "expected_version", ErrExpect)
	case e.Expected != nil: // after those of the batch that come before it
		b.also.Streams[stream] = version - b.before(stream)
	}
	return nil
}

// denied says which permission is missing for an event, without whose its entity
// is.
func denied(e *Event, there bool, organization event.ID) error {
	if there {
		return authz.DeniedIn(organization, "publish "+e.Type+" events of this entity's organization")
	}
	return authz.Denied("publish " + e.Type + " events that belong to no organization; say with organization_id in which of yours the entity is")
}

// head finds out whether an entity is there, whose it is and, if that matters
// before the event is recorded, at which version. Entities never cease to be.
func (p *Publisher) head(ctx context.Context, b *batch, e *Event, def *schema.Definition, s event.Stream) error {
	if owner, known := p.known(b, def, s); known {
		b.heads[s], b.owner[s] = 1, owner // it has one event at least
		return nil
	}
	head, exists, err := p.stream(ctx, b, s)
	if err != nil {
		return err
	}
	b.heads[s], b.owner[s] = head.Version, home(b.who, e)
	if exists {
		b.owner[s], err = p.ownerOf(ctx, s)
		return err
	}
	b.also.Streams[s] = 0
	return nil
}

// before is how many events of the batch go to the stream already.
func (b *batch) before(stream event.Stream) (n uint64) {
	for i := range b.cmd.Events {
		if b.cmd.Events[i].Stream == stream {
			n++
		}
	}
	return n
}

// patience is how often it is waited for what is stored and cannot be read yet.
const patience = 20

// wait returns when more can be read than up to a position, or soon.
func (p *Publisher) wait(ctx context.Context, after event.Position) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	p.Runner.Log.Wait(ctx, after)
}

// ownerOf is the organization that an entity's first event settled.
func (p *Publisher) ownerOf(ctx context.Context, s event.Stream) (event.ID, error) {
	if id, ok := p.owners.get(s); ok {
		return id, nil
	}
	for range patience { // it is stored, and may be about to become readable
		mark := p.Runner.Log.Mark().Size
		for r, err := range p.Runner.Log.Read(ctx, event.OfStream(s), 0) {
			if err != nil {
				return event.ID{}, err
			}
			id := custom.OrganizationOf(r)
			p.owners.put(s, id)
			return id, nil
		}
		p.wait(ctx, mark)
	}
	return event.ID{}, fault.New(fault.Unavailable, "the entity's first event cannot be read here yet; try again in a moment")
}
