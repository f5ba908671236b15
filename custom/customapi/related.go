package customapi

import (
	"context"
	"slices"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/event"
	"muniment.dev/view"
)

// ListRelatedEntities answers what points to an entity.
func (s EntityService) ListRelatedEntities(ctx context.Context, req *munimentv1.ListRelatedEntitiesRequest) (*munimentv1.ListRelatedEntitiesResponse, error) {
	rd, sight, err := s.reading(ctx, req.GetRead(), req.GetType())
	if err != nil {
		return nil, err
	}
	to, err := s.get(ctx, rd, sight, req.GetType(), req.GetEntityId())
	if err != nil {
		return nil, err
	}
	limit, err := adapter.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	defs, err := s.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	q := view.Query{Table: custom.Pointers, Where: []view.Cond{view.Eq("other", to.ID)}, OrderBy: []string{"id"}, Limit: limit, After: req.GetPageToken()}
	types, all, some := anywhere(rd.Who, defs, req.GetRelatedType())
	q.Where = append(q.Where, view.In("type", types...))
	if !all {
		q.Where = append(q.Where, view.In("organization", some...))
	}
	out := &munimentv1.ListRelatedEntitiesResponse{}
	// A page is filled past what the caller may not see, so that it does not tell
	// how much of that there is.
	for q.Limit > 0 {
		rows, next, err := rd.Select(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if err := s.relate(ctx, rd, defs, row, out); err != nil {
				return nil, err
			}
		}
		out.NextPageToken, q.After, q.Limit = next, next, limit-len(out.Entities)
		if next == "" {
			break
		}
	}
	return out, nil
}

// relate adds what a row says to the answer, if the caller may see it.
func (s EntityService) relate(ctx context.Context, rd *adapter.Reading, defs *custom.Definitions, row view.Row, out *munimentv1.ListRelatedEntitiesResponse) error {
	other, err := newSight(rd.Who, defs, row.Text("type"))
	if err != nil || !other.sees(row.ID("organization")) {
		return nil // not defined any more, or not theirs
	}
	r, ok, err := rd.Get(ctx, custom.Table, view.Values{"id": row.ID("id"), "type": row.Text("type")})
	if ok {
		out.Entities = append(out.Entities, &munimentv1.RelatedEntity{Field: row.Text("field"), Entity: other.show(custom.Read(r))})
	}
	return err
}

// anywhere are the types, of one or of all, of which some entities may be read,
// and the organizations whose entities those are. What is not among them is not
// walked past.
func anywhere(who authz.Authority, defs *custom.Definitions, entityType string) (types []string, all bool, some []event.ID) {
	for name := range defs.Set.Entities {
		if entityType != "" && name != entityType {
			continue
		}
		sight, err := newSight(who, defs, name)
		if err != nil {
			continue
		}
		every, these := sight.organizations()
		if every || len(these) > 0 {
			types = append(types, name)
		}
		all = all || every
		for _, o := range these {
			if !slices.Contains(some, o) {
				some = append(some, o)
			}
		}
	}
	slices.Sort(types)
	return types, all, some
}
