package customapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// maxDifferent is how many entities that differ are named.
const maxDifferent = 100

// CheckEntities folds entities anew and compares them with what is served.
func (s EntityService) CheckEntities(ctx context.Context, req *munimentv1.CheckEntitiesRequest) (*munimentv1.CheckEntitiesResponse, error) {
	who, err := s.who(ctx)
	if err != nil {
		return nil, err
	}
	if err := who.Need(authz.ReadEvents, authz.Instance); err != nil {
		return nil, err
	}
	c := checker{Service: s.Service, out: &munimentv1.CheckEntitiesResponse{Position: uint64(s.core.Runner.Log.Mark().Size)}}
	if c.defs, err = s.Catalog.Current(ctx); err != nil {
		return nil, err
	}
	if req.GetEntityId() != "" {
		id, err := adapter.UUID("entity_id", req.GetEntityId())
		if err != nil {
			return nil, err
		}
		return c.out, c.one(ctx, event.Stream{Kind: req.GetType(), ID: id})
	}
	return c.out, c.all(ctx, req.GetType())
}

type checker struct {
	*Service
	defs *custom.Definitions
	out  *munimentv1.CheckEntitiesResponse
}

// all checks the entities that exist at the position.
func (c *checker) all(ctx context.Context, entityType string) error {
	q := view.Query{Table: custom.Table, OrderBy: []string{entity.Order}, Limit: 1000, Read: view.Read{At: event.Position(c.out.Position)}}
	if entityType != "" {
		q.Where = []view.Cond{view.Eq("type", entityType)}
	}
	for {
		rows, next, _, err := c.core.Views.Select(ctx, q)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := c.one(ctx, event.Stream{Kind: row.Text("type"), ID: row.ID("id")}); err != nil {
				return err
			}
		}
		if q.After = next; next == "" {
			return nil
		}
	}
}

// one folds an entity from its events.
func (c *checker) one(ctx context.Context, s event.Stream) error {
	var folded *custom.Entity
	upto := event.Position(c.out.Position)
	for r, err := range c.core.Runner.Log.ReadTo(ctx, event.OfStream(s), 0, upto) {
		if err != nil {
			return err
		}
		f, err := c.core.Runner.Sealer.Decode(ctx, r)
		if err != nil {
			return err
		}
		if folded, err = c.defs.Fold(folded, f); err != nil {
			return err
		}
		c.out.Events++
	}
	served, err := c.at(ctx, s, upto)
	if err != nil {
		return err
	}
	if folded == nil && served == nil {
		return ErrUnknown
	}
	c.out.Checked++
	if !c.defs.Same(folded, served) && len(c.out.Different) < maxDifferent {
		c.out.Different = append(c.out.Different, s.String())
	}
	return nil
}
