package history

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// maxEvents bounds the events of one difference.
const maxEvents = 100

// Compare answers what differs between two points.
func (s *Service) Compare(ctx context.Context, req *munimentv1.CompareRequest) (*munimentv1.CompareResponse, error) {
	l, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.span(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.CompareResponse{FromPosition: uint64(b.After), ToPosition: uint64(b.Upto)}
	f := req.GetFilter()
	switch {
	case (f.GetObject() == "") == (f.GetList() == ""):
		return nil, fault.Field("filter.object", "say what to compare: an object such as user:0f3a…, or a list such as users")
	case f.GetObject() != "":
		err = s.compareObject(ctx, l, b, f.GetObject(), resp)
	default:
		err = s.compareList(ctx, l, b, req, resp)
	}
	if err != nil {
		return nil, err
	}
	return resp, s.explain(ctx, resp)
}

// span reads the two points.
func (s *Service) span(ctx context.Context, req *munimentv1.CompareRequest) (b view.Between, err error) {
	log := s.core.Runner.Log
	mark := log.Mark().Size
	if b.After, err = adapter.Point(ctx, log, "from_position", event.Position(req.GetFromPosition()), "from_time", req.GetFromTime()); err != nil {
		return b, err
	}
	if b.Upto, err = adapter.Point(ctx, log, "to_position", event.Position(req.GetToPosition()), "to_time", req.GetToTime()); err != nil {
		return b, err
	}
	if b.Upto == 0 {
		b.Upto = mark
	}
	if b.After > b.Upto {
		return b, fault.Field("to_position", "the second point must not lie before the first")
	}
	return b, nil
}

func (s *Service) compareObject(ctx context.Context, l *looker, b view.Between, object string, resp *munimentv1.CompareResponse) error {
	stream, err := event.ParseStream(object)
	parts, ok := objects[stream.Kind]
	if err != nil || !ok || stream.ID.IsZero() {
		return fault.Field("filter.object", "write it as kind:id; the kinds are user, organization, project, application, session, subscription and instance, a hosted one")
	}
	if err := s.exists(ctx, l, parts[0], stream.ID); err != nil {
		return err
	}
	for _, p := range parts {
		src, _ := sourceOf(p.list)
		b.Table, b.Where, b.Behind, b.Rows = src.table, append(l.visible(src), view.Eq(p.column, stream.ID)), "", view.MaxLimit
		for {
			found, next, err := s.core.Views.Passages(ctx, b)
			if err != nil {
				return err
			}
			if err := s.add(ctx, l, src, found, resp); err != nil {
				return err
			}
			if b.Behind = next; next == "" {
				break
			}
		}
	}
	return nil
}

// exists refuses an object that never was, or that the caller may not see.
func (s *Service) exists(ctx context.Context, l *looker, p part, id event.ID) error {
	src, _ := sourceOf(p.list)
	ranges, err := s.core.Views.History(ctx, src.table, view.Values{p.column: id}, view.Read{})
	if err != nil {
		return err
	}
	for _, r := range ranges {
		ok, err := l.knows(ctx, src, r)
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
	}
	return errNotFound
}

// knows reports whether the caller may see a row that no condition selected.
func (l *looker) knows(ctx context.Context, src source, r view.Row) (bool, error) {
	var person event.ID
	if src.user != "" {
		person = r.ID(src.user)
	}
	switch {
	case src.organization != "":
		return l.Sees(r.ID(src.organization), person), nil
	case src.whole:
		return l.Sees(event.ID{}, event.ID{}), nil
	}
	return l.sees(ctx, src, r)
}

func (s *Service) compareList(ctx context.Context, l *looker, b view.Between, req *munimentv1.CompareRequest, resp *munimentv1.CompareResponse) (err error) {
	f := req.GetFilter()
	src, ok := sourceOf(f.GetList())
	if !ok {
		var known []string
		for _, s := range sources {
			known = append(known, s.list)
		}
		return fault.Field("filter.list", "there is no such list; there are %s", strings.Join(known, ", "))
	}
	if b.Rows, err = adapter.PageSize(req.GetPageSize()); err != nil {
		return err
	}
	token, err := base64.RawURLEncoding.Strict().DecodeString(req.GetPageToken())
	if err != nil {
		return fault.Field("page_token", "this token is of no page of this list; begin again without one")
	}
	b.Table, b.Where, b.Behind = src.table, l.visible(src), string(token)
	for _, c := range []struct{ column, field, id string }{{src.organization, "filter.organization_id", f.GetOrganizationId()},
		{src.project, "filter.project_id", f.GetProjectId()}, {src.user, "filter.user_id", f.GetUserId()}} {
		if c.id != "" && c.column == "" {
			return fault.Field(c.field, "%s cannot be selected by this", f.GetList())
		}
		where, err := adapter.Equal(c.column, c.field, c.id)
		if err != nil {
			return err
		}
		b.Where = append(b.Where, where...)
	}
	found, next, err := s.core.Views.Passages(ctx, b)
	if fault.Is(err, fault.Invalid) {
		return fault.Field("page_token", "this token is of no page of this list; begin again without one")
	}
	if err != nil {
		return err
	}
	resp.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(next))
	return s.add(ctx, l, src, found, resp)
}

