package customapi

import (
	"context"
	"reflect"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/publish"
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
	if !same(folded, served) && len(c.out.Different) < maxDifferent {
		c.out.Different = append(c.out.Different, s.String())
	}
	return nil
}

// same compares what a fold gives with what a row says.
func same(folded, served *custom.Entity) bool {
	if folded == nil || served == nil {
		return folded == served
	}
	a, b := *folded, *served
	if len(a.Fields)+len(b.Fields) == 0 {
		a.Fields, b.Fields = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// EraseEntity destroys the key of an entity's sealed fields.
func (s EntityService) EraseEntity(ctx context.Context, req *munimentv1.EraseEntityRequest) (*munimentv1.EraseEntityResponse, error) {
	rd, err := s.core.Begin(ctx, nil)
	if err != nil {
		return nil, err
	}
	id, err := adapter.UUID("entity_id", req.GetEntityId())
	if err != nil {
		return nil, err
	}
	row, ok, err := rd.Get(ctx, custom.Table, view.Values{"id": id, "type": req.GetType()})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrUnknown
	}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	res, err := publish.Erase(ctx, s.core.Runner, env, event.Stream{Kind: req.GetType(), ID: id}, row.ID("organization"))
	if err != nil {
		return nil, err
	}
	return &munimentv1.EraseEntityResponse{Change: adapter.Change(res)}, nil
}
