package fieldapi

import (
	"cmp"
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/customapi"
	"muniment.dev/custom/publish"
	"muniment.dev/custom/schema"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// ListDuplicates answers pairs that may be the same.
func (s *Service) ListDuplicates(ctx context.Context, req *munimentv1.ListDuplicatesRequest) (*munimentv1.ListDuplicatesResponse, error) {
	rd, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	cond, err := inState(req.GetState(), field.Open, field.Same, field.Different, field.Closed)
	if err != nil {
		return nil, err
	}
	of, err := ofEntity(req.GetEntityId(), "entity", "other")
	if err != nil {
		return nil, err
	}
	defs, err := s.Engine.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	rows, next, err := rd.Page(ctx, view.Query{Table: field.TableDuplicates, Where: adapter.Conditions(cond, of, comparable(rd.Who, defs)), OrderBy: []string{entity.Order}}, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListDuplicatesResponse{NextPageToken: next}
	for _, row := range rows {
		out.Duplicates = append(out.Duplicates, duplicate(row))
	}
	return out, nil
}

// comparable are the conditions of pairs of which the caller may read what was
// compared.
func comparable(who authz.Authority, defs *custom.Definitions) []view.Cond {
	var cond []view.Cond
	for _, kind := range slices.Sorted(maps.Keys(defs.Set.Entities)) {
		all, some := customapi.Compared(who, defs, kind)
		switch of := view.Eq("kind", kind); {
		case all:
			cond = append(cond, of)
		case len(some) > 0:
			cond = append(cond, view.All(of, view.In("organization", some...)))
		}
	}
	return []view.Cond{view.Any(cond...)}
}

func duplicate(row view.Row) *munimentv1.Duplicate {
	d := &munimentv1.Duplicate{EntityType: row.Text("kind"), EntityId: customapi.UUID(row.ID("entity")), OtherId: customapi.UUID(row.ID("other")), Fields: strings.Fields(row.Text("fields")),
		State: row.Text("state"), Position: uint64(row.Int(entity.Order))}
	if t := row.Time("created"); d.Position > 0 { // else somebody resolved what was never flagged
		d.Time = timestamppb.New(t)
	}
	if o := row.ID("organization"); !o.IsZero() {
		d.OrganizationId = o.String()
	}
	if k := row.ID("kept"); !k.IsZero() {
		d.KeptId = customapi.UUID(k)
	}
	return d
}

// The refusals of deleting the other one.
var (
	errKeep   = fault.Field("keep_id", "say which of the two goes on being used, if the other one is to be deleted")
	errDelete = fault.Field("delete_other", "no event type deletes entities of this type, or it needs more than to be published; publish it yourself")
)

// ResolveDuplicate says whether two entities are the same.
func (s *Service) ResolveDuplicate(ctx context.Context, req *munimentv1.ResolveDuplicateRequest) (*munimentv1.ResolveDuplicateResponse, error) {
	cmd := field.Resolve{Same: req.GetSame()}
	var err error
	if cmd.Entity, err = adapter.UUID("entity_id", req.GetEntityId()); err != nil {
		return nil, err
	}
	if cmd.Other, err = adapter.UUID("other_id", req.GetOtherId()); err != nil {
		return nil, err
	}
	if req.GetKeepId() != "" {
		if cmd.Kept, err = adapter.UUID("keep_id", req.GetKeepId()); err != nil {
			return nil, err
		}
	}
	pair, err := decide.Read(ctx, s.core.Runner, "possible duplicate", field.PairFacts(cmd.Entity, cmd.Other), field.PairOf(cmd.Entity, cmd.Other), field.EvolvePair)
	if err != nil {
		return nil, err
	}
	found, _ := pair.Known()
	t := telling{s: s, req: req, found: found, cmd: cmd}
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	cmd.Type = t.says
	res, err := adapter.Run(ctx, s.core, field.Resolving, req, cmd)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ResolveDuplicateResponse{Change: adapter.Change(res)}
	if res.Events > 0 || res.Replayed {
		out.EventPosition, out.DeletedPosition, err = t.tell(ctx, res.Last)
	}
	return out, err
}

// telling publishes what was resolved, for whoever follows the entities.
type telling struct {
	s       *Service
	req     *munimentv1.ResolveDuplicateRequest
	found   field.DuplicateFound
	cmd     field.Resolve
	says    string // the event type that says it; empty: none, or none that the caller may publish
	deletes string // that by which the other is deleted; empty: it is not to be
}

// prepare refuses, before anything is recorded, what could not be done.
func (t *telling) prepare(ctx context.Context) error {
	defs, err := t.s.Engine.Catalog.Current(ctx)
	if err != nil {
		return err
	}
	who, err := t.s.who(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(defs.Set.Events)) {
		e := defs.Set.Events[name]
		if t.says == "" && e.Entity == t.found.Kind && resolves(e) && who.MayPublish(name, t.found.Organization) && e.Latest().Validate(t.data(t.cmd.Other)) == nil {
			t.says = name
		}
	}
	if !t.req.GetDeleteOther() {
		return nil
	}
	if t.cmd.Kept.IsZero() || !t.cmd.Same {
		return errKeep
	}
	if t.deletes = Deletes(defs, t.found.Kind); t.deletes == "" {
		return errDelete
	}
	return who.NeedPublish(t.deletes, t.found.Organization)
}

// Deletes is the event type by which an entity of a type can be deleted without
// saying anything else; empty if there is none, or more than one.
func Deletes(defs *custom.Definitions, kind string) string {
	ends, _ := defs.Lifetime(kind)
	ends = slices.DeleteFunc(slices.Clone(ends), func(name string) bool {
		def := defs.Set.Events[name].Latest()
		return def.Retired || def.Validate(map[string]any{}) != nil
	})
	if len(ends) != 1 {
		return ""
	}
	return ends[0]
}

func (t *telling) data(other event.ID) map[string]any {
	return map[string]any{"other": schema.UUIDOf(other), "same": t.cmd.Same}
}

// tell publishes, once for what was resolved at a position.
func (t *telling) tell(ctx context.Context, resolved event.Position) (said, deleted uint64, err error) {
	entity := cmp.Or(t.cmd.Kept, t.cmd.Entity)
	other := t.cmd.Other
	if entity == other {
		other = t.cmd.Entity
	}
	if t.says != "" {
		if said, err = t.publish(ctx, resolved, t.says, entity, t.data(other)); err != nil {
			return 0, 0, err
		}
	}
	if t.deletes != "" {
		deleted, err = t.publish(ctx, resolved, t.deletes, other, map[string]any{})
	}
	return said, deleted, err
}

func (t *telling) publish(ctx context.Context, resolved event.Position, typ string, entity event.ID, data map[string]any) (uint64, error) {
	env, err := call.Envelope(ctx, t.req)
	if err != nil {
		return 0, err
	}
	env.Command, env.Request = event.ID{}, nil // the event's id makes it happen once
	sum := sha256.Sum256([]byte("duplicate resolved\x00" + t.s.core.Runner.Log.GenerationAt(resolved).String() + "\x00" + call.Place{Position: resolved}.String() + "\x00" + typ))
	res, err := t.s.Engine.Publisher.Publish(ctx, env, []publish.Event{{ID: event.ID(sum[:16]), Type: typ, Entity: entity, Organization: t.found.Organization, Data: data}}, event.Condition{})
	if err != nil {
		return 0, fault.Wrap("publish that a duplicate was resolved", err)
	}
	return uint64(res[0].Position), nil
}
