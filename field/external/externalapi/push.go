package externalapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/customapi"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/field/external"
	"muniment.dev/field/external/exchange"
	"muniment.dev/react"
)

// Why an adapter is stopped.
const (
	becauseOwner   = "its owner may not read all of these events any more, or not publish at all"
	becauseDead    = "the external system has refused 1,000 events: something is wrong with all of it"
	becauseRefused = "200 events of the external system could not be recorded: something is wrong with all of it"
)

// erased says that what was sealed of an entity is gone: external systems are
// told, so that they can do the same.
const erased = "entity.erased"

// mostBytes is how much one request brings, unless a single event is more.
const mostBytes = 4 << 20

// pushing is what there is to push at the moment.
type pushing struct {
	st     external.State
	who    authz.Authority
	target exchange.Target
	react.Selection
}

// push pushes all that is new. It answers why it had to end before, and when
// an event that was put off is to be tried again.
func (r *running) push(ctx context.Context) (*exchange.Failure, time.Time, error) {
	book := r.book(r.id)
	c, was, err := book.Load(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	c.Release()
	for {
		p, err := r.plan(ctx, r.id, c)
		if err != nil {
			return nil, time.Time{}, err
		}
		now := r.core.Runner.Log.Now()
		list, more, err := c.Take(ctx, r.core.Runner.Log, p.Selection, react.Ask{Max: int(p.st.Settings.Batch), Window: react.MaxLanes, Now: now, Until: now.Add(time.Hour)})
		if err != nil {
			return nil, time.Time{}, err
		}
		s := &sending{Service: r.Service, pushing: p, cursor: c, single: r.progress.Failed >= patientRuns}
		f := s.blame(s.batch(ctx, list))
		c.Release()
		if ctx.Err() != nil {
			return nil, time.Time{}, ctx.Err()
		}
		if was, err = book.Save(ctx, c, was); err != nil || f != nil || len(list) == 0 && !more {
			return f, c.Next(), err
		}
	}
}

// plan is what there is to push now.
func (s *Service) plan(ctx context.Context, id event.ID, c *react.Cursor) (*pushing, error) {
	if err := s.followPush(ctx, id, c); err != nil {
		return nil, err
	}
	upto := s.core.Runner.Log.Mark().Size // before the right is asked for: what comes behind its withdrawal is not for the owner
	st, err := s.state(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && st.Status != external.Active {
		return nil, errStopped
	}
	if err != nil {
		return nil, err
	}
	p := &pushing{st: st}
	if p.who, err = s.authority(ctx, event.Actor{Kind: "user", ID: st.Owner}); err != nil {
		return nil, err
	}
	if p.Selection, err = s.selection(ctx, st, upto); err != nil {
		return nil, err
	}
	types, err := s.types(ctx, st.EntityTypes)
	if err != nil && !fault.Is(err, fault.Invalid) {
		return nil, err
	}
	if external.MayPush(p.who, st.Organization, types, st.Settings.Unsealed) != nil {
		return nil, s.stop(ctx, id, becauseOwner)
	}
	if _, _, dead := c.Counts(); dead >= react.MaxDead {
		return nil, s.stop(ctx, id, becauseDead)
	}
	p.target, err = target(st)
	return p, err
}

// stop records that an adapter is stopped.
func (s *Service) stop(ctx context.Context, id event.ID, why string) error {
	if _, err := decide.Run(ctx, s.core.Runner, external.Stopping, decide.Envelope{Actor: event.System}, external.Stop{Adapter: id, Reason: why}); err != nil {
		return fault.Wrap("stop an adapter", err)
	}
	return errStopped
}

// followPush works into a cursor what was said of its adapter since.
func (s *Service) followPush(ctx context.Context, id event.ID, c *react.Cursor) error {
	upto := s.core.Runner.Log.Mark().Size
	err := s.said(ctx, id, c.Applied, upto, func(payload any) {
		switch p := payload.(type) {
		case external.Created:
			c.Seen = event.Position(p.After)
		case external.PushRewound: // back only: what is passed over would count as delivered
			c.Rewind(min(c.Seen, event.Position(p.After)))
		case external.Redriven:
			c.Redrive(event.Position(p.Position))
		case external.Discarded:
			c.Discard(event.Position(p.Position))
		}
	})
	c.Applied = max(c.Applied, upto)
	return err
}

// selection is what an adapter pushes, up to a position.
func (s *Service) selection(ctx context.Context, st external.State, upto event.Position) (react.Selection, error) {
	defs, err := s.Engine.Catalog.Current(ctx)
	if err != nil {
		return react.Selection{}, err
	}
	types := []string{erased}
	for name, t := range defs.Set.Events {
		if slices.Contains(st.EntityTypes, t.Entity) {
			types = append(types, name)
		}
	}
	slices.Sort(types)
	return react.Selection{Query: event.Query{{Types: types}}, Upto: upto, Matches: func(r *event.Record) bool { return pushes(st, r) }}, nil
}

// pushes reports whether an adapter pushes an event: not one that it pulled.
func pushes(st external.State, r *event.Record) bool {
	if !slices.Contains(st.EntityTypes, r.Stream.Kind) || !st.Organization.IsZero() && custom.OrganizationOf(r) != st.Organization {
		return false
	}
	return !pulledBy(st, r)
}

// pulledBy reports whether an event came from an adapter's external system.
func pulledBy(st external.State, r *event.Record) bool {
	if !strings.Contains(string(r.Context), field.ContextReplica) {
		return false
	}
	return custom.ContextOf(r)[field.ContextReplica] == customapi.UUID(st.ID)
}

// patientRuns is after how many runs in a row that failed events are sent by
// themselves: perhaps it is one of them.
const patientRuns = 2

// sending is what becomes of events that are handed out.
type sending struct {
	*Service
	*pushing
	cursor *react.Cursor
	single bool
	taken  int
	blamed []event.Position
	status int
}

// outgoing is an event on its way.
type outgoing struct {
	position event.Position
	id       string
	body     []byte
}

// batch sends events, as many at a time as fit.
func (s *sending) batch(ctx context.Context, list []react.Delivery) *exchange.Failure {
	var ready []outgoing
	size := 0
	for _, d := range list {
		body, err := s.message(ctx, d.Record)
		if err != nil {
			s.Logger.ErrorContext(ctx, "an event cannot be made ready to be pushed", "adapter", s.st.ID.String(), "position", uint64(d.Record.Position), "error", err)
			s.fail(d.Record.Position, react.Failure{Reason: react.Unreadable}, s.st.Settings.Attempts)
			continue
		}
		if size += len(body); size > mostBytes && len(ready) > 0 {
			if f := s.send(ctx, ready); f != nil {
				return f
			}
			ready, size = nil, len(body)
		}
		ready = append(ready, outgoing{d.Record.Position, customapi.UUID(d.Record.ID), body})
	}
	return s.send(ctx, ready)
}

// send sends events in one request. If they are refused together, they are sent
// in halves until it is seen which are meant.
func (s *sending) send(ctx context.Context, list []outgoing) *exchange.Failure {
	if len(list) == 0 {
		return nil
	}
	verdicts, err := s.Client.Post(ctx, s.target, s.request(list))
	var f *exchange.Failure
	switch {
	case err == nil:
		s.settle(list, verdicts)
		return nil
	case ctx.Err() != nil:
		return nil
	case !errors.As(err, &f):
		return &exchange.Failure{Reason: exchange.Unreachable}
	}
	perhaps := s.single && f.Status == http.StatusInternalServerError
	switch {
	case !f.OfEvents() && !perhaps:
		return f
	case len(list) > 1:
		half := len(list) / 2
		if f := s.send(ctx, list[:half]); f != nil {
			return f
		}
		return s.send(ctx, list[half:])
	case perhaps:
		s.blamed, s.status = append(s.blamed, list[0].position), f.Status
		if s.taken == 0 && len(s.blamed) > 3 { // it is not the events
			return f
		}
	default:
		s.fail(list[0].position, react.Failure{Reason: react.Answered, Status: f.Status}, 1)
	}
	return nil
}

// request is what brings events. Its id is the same for the same events.
func (s *sending) request(list []outgoing) exchange.Batch {
	h := sha256.New()
	h.Write(s.st.ID[:])
	bodies := make([]string, len(list))
	for i, o := range list {
		h.Write([]byte(o.id))
		bodies[i] = string(o.body)
	}
	return exchange.Batch{ID: hex.EncodeToString(h.Sum(nil)[:16]), Time: s.core.Runner.Log.Now(), Body: []byte("[" + strings.Join(bodies, ",") + "]")}
}

// settle notes what the external system said of events that it got.
func (s *sending) settle(list []outgoing, verdicts exchange.Verdicts) {
	for _, o := range list {
		switch verdicts[o.id] {
		case exchange.Refused:
			s.fail(o.position, react.Failure{Reason: react.Rejected}, 1)
		case exchange.Retry:
			s.fail(o.position, react.Failure{Reason: react.Rejected}, s.st.Settings.Attempts)
		default:
			s.cursor.Done(o.position)
		}
		s.taken++
	}
}

// blame has events count as attempted that were answered with an error, if others
// were taken meanwhile: then it is them, and else the external system.
func (s *sending) blame(f *exchange.Failure) *exchange.Failure {
	if s.taken == 0 && f == nil && len(s.blamed) > 0 {
		return &exchange.Failure{Reason: exchange.Answered, Status: s.status}
	}
	for _, p := range s.blamed {
		if s.taken > 0 {
			s.fail(p, react.Failure{Reason: react.Answered, Status: s.status}, s.st.Settings.Attempts)
		}
	}
	return f
}

func (s *sending) fail(p event.Position, why react.Failure, attempts int64) {
	retry := s.Retry
	retry.Attempts = int(attempts)
	s.cursor.Fail(p, why, s.core.Runner.Log.Now(), 0, retry)
}

// cloudEvent is an event as external systems get it (CloudEvents 1.0, JSON format
// §3), in the words in which they may be published here.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	DataSchema      string          `json:"dataschema,omitempty"`
	Sequence        string          `json:"sequence"` // the position; sorts as text (Sequence extension)
	LogID           string          `json:"logid"`
	Organization    string          `json:"munimentorganization,omitempty"`
	Withheld        string          `json:"withheld,omitempty"`   // fields that are not opened
	Erased          string          `json:"erased,omitempty"`     // fields that are gone
	Superseded      string          `json:"superseded,omitempty"` // fields that are left out because others changed them; "*": all
	Data            json.RawMessage `json:"data"`
}

// message is an event for an external system.
func (s *sending) message(ctx context.Context, r *event.Record) ([]byte, error) {
	p, err := s.Engine.Opened(ctx, s.who, r, s.st.Settings.Unsealed)
	if err != nil {
		return nil, err
	}
	at := r.Time
	if o := custom.Occurred(r); o != 0 {
		at = o.Time()
	}
	c := cloudEvent{SpecVersion: "1.0", ID: customapi.UUID(r.ID), Source: s.Source, Type: r.Type, Subject: r.Stream.Kind + "/" + customapi.UUID(r.Stream.ID), Time: at.UTC().Format(time.RFC3339Nano),
		DataContentType: "application/json", Sequence: sequence(r.Position), LogID: s.core.Runner.Log.GenerationAt(r.Position).String(),
		Withheld: strings.Join(p.Locked, ","), Erased: strings.Join(p.Erased, ","), Data: json.RawMessage("{}")}
	if r.Type != erased {
		c.DataSchema = s.Source + "/v1/schema#" + strconv.FormatUint(uint64(r.Revision), 10)
	}
	if !p.Organization.IsZero() {
		c.Organization = p.Organization.String()
	}
	lost := custom.Superseded(r)
	for _, name := range lost {
		delete(p.Data, name)
	}
	if c.Superseded = strings.Join(lost, ","); slices.Contains(lost, "") {
		c.Superseded, p.Data = "*", nil
	}
	if len(p.Data) > 0 {
		c.Data = event.FormatJSON(p.Data)
	}
	return json.Marshal(c)
}

// sequence is a position as text that sorts as positions do.
func sequence(p event.Position) string {
	text := strconv.FormatUint(uint64(p), 10)
	return strings.Repeat("0", max(0, 20-len(text))) + text
}
