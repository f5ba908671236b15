package datacollect

import (
	"context"
	"io"
	"strings"
	"time"

	"muniment.dev/api/adapter"
	"muniment.dev/custom/publish"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/fieldapi"
)

const (
	deleteEntity = "delete-entity"
	deletes      = "delete-"
	remote       = 1 // SyncLevel.REMOTE
	maxEvents    = 1000

	more     = "more"     // the field of the pack for what it has no field for
	original = "original" // what was sent, in it
)

// sent is an event as clients send it.
type sent struct {
	guid, entity event.ID
	typ          string
	data         map[string]any
	at           event.Instant
	user         string
}

// parse reads what clients push.
func parse(r io.Reader) ([]sent, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fault.New(fault.Exhausted, "push at most 4 MiB at a time")
	}
	v, err := event.ParseJSON(raw)
	if err != nil {
		return nil, err
	}
	body, _ := v.(map[string]any)
	list, ok := body["events"].([]any)
	if !ok || len(list) > maxEvents {
		return nil, fault.Field("events", "must be a list of at most %d events", maxEvents)
	}
	out := make([]sent, len(list))
	for i, item := range list {
		m, _ := item.(map[string]any)
		if out[i], err = one(m); err != nil {
			return nil, at(i, err)
		}
	}
	return out, nil
}

func one(m map[string]any) (s sent, err error) {
	text := func(name string) string { t, _ := m[name].(string); return t }
	if s.guid, err = adapter.UUID("guid", text("guid")); err != nil {
		return s, err
	}
	if s.entity, err = adapter.UUID("entityGuid", text("entityGuid")); err != nil {
		return s, err
	}
	if s.typ, s.user = text("type"), text("userId"); len(s.user) > 1000 {
		return s, fault.Field("userId", "at most 1,000 bytes")
	}
	if s.data, _ = m["data"].(map[string]any); s.data == nil {
		s.data = map[string]any{}
	}
	if t, err := time.Parse(time.RFC3339Nano, text("timestamp")); err == nil {
		s.at = event.Instant(t.UnixMicro())
	}
	return s, nil
}

// event is what is recorded of one.
func (h *Handler) event(ctx context.Context, s *sent) (fieldapi.Event, error) {
	defs, err := h.engine.Catalog.Current(ctx)
	if err != nil {
		return fieldapi.Event{}, err
	}
	typ := s.typ
	if typ == deleteEntity {
		if typ, err = h.deletion(ctx, s.entity); err != nil {
			return fieldapi.Event{}, err
		}
	}
	t := defs.Set.Events[typ]
	if t == nil {
		return fieldapi.Event{}, fault.Field("type", "there is no such type of event; GET /v1/schema lists those that are defined")
	}
	out := fieldapi.Event{Occurred: s.at, Latest: true, Event: publish.Event{ID: s.guid, Type: typ, Entity: s.entity, Data: fit(t.Latest(), s.data),
		Context: map[string]any{"source": "mobile-app"}, Private: map[string]string{}}}
	if s.at != 0 {
		out.Context["occurred"] = s.at
	}
	if s.user != "" {
		out.Private["claimed-actor"] = s.user
	}
	return out, nil
}

// deletion is the type of event that deletes an entity.
func (h *Handler) deletion(ctx context.Context, id event.ID) (string, error) {
	log := h.engine.Runner.Log
	for _, kind := range []string{"individual", "group"} {
		if _, there, err := log.Store().Stream(ctx, log.ID(), event.Stream{Kind: kind, ID: id}); err != nil || there {
			return deletes + kind, err
		}
	}
	return "", fault.Field("entityGuid", "there is no such entity")
}

// fit is the data as its type takes it. If the type has no field for some of it,
// all of it is kept as it was sent, beside what fits.
func fit(def *schema.Definition, data map[string]any) map[string]any {
	if def.Validate(data) == nil || def.Field(more) == nil {
		return data
	}
	out := map[string]any{more: map[string]any{original: data}}
	for name, v := range data {
		if name == more || def.Field(name) == nil {
			continue
		}
		if name == "members" {
			v = guids(v)
		}
		out[name] = v
	}
	for range len(data) { // what its field does not take is left to the whole
		name := wrong(def.Validate(out))
		if _, has := out[name]; !has {
			break
		}
		delete(out, name)
	}
	return out
}

// wrong is the field that an error of Validate is about.
func wrong(err error) string {
	if err == nil {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "/"), ":")
	name, _, _ = strings.Cut(name, "/")
	return name
}

// guids are the ids of members, which clients send as objects.
func guids(v any) any {
	list, _ := v.([]any)
	out := make([]any, 0, len(list))
	for _, item := range list {
		if m, is := item.(map[string]any); is {
			item = m["guid"]
		}
		out = append(out, item)
	}
	return out
}
