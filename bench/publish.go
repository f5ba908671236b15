package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/publish"
	"muniment.dev/custom/schema"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// PublishReport is how fast customers' events are published, and how fast an
// entity with many of them is read.
type PublishReport struct {
	Clients   int          `json:"clients"`
	Together  int          `json:"events_together"`
	HTTP      float64      `json:"http_events_per_second"`
	Process   float64      `json:"in_process_events_per_second"`
	Ratio     float64      `json:"ratio"`
	Lowest    float64      `json:"ratio_lowest"`
	Highest   float64      `json:"ratio_highest"`
	CPURatio  float64      `json:"cpu_ratio"`
	CPU       Duration     `json:"cpu"`            // of one event over HTTP, client and views included
	OurCPU    Duration     `json:"in_process_cpu"` // of one in process, views included
	Single    HTTPResult   `json:"single"`
	Entity    EntityReport `json:"entity"`
	Validated Duration     `json:"validated"` // one event of ten fields
}

// EntityReport is how fast an entity with many events is read.
type EntityReport struct {
	Events  int      `json:"events"`
	Now     Duration `json:"now_p50"`
	NowP99  Duration `json:"now_p99"`
	Past    Duration `json:"past_p50"`
	PastP99 Duration `json:"past_p99"`
}

// The figures that we want to keep.
const (
	publishTarget  = 0.5
	publishAtLeast = 10_000
	singleTarget   = 0.35
	nowTarget      = 5 * time.Millisecond
	pastTarget     = 50 * time.Millisecond
	validTarget    = 10 * time.Microsecond
)

// publishTogether is how many events a request has.
const publishTogether = 100

// meters are the definitions: an event with ten fields, two of them sealed.
func meters() []*munimentv1.SchemaDocument {
	const head = `{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Meter", "type": "object", "properties": {
		"customer": {"type": "string", "maxLength": 100}, "note": {"type": "string", "maxLength": 200},
		"value": {"type": "number", "minimum": 0, "x-public": true}, "unit": {"enum": ["kWh", "m3"], "x-public": true},
		"at": {"type": "string", "format": "date-time", "x-public": true}, "reader": {"type": "string", "maxLength": 50, "x-public": true},
		"floor": {"type": "integer", "minimum": -5, "maximum": 200, "x-public": true}, "estimated": {"type": "boolean", "x-public": true},
		"tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5, "x-public": true}, "place": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}, "x-public": true}},
		"additionalProperties": false, `
	return []*munimentv1.SchemaDocument{{File: "meter.json", Text: head + `"x-entity-type": "meter"}`},
		{File: "meter-read.json", Text: head + `"x-event": "meter-read", "x-entity": "meter", "x-creates": true}`}}
}

// reading is what one event says.
func reading(n int) map[string]any {
	return map[string]any{"customer": "Ada Lovelace", "note": "the door was open", "value": json.Number(fmt.Sprintf("%d.25", n)), "unit": "kWh", "at": "2026-04-05T17:31:00Z",
		"reader": "tablet-7", "floor": int64(3), "estimated": false, "tags": []any{"a", "b"}, "place": map[string]any{"lat": json.Number("51.5"), "lon": json.Number("-0.125")}}
}

// publishing is a server that customers' events are published to.
type publishing struct {
	*web
	header http.Header
	ours   *publish.Publisher // as the server's own
	meters []event.ID
	n      int
}

