package sessionapi

import (
	"context"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/org"
	"muniment.dev/policy"
	"muniment.dev/seal"
	"muniment.dev/session"
	"muniment.dev/user"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// ListSessions answers the sessions of a user, newest first.
func (s *Service) ListSessions(ctx context.Context, req *munimentv1.ListSessionsRequest) (*munimentv1.ListSessionsResponse, error) {
	id, err := adapter.ID("user_id", req.GetUserId())
	if err != nil {
		return nil, err
	}
	limit, err := adapter.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	p, err := s.person(ctx, r, id)
	if err != nil {
		return nil, err
	}
	if p.now, err = r.Now(ctx); err != nil {
		return nil, err
	}
	resp := &munimentv1.ListSessionsResponse{}
	if p.out && !req.GetIncludeEnded() {
		return resp, nil
	}
	q := view.Query{Table: session.Table, Where: []view.Cond{view.Eq("user", id)}, OrderBy: []string{entity.Order}, Desc: true, Limit: limit, After: req.GetPageToken()}
	if !req.GetIncludeEnded() {
		q.Where = append(q.Where, view.Eq("over", false), view.Range("expires", p.now.Add(time.Microsecond), nil))
	}
	rows, next, err := r.Select(ctx, q)
	if err != nil {
		return nil, err
	}
	resp.NextPageToken = next
	if err := p.applications(ctx, r, rows); err != nil {
		return nil, err
	}
	for _, row := range rows {
		answer, err := s.answer(ctx, p, row)
		if err != nil {
			return nil, err
		}
		if !req.GetIncludeEnded() && answer.GetState() != munimentv1.SessionState_SESSION_STATE_ACTIVE {
			continue // idle, or the policy has become stricter
		}
		resp.Sessions = append(resp.Sessions, answer)
	}
	return resp, nil
}

// person is whose sessions are shown, and what of them the caller may see.
type person struct {
	origin bool // address and user agent, too
	erased bool // what is sealed under the person's key is not to be read any more, key or not
	out    bool // the person's organization is deactivated: no session of theirs is good
	policy policy.Session
	now    time.Time
	apps   map[event.ID][]string // by session
}

// person finds a user that the caller may see.
func (s *Service) person(ctx context.Context, r *adapter.Reading, id event.ID) (p person, err error) {
	row, ok, err := r.Get(ctx, user.Table, view.Values{"id": id})
	if err != nil {
		return p, err
	}
	if !ok || !r.Sees(row.ID("organization"), id) {
		return p, user.ErrNotFound
	}
	p.origin = r.Who.Is(id) || r.Who.May(authz.ReadSealed, authz.Of(row.ID("organization")))
	_, key, err := s.core.Runner.Log.AssignedKey(ctx, event.SubjectID{ID: id})
	if err != nil {
		return p, err
	}
	p.erased = key == event.Erased
	home, ok, err := r.Get(ctx, org.Table, view.Values{"id": row.ID("organization")})
	if err != nil {
		return p, err
	}
	p.out = ok && (home.Bool("deactivated") || home.Bool("removed"))
	rows := func(table string, key view.Values) (view.Row, bool, error) { return r.Get(ctx, table, key) }
	policies, err := policy.Read(rows, row.ID("organization"))
	p.policy, _ = policies.Session()
	return p, err
}

func (p *person) applications(ctx context.Context, r *adapter.Reading, rows []view.Row) error {
	ids := make([]event.ID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID("id")
	}
	found, err := r.All(ctx, view.Query{Table: session.Applications, Where: []view.Cond{view.In("session", ids...)}})
	p.apps = map[event.ID][]string{}
	for _, row := range found {
		p.apps[row.ID("session")] = append(p.apps[row.ID("session")], row.ID("application").String())
	}
	return err
}

func (s *Service) answer(ctx context.Context, p person, row view.Row) (*munimentv1.Session, error) {
	e := entity.Of(row)
	ends := p.policy.Ends(row.Instant("expires"), row.Instant("auth_time"), row.Instant("used")).Time()
	out := &munimentv1.Session{Id: row.ID("id").String(), UserId: row.ID("user").String(), State: munimentv1.SessionState_SESSION_STATE_ACTIVE,
		Started: adapter.Time(e.Created), Authenticated: adapter.Time(row.Time("auth_time")), Expires: adapter.Time(ends),
		Ended: adapter.Time(row.Time("ended")), Methods: row.Texts("amr"), ApplicationIds: p.apps[row.ID("id")], Position: uint64(e.Position)}
	switch {
	case row.Bool("over") || p.out:
		out.State = munimentv1.SessionState_SESSION_STATE_ENDED
	case !ends.After(p.now):
		out.State = munimentv1.SessionState_SESSION_STATE_EXPIRED
	}
	if !p.origin {
		return out, nil
	}
	values, err := s.origin(ctx, event.Position(row.Int(entity.Order)))
	for _, v := range values {
		if p.erased {
			v.State = event.Erased
		}
		switch v.Name {
		case "ip":
			out.Ip = adapter.Text(event.Sealed[string]{Value: v.Text, State: v.State})
		case "agent":
			out.UserAgent = adapter.Text(event.Sealed[string]{Value: v.Text, State: v.State})
		}
	}
	return out, err
}

// origin is where a sign-in came from: the context of the record by which the
// session began.
func (s *Service) origin(ctx context.Context, at event.Position) ([]seal.ContextValue, error) {
	rec, err := s.core.Runner.Log.Record(ctx, at)
	if err != nil {
		return nil, err
	}
	opened, err := s.core.Runner.Sealer.Open(ctx, rec)
	if err != nil {
		return nil, err
	}
	return seal.SealedContext(rec, opened), nil
}
