package customapi

import (
	"context"
	"fmt"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Bounds of a condition: each item is looked up with each change.
const (
	maxQueries    = 20
	maxQueryTypes = 50
	maxQueryTags  = 10
)

// condition is what must hold besides: of what the caller may read or publish.
// Anything else does not count, or whoever may publish one type could ask by
// conditions what happened to whom in the whole log.
func (s EntityService) condition(ctx context.Context, env decide.Envelope, c *munimentv1.FactCondition) (event.Condition, error) {
	if c == nil {
		return event.Condition{}, nil
	}
	after := event.Position(c.GetAfterPosition())
	log := s.core.Runner.Log
	if err := adapter.Held(log, "condition.log_id", c.GetLogId(), after); err != nil {
		return event.Condition{}, err
	}
	if mark := log.Mark().Size; after > mark {
		return event.Condition{}, fault.Field("condition.after_position", "the log has not reached position %d; it is at %d", after, mark)
	}
	if n := len(c.GetQueries()); n == 0 || n > maxQueries {
		return event.Condition{}, fault.Field("condition.queries", "1 to %d queries", maxQueries)
	}
	who, err := s.who(ctx)
	if err != nil {
		return event.Condition{}, err
	}
	sight := audit.Of(who)
	sight.Permissions = append(sight.Permissions, who.Permissions(authz.Publish)...)
	out := event.Condition{After: after}
	for i, q := range c.GetQueries() {
		at := fmt.Sprintf("condition.queries[%d]", i)
		it, err := item(at, q)
		if err != nil {
			return out, err
		}
		for _, t := range it.Types {
			if err := knows(who, sight, t); err != nil {
				s.core.Runner.Refused(ctx, custom.Publishing.Name, env, err)
				return out, err
			}
		}
		seen, ok := sight.Narrow(event.Query{it}, s.core.Runner.Sealer.Registry, log.ID())
		if !ok {
			return out, fault.Field(at+".types", "name the types: your permissions are too many to ask for all that they let you see")
		}
		out.Query = append(out.Query, seen...)
	}
	if len(out.Query) == 0 { // nothing that the caller could know of
		return event.Condition{}, nil
	}
	return out, nil
}

// knows refuses types of which the caller may know nothing, rather than let them
// take the condition for one that holds.
func knows(who authz.Authority, sight audit.Sight, typ string) error {
	if sight.All || len(sight.Organizations) > 0 {
		return nil
	}
	for _, p := range sight.Permissions {
		if p.Types.Has(typ) {
			return nil
		}
	}
	return who.NeedReadEvents(typ, event.ID{})
}

func item(at string, q *munimentv1.FactQuery) (event.Item, error) {
	it := event.Item{}
	if len(q.GetTypes()) > maxQueryTypes || len(q.GetTags()) > maxQueryTags {
		return it, fault.Field(at, "at most %d types and %d tags", maxQueryTypes, maxQueryTags)
	}
	for _, t := range q.GetTypes() {
		if !event.IsTypeName(t) {
			return it, fault.Field(at+".types", "must be names of event types")
		}
		it.Types = append(it.Types, t)
	}
	if q.GetEntity() != "" {
		stream, err := event.ParseStream(q.GetEntity())
		if err != nil {
			return it, fault.Field(at+".entity", "must be an entity type and a UUID, as household:0190…")
		}
		it.All = append(it.All, event.StreamTerm(stream))
	}
	for _, t := range q.GetTags() {
		it.All = append(it.All, event.TagTerm(event.Tag(t)))
	}
	if len(it.All)+len(it.Types) == 0 {
		return it, fault.Field(at, "name a type, an entity or a tag; a condition on everything would never hold")
	}
	return it, nil
}
