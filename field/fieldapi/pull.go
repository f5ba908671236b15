package fieldapi

import (
	"context"
	"slices"

	"muniment.dev/api/call"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/seal"
)

// Pulled is an event as the caller may read it.
type Pulled struct {
	*event.Record
	Entity       string // its type
	Organization event.ID
	Data         map[string]any
	Locked       []string
	Erased       []string
	Claimed      string // who did it, by the publisher's account
}

// maxScan is how many records a pull looks at.
const maxScan = 5000

// Cursor is a place in the log as devices hold it.
func (e *Engine) Cursor(p event.Position) string {
	return call.Place{Log: e.Runner.Log.GenerationAt(p), Position: p}.String()
}

// Position reads a cursor; empty is the beginning.
func (e *Engine) Position(name, cursor string) (event.Position, error) {
	if cursor == "" {
		return 0, nil
	}
	place, err := call.ParsePlace(cursor)
	if err != nil {
		return 0, fault.Field(name, "must be a cursor as a pull answered it, or empty")
	}
	if err := e.Runner.Log.CheckPlace(place.Log, place.Position); err != nil || place.Position > e.Runner.Log.Mark().Size {
		return 0, fault.Field(name, "this cursor is of another log, or of a part of this one that was given up when it was restored; pull from the beginning")
	}
	return place.Position, nil
}

// Pull answers up to limit events after a position, and where to go on.
func (e *Engine) Pull(ctx context.Context, who authz.Authority, entityTypes []string, after event.Position, limit int) (out []Pulled, next event.Position, err error) {
	defs, err := e.Catalog.Current(ctx)
	if err != nil {
		return nil, 0, err
	}
	types := []string{erased}
	for name, t := range defs.Set.Events {
		if len(entityTypes) == 0 || slices.Contains(entityTypes, t.Entity) {
			types = append(types, name)
		}
	}
	slices.Sort(types)
	mark := e.Runner.Log.Mark().Size
	scanned := 0
	for r, err := range e.Runner.Log.ReadTo(ctx, event.Query{{Types: types}}, after, mark) {
		if err != nil {
			return nil, 0, err
		}
		if len(entityTypes) > 0 && !slices.Contains(entityTypes, r.Stream.Kind) {
			continue
		}
		p, ok, err := e.show(ctx, who, defs, r)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			out = append(out, p)
		}
		if scanned++; len(out) == limit || scanned == maxScan {
			return out, r.Position, nil
		}
	}
	return out, max(mark, after), nil
}

const erased = "entity.erased"

// show is a record as the caller may read it; false if they may not.
func (e *Engine) show(ctx context.Context, who authz.Authority, defs *custom.Definitions, r *event.Record) (Pulled, bool, error) {
	out := Pulled{Record: r, Entity: r.Stream.Kind, Organization: custom.OrganizationOf(r)}
	own := who.Actor == r.Actor && !who.Blocked()
	if !own && !who.MayReadEvents(r.Type, out.Organization) {
		return out, false, nil
	}
	def := defs.Set.Definition(r.Type, r.Revision)
	if def == nil { // an erasure
		return out, r.Type == erased, nil
	}
	opened, err := e.Runner.Sealer.Open(ctx, r)
	if err != nil {
		return out, false, err
	}
	f, err := e.Runner.Sealer.Decode(ctx, r)
	if err != nil {
		return out, false, err
	}
	c, ok := f.Payload.(event.Custom)
	if !ok {
		return out, false, nil
	}
	unseals := own || who.MayUnseal(r.Type, out.Organization)
	if unseals {
		for _, v := range seal.SealedContext(r, opened) {
			if v.Name == claimedActor && v.State == event.Present {
				out.Claimed = v.Text
			}
		}
	}
	out.Data = map[string]any{}
	for name, v := range def.Value(c) {
		if unseals || mayRead(who, def, c, name, r.Stream.ID) {
			out.Data[name] = v
		} else {
			out.Locked = append(out.Locked, name)
		}
	}
	for name, state := range c.Gone {
		if state == event.Erased && def.Field(name) != nil {
			out.Erased = append(out.Erased, name)
		}
	}
	slices.Sort(out.Locked)
	slices.Sort(out.Erased)
	return out, true, nil
}

const claimedActor = "claimed-actor"

// mayRead reports whether a field is public, or about the caller.
func mayRead(who authz.Authority, def *schema.Definition, c event.Custom, name string, entity event.ID) bool {
	f := def.Field(name)
	if f == nil {
		return false
	}
	if f.Public {
		return true
	}
	subject := entity
	if f.Subject != "" {
		id, ok := c.Fields[f.Subject].(event.ID)
		if !ok {
			text, _ := c.Fields[f.Subject].(string)
			id, _ = event.ParseID(text)
		}
		subject = id
	}
	return who.Is(subject)
}

// replicaOf is the copy of the data that an event was made on.
func replicaOf(r *event.Record) string {
	s, _ := custom.ContextOf(r)[field.ContextReplica].(string)
	return s
}