// add adds the differences that the caller may see.
func (s *Service) add(ctx context.Context, l *looker, src source, found []view.Passage, resp *munimentv1.CompareResponse) error {
	for i := range found {
		p := &found[i]
		ok, err := l.sees(ctx, src, p.First)
		if err != nil {
			return err
		}
		if ok {
			resp.Differences = append(resp.Differences, difference(src, p))
		}
	}
	return nil
}

// own are columns that say how often and when a row changed, which the events
// tell better.
var own = []string{"added", "created", "changed", "version", "position"}

// difference is how a row differs.
func difference(src source, p *view.Passage) *munimentv1.Difference {
	d := &munimentv1.Difference{List: src.list}
	d.Key = keyOf(p.First)
	before, after := fields(p.Before), fields(p.After)
	for _, name := range columnsOf(p.First) {
		if slices.Contains(own, name) {
			continue
		}
		b, a := before[name], after[name]
		if !proto.Equal(b, a) {
			d.Fields = append(d.Fields, &munimentv1.FieldChange{Path: "/" + name, Before: b, After: a})
		}
	}
	switch {
	case p.Before == nil && p.After != nil:
		d.Kind = munimentv1.DifferenceKind_DIFFERENCE_KIND_ADDED
	case p.Before != nil && p.After == nil:
		d.Kind = munimentv1.DifferenceKind_DIFFERENCE_KIND_REMOVED
	case len(d.Fields) > 0:
		d.Kind = munimentv1.DifferenceKind_DIFFERENCE_KIND_CHANGED
	default:
		d.Kind = munimentv1.DifferenceKind_DIFFERENCE_KIND_TOUCHED
	}
	for _, at := range p.Positions[max(0, len(p.Positions)-maxEvents):] {
		d.Positions = append(d.Positions, uint64(at))
	}
	return d
}

// columnsOf lists a row's columns in their order.
func columnsOf(r view.Row) (names []string) {
	r.Each(func(c view.Column, _ event.State, _ any) { names = append(names, c.Name) })
	return names
}

// fields are what a row holds, as the API shows it; none of no row.
func fields(r *view.Row) map[string]*munimentv1.FieldValue {
	if r == nil {
		return nil
	}
	out := map[string]*munimentv1.FieldValue{}
	r.Each(func(c view.Column, s event.State, v any) {
		if shown, ok := value(c, s, v); ok && shown != nil {
			out[c.Name] = shown
		}
	})
	return out
}

// keyOf is what names a row.
func keyOf(r view.Row) (key []*munimentv1.DifferenceKey) {
	names := r.KeyColumns()
	r.Each(func(c view.Column, s event.State, v any) {
		if !slices.Contains(names, c.Name) {
			return
		}
		if shown, _ := value(c, s, v); shown != nil {
			key = append(key, &munimentv1.DifferenceKey{Name: c.Name, Value: shown.GetValue().GetStringValue()})
		}
	})
	return key
}

// explain adds the events by which things came to differ.
func (s *Service) explain(ctx context.Context, resp *munimentv1.CompareResponse) error {
	var positions []event.Position
	for _, d := range resp.Differences {
		for _, p := range d.Positions {
			positions = append(positions, event.Position(p))
		}
	}
	shown, err := s.events.Shown(ctx, "differences", positions)
	if err != nil {
		return err
	}
	for _, d := range resp.Differences {
		for _, p := range d.Positions {
			if e := shown[event.Position(p)]; e != nil {
				d.Events = append(d.Events, e)
			}
		}
	}
	return nil
}
