package customapi

import (
	"context"
	"fmt"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// indexing says how far the values of a field are claimed; nil if there is
// nothing to say.
func indexing(f *munimentv1.TypeField, c custom.Claims) *munimentv1.FieldIndexing {
	if f.GetUnique() == "" || c.Since == 0 {
		return nil
	}
	out := &munimentv1.FieldIndexing{Since: uint64(c.Since), Indexed: uint64(c.Indexed), Of: uint64(c.Of), Complete: c.Complete}
	for _, id := range c.Held {
		out.HeldEntityIds = append(out.HeldEntityIds, schema.UUIDOf(id))
	}
	return out
}

// progress says what the newest change of definitions did to entities, and how
// far they are computed anew if that is under way.
func (s SchemaService) progress(ctx context.Context, docs custom.Documents, out *munimentv1.GetSchemaResponse) error {
	if c := docs.Compared; c.Entities > 0 {
		out.Comparison = &munimentv1.SchemaComparison{Compared: uint64(c.Entities), Differ: uint64(c.Differ), Fail: uint64(c.Fail)}
	}
	now, err := s.Catalog.Current(ctx)
	if err != nil || now.At != docs.At {
		return err
	}
	if epoch, serves := s.core.Views.Epoch(custom.ViewName); serves && event.Position(epoch) == docs.Epoch {
		return nil
	}
	out.Rebuilding = &munimentv1.EntityRebuilding{Since: uint64(docs.Epoch)}
	st := s.core.Views.Status()
	if p := st.Rebuilding; p != nil {
		out.Rebuilding.Done, out.Rebuilding.Of = uint64(p.Done), uint64(p.Total)
	}
	if st.RebuildErr != nil {
		out.Rebuilding.Problem = fault.Public(st.RebuildErr)
	}
	return nil
}

// searchable refuses a search by a field that the view does not know of yet: it
// would find nothing of what is there.
func (l *lister) searchable(ctx context.Context, field string) error {
	defs, err := l.s.Catalog.Current(ctx)
	if err != nil {
		return err
	}
	since := defs.Searched(l.req.GetType(), field)
	if epoch, _ := l.s.core.Views.Epoch(custom.ViewName); event.Position(epoch) >= since {
		return nil
	}
	progress := ""
	if p := l.s.core.Views.Status().Rebuilding; p != nil && p.Total > 0 {
		progress = fmt.Sprintf(" (%d of %d events)", p.Done, p.Total)
	}
	return fault.New(fault.Unavailable, "%s can be searched for since a moment ago, and entities are still being made ready for it%s; try again soon", field, progress)
}
