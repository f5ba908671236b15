package customapi

import (
	"context"
	"slices"
	"strings"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// ErrUnknown says that there is no such entity, or that the caller may not know
// of it.
var ErrUnknown = fault.New(fault.NotFound, "there is no such entity")

// reading begins the reading of entities of a type.
func (s *Service) reading(ctx context.Context, r *munimentv1.Read, entityType string) (*adapter.Reading, *sight, error) {
	rd, err := s.core.Begin(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defs, err := s.Catalog.Current(ctx)
	if err != nil {
		return nil, nil, err
	}
	sight, err := newSight(rd.Who, defs, entityType)
	if err != nil && stranger(rd.Who) { // which types there are is not for them
		return rd, emptySight(rd.Who, entityType), nil
	}
	return rd, sight, err
}

// get finds an entity that the caller may read.
func (s *Service) get(ctx context.Context, rd *adapter.Reading, sight *sight, entityType, text string) (*custom.Entity, error) {
	id, err := adapter.UUID("entity_id", text)
	if err != nil {
		return nil, err
	}
	row, ok, err := rd.Get(ctx, custom.Table, view.Values{"id": id, "type": entityType})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrUnknown
	}
	e := custom.Read(row)
	if !sight.sees(e.Organization) && !slices.ContainsFunc(subjects(sight.t, e), sight.who.Is) {
		return nil, ErrUnknown
	}
	return e, nil
}

// subjects are whom an entity's sealed fields are about.
func subjects(t *schema.Entity, e *custom.Entity) (out []event.ID) {
	for name := range e.Fields {
		if id := custom.Subject(t, e, name); !id.IsZero() && id != e.ID {
			out = append(out, id)
		}
	}
	return out
}

// GetEntity answers an entity as it is, or was.
func (s EntityService) GetEntity(ctx context.Context, req *munimentv1.GetEntityRequest) (*munimentv1.GetEntityResponse, error) {
	rd, sight, err := s.reading(ctx, req.GetRead(), req.GetType())
	if err != nil {
		return nil, err
	}
	e, err := s.get(ctx, rd, sight, req.GetType(), req.GetEntityId())
	if err != nil {
		return nil, err
	}
	return &munimentv1.GetEntityResponse{Entity: sight.show(e)}, nil
}

// maxFilters is how many conditions a list may have.
const maxFilters = 5

// ListEntities answers the entities of a type that match.
func (s EntityService) ListEntities(ctx context.Context, req *munimentv1.ListEntitiesRequest) (*munimentv1.ListEntitiesResponse, error) {
	rd, sight, err := s.reading(ctx, req.GetRead(), req.GetType())
	if err != nil {
		return nil, err
	}
	if n := len(req.GetFilters()); n > maxFilters {
		return nil, fault.Field("filters", "at most %d", maxFilters)
	}
	if stranger(rd.Who) { // nor what could be searched for
		sight = emptySight(rd.Who, req.GetType())
		req = &munimentv1.ListEntitiesRequest{Type: req.GetType(), PageSize: req.GetPageSize()}
	}
	l := lister{s: s, rd: rd, sight: sight, req: req}
	if l.scope, err = l.visible(); err != nil {
		return nil, err
	}
	if len(req.GetFilters()) == 0 && req.GetOrderBy() == "" {
		return l.all(ctx)
	}
	return l.filtered(ctx)
}

// lister is one request for a list.
type lister struct {
	s     EntityService
	rd    *adapter.Reading
	sight *sight
	req   *munimentv1.ListEntitiesRequest
	scope []view.Cond
}

// visible are the conditions that say which entities may be read.
func (l *lister) visible() ([]view.Cond, error) {
	cond := []view.Cond{view.Eq("type", l.req.GetType())}
	if all, some := l.sight.organizations(); !all {
		cond = append(cond, view.In("organization", some...))
	}
	more, err := adapter.Equal("organization", "organization_id", l.req.GetOrganizationId())
	return append(cond, more...), err
}

func (l *lister) all(ctx context.Context) (*munimentv1.ListEntitiesResponse, error) {
	cond := l.scope
	if !l.req.GetWithDeleted() {
		cond = append(cond, view.Eq("deleted", false))
	}
	if l.req.GetFailed() {
		cond = append(cond, view.Range("failed", 1, nil))
	}
	rows, next, err := l.rd.Page(ctx, view.Query{Table: custom.Table, Where: cond, OrderBy: []string{entity.Order}, Desc: l.req.GetDescending()}, l.req.GetPageSize(), l.req.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListEntitiesResponse{NextPageToken: next}
	for _, row := range rows {
		out.Entities = append(out.Entities, l.sight.show(custom.Read(row)))
	}
	return out, nil
}

// condition is a filter as a condition on the table of values.
func (l *lister) condition(i int, f *munimentv1.FieldFilter) ([]view.Cond, error) {
	at := "filters[" + string(rune('0'+i)) + "]"
	field := l.sight.t.Field(f.GetField())
	switch {
	case field == nil || field.Search == "" && field.Unique == "":
		return nil, fault.Field(at+".field", "%s cannot be searched by %q; give the field x-search in the entity's definition", l.req.GetType(), f.GetField())
	case (f.GetEquals() == "") == (f.GetPrefix() == ""):
		return nil, fault.Field(at, "give equals or prefix")
	case f.GetPrefix() != "" && field.Search != schema.Prefix:
		return nil, fault.Field(at+".prefix", "%s is searched by its whole value only; give it x-search: prefix", f.GetField())
	}
	column, cond := "value", slices.Clone(l.scope)
	if !field.Public {
		column = "sealed"
		// What may not be opened is not even walked past: how far a page goes
		// would tell that it is there.
		all, some := l.sight.opened()
		if !all && len(some) == 0 {
			return nil, fault.New(fault.Denied, "you may not search by sealed fields; it needs the right to unseal the events of %s", l.req.GetType())
		}
		if !all {
			cond = append(cond, view.In("organization", some...))
		}
	}
	cond = append(cond, view.Eq("field", f.GetField()))
	if f.GetPrefix() != "" {
		return append(cond, view.Prefix(column, f.GetPrefix())), nil
	}
	return append(cond, view.Same(column, indexText(field, f.GetEquals()))), nil
}

// indexText is the form in which a value that is given as text is searched.
func indexText(f *schema.Field, text string) string {
	if f.Kind == schema.Integer || f.Kind == schema.Value {
		if n, err := event.Decimal(text); err == nil {
			return custom.Index(n)
		}
	}
	if f.Kind == schema.UUID || f.Kind == schema.UUIDs {
		if id, err := event.ParseID(strings.ToLower(text)); err == nil {
			return schema.UUIDOf(id)
		}
	}
	return custom.Index(text)
}

// filtered walks the table of values along the first filter, or in the order
// that was asked for, and keeps what all filters select.
func (l *lister) filtered(ctx context.Context) (*munimentv1.ListEntitiesResponse, error) {
	limit, err := adapter.PageSize(l.req.GetPageSize())
	if err != nil {
		return nil, err
	}
	for _, f := range l.req.GetFilters() {
		if err := l.searchable(ctx, f.GetField()); err != nil {
			return nil, err
		}
	}
	if err := l.searchable(ctx, l.req.GetOrderBy()); err != nil {
		return nil, err
	}
	walk, rest, err := l.plan()
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListEntitiesResponse{}
	walk.After, walk.Limit = l.req.GetPageToken(), limit
	const maxPages = 20
	for range maxPages {
		rows, next, err := l.rd.Select(ctx, walk)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			e, err := l.match(ctx, row, rest)
			if err != nil {
				return nil, err
			}
			if e != nil {
				out.Entities = append(out.Entities, l.sight.show(e))
			}
		}
		out.NextPageToken, walk.After = next, next
		walk.Limit = limit - len(out.Entities)
		if next == "" || walk.Limit <= 0 {
			return out, nil
		}
	}
	return out, nil
}

// plan chooses what is walked along; the other filters are asked of each entity.
func (l *lister) plan() (view.Query, []*munimentv1.FieldFilter, error) {
	filters := l.req.GetFilters()
	for i, f := range filters {
		if _, err := l.condition(i, f); err != nil {
			return view.Query{}, nil, err
		}
	}
	if by := l.req.GetOrderBy(); by != "" {
		f := l.sight.t.Field(by)
		if f == nil || f.Search == "" || !f.Public {
			return view.Query{}, nil, fault.Field("order_by", "must be a public field of %s with x-search", l.req.GetType())
		}
		cond := append(slices.Clone(l.scope), view.Eq("field", by), view.Eq("n", 0))
		return view.Query{Table: custom.Values, Where: cond, OrderBy: []string{"value"}, Desc: l.req.GetDescending()}, filters, nil
	}
	cond, err := l.condition(0, filters[0])
	return view.Query{Table: custom.Values, Where: cond, OrderBy: []string{"id"}, Desc: l.req.GetDescending()}, filters[1:], err
}

// match is the entity of a row of values if it matches the other filters.
func (l *lister) match(ctx context.Context, row view.Row, filters []*munimentv1.FieldFilter) (*custom.Entity, error) {
	r, ok, err := l.rd.Get(ctx, custom.Table, view.Values{"id": row.ID("id"), "type": row.Text("type")})
	if err != nil || !ok {
		return nil, err
	}
	e := custom.Read(r)
	if l.req.GetOrderBy() == "" && l.element(e) != row.Int("n") { // another element of the same list
		return nil, nil
	}
	if e.Deleted && !l.req.GetWithDeleted() || l.req.GetFailed() && e.Failed == 0 {
		return nil, nil
	}
	for _, f := range append(slices.Clone(filters), l.req.GetFilters()...) {
		field := l.sight.t.Field(f.GetField())
		if !l.sight.opensField(e, f.GetField()) || !holds(e, field, f) {
			return nil, nil
		}
	}
	return e, nil
}

// element is the first element of a list by which the first filter finds an
// entity: it is listed once, however many do.
func (l *lister) element(e *custom.Entity) int64 {
	f := l.req.GetFilters()[0]
	return int64(found(e, l.sight.t.Field(f.GetField()), f))
}

func holds(e *custom.Entity, field *schema.Field, f *munimentv1.FieldFilter) bool {
	return found(e, field, f) >= 0
}

// found is which value of a field a filter selects first; -1 if none.
func found(e *custom.Entity, field *schema.Field, f *munimentv1.FieldFilter) int {
	return slices.IndexFunc(custom.Indexed(e, field.Name), func(text string) bool {
		have := event.Normalize(text, true)
		if f.GetPrefix() != "" {
			return strings.HasPrefix(have, event.Normalize(f.GetPrefix(), true))
		}
		return have == event.Normalize(indexText(field, f.GetEquals()), true)
	})
}
