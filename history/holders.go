package history

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// ListRoleHolders answers who held which role.
func (s *Service) ListRoleHolders(ctx context.Context, req *munimentv1.ListRoleHoldersRequest) (*munimentv1.ListRoleHoldersResponse, error) {
	f := req.GetFilter()
	where, err := adapter.Equal("user", "filter.user_id", f.GetUserId())
	if err != nil {
		return nil, err
	}
	more, err := adapter.Equal("project", "filter.project_id", f.GetProjectId())
	if err != nil {
		return nil, err
	}
	if where = append(where, more...); f.GetRoleKey() != "" {
		where = append(where, view.Eq("role", f.GetRoleKey()))
	}
	src, _ := sourceOf("grants")
	resp := &munimentv1.ListRoleHoldersResponse{}
	resp.Holdings, resp.NextPageToken, err = s.holdings(ctx, src, where, asked{req.GetRead(), f.GetIncludeEnded(), req.GetPageSize(), req.GetPageToken()},
		func(r view.Row) *munimentv1.Holding {
			return &munimentv1.Holding{UserId: r.ID("user").String(), ProjectId: r.ID("project").String(), RoleKey: r.Text("role"), Deactivated: r.Bool("deactivated")}
		})
	return resp, err
}

// ListAdministrators answers who administered what.
func (s *Service) ListAdministrators(ctx context.Context, req *munimentv1.ListAdministratorsRequest) (*munimentv1.ListAdministratorsResponse, error) {
	f := req.GetFilter()
	where, err := adapter.Equal("user", "filter.user_id", f.GetUserId())
	if err != nil {
		return nil, err
	}
	switch level := f.GetScope().GetLevel().(type) {
	case *munimentv1.Scope_Instance:
		where = append(where, view.Eq("organization", event.ID{}))
	case *munimentv1.Scope_OrganizationId:
		more, err := adapter.Equal("organization", "filter.scope.organization_id", level.OrganizationId)
		if err != nil {
			return nil, err
		}
		where = append(where, more...)
	}
	src, _ := sourceOf("members")
	resp := &munimentv1.ListAdministratorsResponse{}
	resp.Holdings, resp.NextPageToken, err = s.holdings(ctx, src, where, asked{req.GetRead(), f.GetIncludeEnded(), req.GetPageSize(), req.GetPageToken()}, membership)
	return resp, err
}

var memberRoles = map[authz.Role]munimentv1.MemberRole{
	authz.Owner: munimentv1.MemberRole_MEMBER_ROLE_OWNER, authz.Admin: munimentv1.MemberRole_MEMBER_ROLE_ADMIN,
	authz.Viewer: munimentv1.MemberRole_MEMBER_ROLE_VIEWER, authz.Auditor: munimentv1.MemberRole_MEMBER_ROLE_AUDITOR,
}

func membership(r view.Row) *munimentv1.Holding {
	h := &munimentv1.Holding{UserId: r.ID("user").String(), Role: memberRoles[authz.Role(r.Text("role"))],
		Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}
	if o := r.ID("organization"); !o.IsZero() {
		h.Scope.Level = &munimentv1.Scope_OrganizationId{OrganizationId: o.String()}
	}
	return h
}

// asked is what both lists take.
type asked struct {
	read  *munimentv1.Read
	ended bool
	size  int32
	token string
}

// spell is a time for which a row stood.
type spell struct {
	row          view.Row
	since, until event.Position
}

// holdings answers a page of the spells for which rows stood, newest first. The
// token is how many came before.
func (s *Service) holdings(ctx context.Context, src source, where []view.Cond, a asked, holding func(view.Row) *munimentv1.Holding) ([]*munimentv1.Holding, string, error) {
	size, err := adapter.PageSize(a.size)
	if err != nil {
		return nil, "", err
	}
	l, err := s.look(ctx)
	if err != nil {
		return nil, "", err
	}
	at, err := s.core.AsOf(ctx, a.read)
	if err != nil {
		return nil, "", err
	}
	if at == 0 {
		at = s.core.Runner.Log.Mark().Size
	}
	found, err := s.spells(ctx, l, src, append(where, l.visible(src)...), at, a.ended)
	if err != nil {
		return nil, "", err
	}
	skip := 0
	if a.token != "" {
		if skip, err = strconv.Atoi(a.token); err != nil || skip < 1 || skip > len(found) {
			return nil, "", fault.Field("page_token", "this token is of no page of this list; begin again without one")
		}
	}
	next := ""
	if found = found[skip:]; len(found) > size {
		found, next = found[:size], strconv.Itoa(skip+size)
	}
	out := make([]*munimentv1.Holding, len(found))
	for i, sp := range found {
		out[i] = holding(sp.row)
	}
	return out, next, s.tell(ctx, found, out)
}

// spells are the times for which rows stood that began up to a position, newest
// first. A range that begins where another of the same row ends goes on with it.
func (s *Service) spells(ctx context.Context, l *looker, src source, where []view.Cond, at event.Position, ended bool) (out []spell, err error) {
	b := view.Between{Table: src.table, Where: where, Upto: at, Rows: view.MaxLimit}
	for {
		found, next, err := s.core.Views.Passages(ctx, b)
		if err != nil {
			return nil, err
		}
		for i := range found {
			ok, err := l.sees(ctx, src, found[i].First)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			for _, sp := range joined(src, found[i].Ranges) {
				if sp.until > at {
					sp.until = 0
				}
				if sp.until == 0 || ended {
					out = append(out, sp)
				}
			}
		}
		if b.Behind = next; next == "" {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b spell) int { return cmp.Compare(b.since, a.since) })
	return out, nil
}

// joined are the times for which a row stood the same, and counted.
func joined(src source, ranges []view.Row) (out []spell) {
	for _, r := range ranges {
		if src.gone != "" && r.Bool(src.gone) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].until == r.Since && (src.deactivated == "" || out[n-1].row.Bool(src.deactivated) == r.Bool(src.deactivated)) {
			out[n-1].until = r.Until
			continue
		}
		out = append(out, spell{r, r.Since, r.Until})
	}
	return out
}

// tell says of holdings when they began and ended, and by which events.
func (s *Service) tell(ctx context.Context, spells []spell, out []*munimentv1.Holding) error {
	var positions []event.Position
	for _, sp := range spells {
		if positions = append(positions, sp.since); sp.until > 0 {
			positions = append(positions, sp.until)
		}
	}
	shown, err := s.events.Shown(ctx, "who held roles", positions)
	if err != nil {
		return err
	}
	for i, sp := range spells {
		h := out[i]
		since, err := s.core.Runner.Log.Record(ctx, sp.since)
		if err != nil {
			return err
		}
		h.Since, h.SincePosition, h.Granted = adapter.Time(since.Time), uint64(sp.since), shown[sp.since]
		if sp.until == 0 {
			continue
		}
		until, err := s.core.Runner.Log.Record(ctx, sp.until)
		if err != nil {
			return err
		}
		h.Until, h.UntilPosition, h.Ended = adapter.Time(until.Time), uint64(sp.until), shown[sp.until]
	}
	return nil
}
