package customapi

import (
	"slices"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// sight is what a caller may read of the entities of a type.
type sight struct {
	who   authz.Authority
	t     *schema.Entity
	types []string // of its events
}

func newSight(who authz.Authority, defs *custom.Definitions, entityType string) (*sight, error) {
	t := defs.Set.Entities[entityType]
	if t == nil {
		return nil, fault.Field("type", "there is no such type of entity; GET /v1/schema lists those that are defined")
	}
	s := &sight{who: who, t: t}
	for name, e := range defs.Set.Events {
		if e.Entity == entityType {
			s.types = append(s.types, name)
		}
	}
	slices.Sort(s.types)
	return s, nil
}

// stranger reports whether somebody has nothing to do with customers' types: no
// role, and no permission.
func stranger(who authz.Authority) bool {
	return !who.Member() && !slices.ContainsFunc(authz.EventRights(), func(r authz.EventRight) bool { return len(who.Permissions(r)) > 0 })
}

// emptySight is of a type of which nothing is known.
func emptySight(who authz.Authority, entityType string) *sight {
	return &sight{who: who, t: &schema.Entity{Name: entityType}}
}

// sees reports whether the entities of an organization may be read at all.
func (s *sight) sees(organization event.ID) bool {
	return s.who.May(authz.ReadObjects, authz.Of(organization)) || len(s.types) > 0 && !slices.ContainsFunc(s.types, func(t string) bool {
		return !s.who.MayReadEvents(t, organization)
	})
}

// opens reports whether what is sealed under a subject may be read.
func (s *sight) opens(organization, subject event.ID) bool {
	if s.who.Is(subject) || s.who.May(authz.ReadSealed, authz.Of(organization)) {
		return true
	}
	return len(s.types) > 0 && s.sees(organization) && !slices.ContainsFunc(s.types, func(t string) bool { return !s.who.MayUnseal(t, organization) })
}

// opened are the organizations of which everything sealed may be read; all of
// them, or some.
func (s *sight) opened() (all bool, some []event.ID) {
	if all, some = s.who.Organizations(authz.ReadSealed); all || s.opens(event.ID{}, event.ID{}) {
		return true, nil
	}
	for _, p := range s.who.Permissions(authz.Unseal) {
		if o := p.Organization; !o.IsZero() && s.opens(o, event.ID{}) && !slices.Contains(some, o) {
			some = append(some, o)
		}
	}
	return false, some
}

// Compared are the organizations of whose entities of a type a caller may read
// all that x-duplicates compares; all of them, or some. Of sealed fields, that
// two of them are alike is told to nobody else.
func Compared(who authz.Authority, defs *custom.Definitions, entityType string) (all bool, some []event.ID) {
	s, err := newSight(who, defs, entityType)
	if err != nil {
		return false, nil
	}
	if slices.ContainsFunc(s.t.Duplicates, func(r schema.Rule) bool { return !r.Public }) {
		return s.opened()
	}
	return s.organizations()
}

// organizations are those whose entities may be read; all of them, or some.
func (s *sight) organizations() (all bool, some []event.ID) {
	if all, some = s.who.Organizations(authz.ReadObjects); all || s.sees(event.ID{}) {
		return true, nil
	}
	for _, p := range s.who.Permissions(authz.Read) {
		if o := p.Organization; !o.IsZero() && s.sees(o) && !slices.Contains(some, o) {
			some = append(some, o)
		}
	}
	return false, some
}

// show is an entity as the caller may read it.
func (s *sight) show(e *custom.Entity) *munimentv1.Entity {
	out := &munimentv1.Entity{Type: e.Type, EntityId: schema.UUIDOf(e.ID), Version: e.Version, Position: uint64(e.Position), Deleted: e.Deleted,
		Created: timestamppb.New(e.Created.Time()), Changed: timestamppb.New(e.Changed.Time()), FailedPosition: uint64(e.Failed), Problem: e.Problem}
	if !e.Organization.IsZero() {
		out.OrganizationId = e.Organization.String()
	}
	data := map[string]any{}
	for name, v := range e.Fields {
		if s.opensField(e, name) {
			data[name] = v
		} else {
			out.Locked = append(out.Locked, name)
		}
	}
	slices.Sort(out.Locked)
	for i := range s.t.Fields {
		f := &s.t.Fields[i]
		if id := custom.Subject(s.t, e, f.Name); !id.IsZero() && slices.Contains(e.Gone, id) {
			out.Erased = append(out.Erased, f.Name)
		}
	}
	if !e.Deleted {
		out.DataJson = string(event.FormatJSON(data))
		out.Data = asStruct(data)
	}
	return out
}

func (s *sight) opensField(e *custom.Entity, field string) bool {
	subject := custom.Subject(s.t, e, field)
	return subject.IsZero() || s.opens(e.Organization, subject)
}

// UUID is an id as customers' entities and events have it.
func UUID(id event.ID) string { return schema.UUIDOf(id) }

// Struct is a JSON object as protobuf has it, in which numbers are doubles.
func Struct(m map[string]any) *structpb.Struct { return asStruct(m) }

// asStruct is a JSON object as protobuf has it, in which numbers are doubles.
func asStruct(m map[string]any) *structpb.Struct {
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(m))}
	for name, v := range m {
		out.Fields[name] = asValue(v)
	}
	return out
}

func asValue(v any) *structpb.Value {
	switch v := v.(type) {
	case nil:
		return structpb.NewNullValue()
	case bool:
		return structpb.NewBoolValue(v)
	case string:
		return structpb.NewStringValue(v)
	case int64:
		return structpb.NewNumberValue(float64(v))
	case []any:
		list := &structpb.ListValue{Values: make([]*structpb.Value, len(v))}
		for i := range v {
			list.Values[i] = asValue(v[i])
		}
		return structpb.NewListValue(list)
	case map[string]any:
		return structpb.NewStructValue(asStruct(v))
	case interface{ Float64() (float64, error) }:
		n, _ := v.Float64()
		return structpb.NewNumberValue(n)
	}
	return structpb.NewNullValue()
}