func (b *bench) publishing(ctx context.Context) (_ *publishing, err error) {
	w, err := b.newWeb(ctx, engine{}, "publish", httpClients)
	if err != nil {
		return nil, err
	}
	p := &publishing{web: w, ours: &publish.Publisher{Catalog: w.Core.Catalog, Runner: w.Core.Runner, Views: w.Core.Views}}
	if _, err = w.API.Permission.GrantPermission(w.as(ctx), &munimentv1.GrantPermissionRequest{UserId: w.owner.String(), Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*",
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}); err == nil {
		_, err = w.API.Schema.ApplySchema(w.as(ctx), &munimentv1.ApplySchemaRequest{Documents: meters()})
	}
	if err == nil {
		var token string
		token, err = w.token(ctx, "muniment-cli", "", "openid urn:muniment:scope:api")
		p.header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	}
	for range 1000 {
		p.meters = append(p.meters, event.NewID())
	}
	if err == nil { // every meter has its first event, and its key
		for meters := range slices.Chunk(p.meters, publish.MaxEvents) {
			if err == nil {
				err = p.inProcess(ctx, meters)
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return p, nil
}

// some are n meters by chance.
func (p *publishing) some(n int) []event.ID {
	out := make([]event.ID, n)
	for i := range out {
		out[i] = p.meters[rand.IntN(len(p.meters))]
	}
	return out
}

func (p *publishing) events(meters []event.ID) []publish.Event {
	events := make([]publish.Event, len(meters))
	for i, m := range meters {
		p.n++
		events[i] = publish.Event{ID: event.NewID(), Type: "meter-read", Entity: m, Data: reading(p.n)}
	}
	return events
}

func (p *publishing) envelope() decide.Envelope {
	return decide.Envelope{Actor: event.Actor{Kind: "user", ID: p.owner}}
}

// inProcess publishes without HTTP.
func (p *publishing) inProcess(ctx context.Context, meters []event.ID) error {
	_, err := p.ours.Publish(ctx, p.envelope(), p.events(meters), event.Condition{})
	return err
}

// request publishes over HTTP.
func (p *publishing) request(n int) request {
	list := make([]map[string]any, n)
	for i, e := range p.events(p.some(n)) {
		list[i] = map[string]any{"id": schema.UUIDOf(e.ID), "type": e.Type, "entityId": schema.UUIDOf(e.Entity), "data": e.Data}
	}
	body, _ := json.Marshal(map[string]any{"events": list})
	return request{http.MethodPost, p.URL() + "/v1/events", p.header, body}
}

// publish measures publishing, and reading an entity with many events.
func (b *bench) publish(ctx context.Context) (err error) {
	b.say("publish: a server with an event of ten fields")
	p, err := b.publishing(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	r := &PublishReport{Clients: httpClients, Together: publishTogether}
	if !b.Beside {
		return b.publishAlone(ctx, p)
	}
	if err := b.batches(ctx, p, r); err != nil {
		return err
	}
	if r.Single, err = b.single(ctx, p); err != nil {
		return err
	}
	if r.Entity, err = b.large(ctx, p); err != nil {
		return err
	}
	if r.Validated, err = validated(ctx, p); err != nil {
		return err
	}
	b.report.Publish = r
	return nil
}

// batches measures many events together, over HTTP and in process in turns.
func (b *bench) batches(ctx context.Context, p *publishing, r *PublishReport) error {
	var rates, ours, ratios, cpus []float64
	var cpu, ourCPU []time.Duration
	counts := [2]int{32, 32}
	for round := range b.Rounds + 1 {
		web, err := together(ctx, httpClients, sends(p.client, counts[0], func(int64) request { return p.request(publishTogether) }, ""))
		if err != nil {
			return err
		}
		ops := make([]operation, counts[1])
		for i := range ops {
			events := p.events(p.some(publishTogether))
			ops[i] = func(ctx context.Context) error {
				_, err := p.ours.Publish(ctx, p.envelope(), events, event.Condition{})
				return err
			}
		}
		own, err := together(ctx, httpClients, ops)
		if err != nil {
			return err
		}
		counts = [2]int{batchesFor(web, b.Duration), batchesFor(own, b.Duration)}
		if round == 0 {
			continue
		}
		b.say("publish, round %d of %d: %.0f events/s over HTTP, %.0f in process", round, b.Rounds, web.rate()*publishTogether, own.rate()*publishTogether)
		rates, ours, ratios = append(rates, web.rate()*publishTogether), append(ours, own.rate()*publishTogether), append(ratios, web.rate()/own.rate())
		if web.cpu > 0 {
			cpus = append(cpus, float64(own.cpuEach())/float64(web.cpuEach()))
			cpu, ourCPU = append(cpu, web.cpuEach()/publishTogether), append(ourCPU, own.cpuEach()/publishTogether)
		}
	}
	r.HTTP, r.Process, r.Ratio, r.Lowest, r.Highest = median(rates), median(ours), median(ratios), slices.Min(ratios), slices.Max(ratios)
	r.CPURatio, r.CPU, r.OurCPU = median(cpus), Duration(median(cpu)), Duration(median(ourCPU))
	return nil
}

// publishAlone measures publishing over HTTP without anything beside it.
func (b *bench) publishAlone(ctx context.Context, p *publishing) error {
	for _, k := range []kind{p.kind("publish 100 events", publishTogether), p.kind("publish event", 1)} {
		if slices.Contains(b.Requests, k.name) || !slices.ContainsFunc(b.Requests, func(r string) bool { return strings.HasPrefix(r, "publish") }) {
			if err := b.alone(ctx, p.web, k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *publishing) kind(name string, events int) kind {
	return kind{name: name, request: func(int64) request { return p.request(events) }}
}

// batchesFor is how many requests fill a duration.
func batchesFor(t timed, d time.Duration) int { return max(16, int(t.rate()*d.Seconds())) }

// single measures one event at a time beside a handler that group-commits a
// record.
func (b *bench) single(ctx context.Context, p *publishing) (r HTTPResult, err error) {
	k := p.kind("publish event", 1)
	k.beside, k.target = "one record group-committed", singleTarget
	in, err := b.prepare(ctx, "publish-bare", b.Preload)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	bare, err := b.bare(ctx, in)
	if err != nil {
		return r, err
	}
	in.closers = append(in.closers, bare.close)
	k.prepare = func(n int) (func(context.Context) error, error) { return in.commits(ctx, bare, n) }
	return b.beside(ctx, p.web, k)
}

// large gives an entity many events and reads it.
func (b *bench) large(ctx context.Context, p *publishing) (r EntityReport, err error) {
	id := event.NewID()
	b.say("publish: an entity with %d events", b.Events)
	if err := p.inProcess(ctx, []event.ID{id}); err != nil { // it is there at any time that is asked for
		return r, err
	}
	began := p.Core.Log.Now()
	for left := b.Events; left > 0; left -= publish.MaxEvents {
		meters := make([]event.ID, min(left, publish.MaxEvents))
		for i := range meters {
			meters[i] = id
		}
		if err := p.inProcess(ctx, meters); err != nil {
			return r, err
		}
	}
	took := p.Core.Log.Now().Sub(began)
	if err := p.Core.Views.Fresh(ctx, p.Core.Log.Mark().Size); err != nil {
		return r, err
	}
	get := func(at func() *munimentv1.Read) (timed, error) {
		ops := make([]operation, min(1000, b.Events))
		for i := range ops {
			q := &munimentv1.GetEntityRequest{Type: "meter", EntityId: schema.UUIDOf(id), Read: at()}
			ops[i] = func(ctx context.Context) error {
				_, err := p.API.Entity.GetEntity(p.as(ctx), q)
				return err
			}
		}
		return together(ctx, 1, ops)
	}
	now, err := get(func() *munimentv1.Read { return nil })
	if err != nil {
		return r, err
	}
	past, err := get(func() *munimentv1.Read {
		return &munimentv1.Read{AtTime: timestamppb.New(began.Add(rand.N(took)))}
	})
	return EntityReport{Events: b.Events, Now: Duration(now.quantile(.5)), NowP99: Duration(now.quantile(.99)), Past: Duration(past.quantile(.5)), PastP99: Duration(past.quantile(.99))}, err
}

// validated is how long it takes to validate an event of ten fields.
func validated(ctx context.Context, p *publishing) (Duration, error) {
	defs, err := p.Core.Catalog.Current(ctx)
	if err != nil {
		return 0, err
	}
	def, data := defs.Set.Definition("meter-read", 1), reading(1)
	const times = 10_000
	cpu, began := processTime(), time.Now()
	for range times {
		if err := def.Validate(data); err != nil {
			return 0, fault.Wrap("validate", err)
		}
	}
	if cpu == 0 {
		return Duration(time.Since(began) / times), nil
	}
	return Duration((processTime() - cpu) / times), nil
}

func (r *PublishReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nPublishing an event of ten fields\n\n")
	fmt.Fprintf(w, "  %d together, %d clients  %.0f events/s over HTTP, %.0f in process; wanted >= %d\n", r.Together, r.Clients, r.HTTP, r.Process, publishAtLeast)
	fmt.Fprintf(w, "  ratio                     %.2f (%.2f to %.2f), of processor time %.2f; wanted >= %.2f\n", r.Ratio, r.Lowest, r.Highest, r.CPURatio, publishTarget)
	fmt.Fprintf(w, "  processor time            %s of an event over HTTP, client and views included; %s in process\n", r.CPU, r.OurCPU)
	if s := r.Single; s.PerSecond > 0 {
		fmt.Fprintf(w, "  one at a time             %.0f/s, bare %.0f/s: ratio %.2f (%.2f to %.2f), of processor time %.2f; wanted >= %.2f\n", s.PerSecond, s.Bare, s.Ratio, s.Lowest, s.Highest, s.CPURatio, s.Target)
	}
	e := r.Entity
	fmt.Fprintf(w, "  an entity of %d events    now p50 %s, p99 %s; wanted p99 < %s\n", e.Events, e.Now, e.NowP99, Duration(nowTarget))
	fmt.Fprintf(w, "                            at a past time p50 %s, p99 %s; wanted p99 < %s\n", e.Past, e.PastP99, Duration(pastTarget))
	fmt.Fprintf(w, "  validating                %s; wanted < %s\n", r.Validated, Duration(validTarget))
}
