package externalapi

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/customapi"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/external"
	"muniment.dev/field/external/exchange"
	"muniment.dev/field/fieldapi"
)

// mostPages bounds one run: a cursor that moves for ever is not followed for
// ever. The next run goes on there.
const mostPages = 100

// pull records all that is new at the external system. It answers why it had to
// end before. The cursor is kept once everything in front of it is recorded.
func (r *running) pull(ctx context.Context) (*exchange.Failure, error) {
	for range mostPages {
		st, err := r.may(ctx)
		if err != nil {
			return nil, err
		}
		t, err := target(st)
		if err != nil {
			return nil, err
		}
		limit := int(st.Settings.Batch)
		page, err := r.Client.Get(ctx, t, event.NewID().String(), r.core.Runner.Log.Now(), r.progress.Cursor, limit)
		var f *exchange.Failure
		if errors.As(err, &f) {
			return f, ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		for _, raw := range page.Events {
			if err := r.record(ctx, &st, raw); err != nil {
				return nil, err
			}
		}
		if moved := page.Next != "" && page.Next != r.progress.Cursor; !moved {
			if len(page.Events) >= limit { // there may be more, and no way to it
				return &exchange.Failure{Reason: stuck}, nil
			}
			return nil, nil
		}
		r.progress.Cursor = page.Next
		if err := r.keep(ctx); err != nil || len(page.Events) == 0 {
			return nil, err
		}
	}
	return nil, nil
}

// may is how the adapter is now, if it may go on.
func (r *running) may(ctx context.Context) (external.State, error) {
	st, err := r.state(ctx, r.id)
	if fault.Is(err, fault.NotFound) || err == nil && st.Status != external.Active {
		return st, errStopped
	}
	if err != nil {
		return st, err
	}
	who, err := r.authority(ctx, event.Actor{Kind: "user", ID: st.Owner})
	if err == nil && who.Blocked() {
		err = r.stop(ctx, r.id, becauseOwner)
	}
	return st, err
}

// structured is the header of one CloudEvent.
var structured = map[string][]string{"Content-Type": {"application/cloudevents+json"}}

// record records one event that the external system offers, or that it was
// refused.
func (r *running) record(ctx context.Context, st *external.State, raw json.RawMessage) error {
	e, err := r.read(ctx, *st, raw)
	if err == nil {
		if st.GivenUp[e.ID] {
			return nil
		}
		var known bool
		if known, err = r.known(ctx, e.ID); err != nil || known {
			return err
		}
		if st.Holds(e.Entity) {
			return r.refuse(ctx, st, external.Refusal{Event: e.ID, Entity: e.Entity, Reason: external.Waits})
		}
		err = r.publish(ctx, *st, e)
	}
	if err == nil {
		return nil
	}
	reason, ofEvent := reasonOf(err)
	if !ofEvent {
		return err
	}
	where, err := r.where(ctx, e.Type, err)
	if err != nil {
		return err
	}
	return r.refuse(ctx, st, external.Refusal{Event: e.ID, Entity: e.Entity, Reason: reason, Field: where})
}

// attributes are those of CloudEvents that a mistake may be in.
var attributes = []string{"id", "source", "specversion", "type", "subject", "entity_id", "partitionkey", "time", "occurred", "dataschema", "revision", "datacontenttype", "data",
	"organization_id", "expected_version", "context"}

// where is the field that a mistake is in, if it is one of ours: what strangers
// call theirs may be about people, and is not recorded.
func (r *running) where(ctx context.Context, typ string, why error) (string, error) {
	var f *fault.Error
	if !errors.As(why, &f) {
		return "", nil
	}
	defs, err := r.Engine.Catalog.Current(ctx)
	if err != nil {
		return "", err
	}
	t, found := defs.Set.Events[typ], ""
	for _, name := range strings.FieldsFunc(f.Field, func(c rune) bool { return strings.ContainsRune("./[]", c) }) {
		switch {
		case t != nil && t.Latest().Field(name) != nil:
			return name, nil
		case found == "" && slices.Contains(attributes, name):
			found = name
		}
	}
	return found, nil
}

// errAbsent is for an event whose entity is not there.
var errAbsent = fault.New(fault.NotFound, "there is no such entity")

// reasonOf is why an event is refused; false if the error is not of the event.
func reasonOf(err error) (string, bool) {
	switch fault.KindOf(err) {
	case fault.Denied:
		return external.Denied, true
	case fault.NotFound:
		return external.Absent, true
	case fault.Invalid, fault.Exists, fault.Refused, fault.Erased:
		return external.Invalid, true
	}
	return "", false
}

// known reports whether an event is recorded: whoever offers it again, or offers
// what was pushed to them, changes nothing.
func (r *running) known(ctx context.Context, id event.ID) (bool, error) {
	_, ok, err := r.core.Runner.Log.Store().EventPosition(ctx, r.core.Runner.Log.ID(), id)
	return ok, err
}

// read reads an event that is offered. Of one that cannot be read it answers
// what is known: an id, at least.
func (r *running) read(ctx context.Context, st external.State, raw json.RawMessage) (fieldapi.Event, error) {
	m, err := r.Entities.ReadCloudEvents(ctx, structured, raw)
	if err != nil {
		return r.unread(ctx, raw, err)
	}
	asked, ok := m.(*munimentv1.PublishEventsRequest)
	if !ok || len(asked.GetEvents()) != 1 {
		return r.unread(ctx, raw, fault.New(fault.Invalid, "this is no event"))
	}
	n := asked.GetEvents()[0]
	in, err := customapi.NewEvent(n)
	if err != nil {
		return r.unread(ctx, raw, err)
	}
	e := fieldapi.Event{Event: in}
	if o := n.GetOccurred(); o != nil {
		e.Occurred = event.Instant(o.AsTime().UnixMicro())
	}
	if n.ExpectedVersion != nil {
		return e, fault.Field("expected_version", "an external system does not know which version it will find")
	}
	defs, err := r.Engine.Catalog.Current(ctx)
	if err != nil {
		return e, err
	}
	if t := defs.Set.Events[e.Type]; t == nil || !slices.Contains(st.EntityTypes, t.Entity) {
		return e, fault.Field("type", "the adapter is for other entities")
	}
	if !st.Organization.IsZero() {
		if e.Organization.IsZero() {
			e.Organization = st.Organization
		}
		if e.Organization != st.Organization {
			return e, fault.New(fault.Denied, "the adapter is for another organization")
		}
	}
	return e, nil
}

// unread is what is known of an event that cannot be read. Its id is made of all
// of it, keyed: what it says may be about people.
func (r *running) unread(ctx context.Context, raw json.RawMessage, why error) (e fieldapi.Event, err error) {
	digest, err := r.core.Runner.Sealer.RequestDigest(ctx, append([]byte("an event of an adapter\x00"), raw...))
	if err != nil {
		return e, err
	}
	e.ID = event.ID(digest[:len(e.ID)])
	var around struct{ Subject string }
	if json.Unmarshal(raw, &around) == nil {
		_, id, found := strings.Cut(around.Subject, "/")
		if !found {
			id = around.Subject
		}
		e.Entity, _ = event.ParseID(strings.ToLower(id)) //nolint:errcheck // none, then
	}
	return e, why
}

// publish records an event as one of a device that knew all that is here: the
// external system's word comes after ours.
func (r *running) publish(ctx context.Context, st external.State, e fieldapi.Event) error {
	e.Base = r.core.Runner.Log.Mark().Size
	env := decide.Envelope{Actor: event.Actor{Kind: "user", ID: st.Owner}}
	out, err := r.Engine.Push(ctx, env, customapi.UUID(st.ID), []fieldapi.Event{e})
	switch {
	case err != nil:
		return err
	case out[0].Status == fieldapi.Waiting:
		return errAbsent
	case out[0].Status == fieldapi.Invalid:
		return out[0].Err
	}
	return nil
}

// refuse records that an event was not recorded.
func (r *running) refuse(ctx context.Context, st *external.State, why external.Refusal) error {
	if _, has := st.Refused[why.Event]; has || st.GivenUp[why.Event] {
		return nil
	}
	_, err := decide.Run(ctx, r.core.Runner, external.Refusing, decide.Envelope{Actor: event.System}, external.Refuse{Adapter: r.id, Refusal: why})
	if fault.Is(err, fault.NotFound) {
		return errStopped
	}
	if err != nil {
		return err
	}
	if *st, err = r.state(ctx, r.id); err == nil && len(st.Refused) >= external.MostRefused {
		err = r.stop(ctx, r.id, becauseRefused)
	}
	return err
}
