package externalapi

import (
	"context"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/external"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// states and kinds by their name in the log.
var (
	states = map[external.Status]munimentv1.AdapterState{
		external.Active:    munimentv1.AdapterState_ADAPTER_STATE_ACTIVE,
		external.IsPaused:  munimentv1.AdapterState_ADAPTER_STATE_PAUSED,
		external.IsStopped: munimentv1.AdapterState_ADAPTER_STATE_STOPPED,
	}
	kinds = map[string]munimentv1.AdapterCredentialKind{
		external.Signature: munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_SIGNATURE,
		external.Bearer:    munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BEARER,
		external.Basic:     munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BASIC,
	}
)

// GetAdapter answers one adapter.
func (s *Service) GetAdapter(ctx context.Context, req *munimentv1.GetAdapterRequest) (*munimentv1.GetAdapterResponse, error) {
	id, err := adapter.ID(idField, req.GetAdapterId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	row, ok, err := r.Get(ctx, external.Table, view.Values{"id": id})
	if err != nil {
		return nil, err
	}
	if !ok || !r.Sees(row.ID("organization"), event.ID{}) {
		return nil, external.ErrNotFound
	}
	m, err := s.message(ctx, r, row, req.GetRead())
	return &munimentv1.GetAdapterResponse{Adapter: m}, err
}

// ListAdapters answers the adapters that match, oldest first.
func (s *Service) ListAdapters(ctx context.Context, req *munimentv1.ListAdaptersRequest) (*munimentv1.ListAdaptersResponse, error) {
	where, err := conditions(req.GetFilter())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	where = adapter.Conditions(where, r.Visible("organization", ""))
	rows, next, err := r.Page(ctx, view.Query{Table: external.Table, Where: where, OrderBy: []string{entity.Order}}, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListAdaptersResponse{NextPageToken: next}
	for _, row := range rows {
		m, err := s.message(ctx, r, row, req.GetRead())
		if err != nil {
			return nil, err
		}
		out.Adapters = append(out.Adapters, m)
	}
	return out, nil
}

func conditions(f *munimentv1.AdapterFilter) ([]view.Cond, error) {
	where, err := adapter.Equal("organization", "filter.organization_id", f.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	if want := f.GetState(); want != munimentv1.AdapterState_ADAPTER_STATE_UNSPECIFIED {
		known := false
		for status, state := range states {
			if state == want {
				where, known = append(where, view.Eq("status", string(status))), true
			}
		}
		if !known {
			return nil, fault.Field("filter.state", "there is no such state")
		}
	}
	if p := f.GetNamePrefix(); p != "" {
		where = append(where, view.Prefix("name", p))
	}
	return where, adapter.Prefix("filter.name_prefix", f.GetNamePrefix())
}

// message is a row for an answer.
func (s *Service) message(ctx context.Context, r *adapter.Reading, row view.Row, asked *munimentv1.Read) (*munimentv1.Adapter, error) {
	e, id, organization := entity.Of(row), row.ID("id"), row.ID("organization")
	m := &munimentv1.Adapter{Id: id.String(), Name: row.Text("name"), Scope: scope(organization), OwnerId: row.ID("owner").String(), Direction: directions[external.Direction(row.Text("direction"))],
		EntityTypes: row.Texts("entity_types"), IntervalSeconds: int32(row.Int("interval")), BatchSize: int32(row.Int("batch")), MaxAttempts: int32(row.Int("attempts")),
		Unsealed: row.Bool("unsealed"), Credential: kinds[row.Text("credential")], State: states[external.Status(row.Text("status"))], StoppedBecause: row.Text("reason"),
		Created: adapter.Time(e.Created), Changed: adapter.Time(e.Changed), Version: e.Version, Position: uint64(e.Position)}
	if asked.GetAtPosition() > 0 || asked.GetAtTime() != nil {
		return m, nil
	}
	st, err := s.state(ctx, id)
	if fault.Is(err, fault.NotFound) { // removed meanwhile
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if r.Who.May(authz.ManageSubscriptions, authz.Of(organization)) {
		m.EndpointUrl = st.Settings.URL
	}
	p, err := s.progressOf(ctx, st)
	if err != nil {
		return nil, err
	}
	m.Progress = &munimentv1.AdapterProgress{LastRun: adapter.Time(p.Last), LastSuccess: adapter.Time(p.Succeeded), NextRun: adapter.Time(p.Next), FailedRuns: int32(p.Failed),
		PushFailure: p.Push, PushStatus: int32(p.PushStatus), PullFailure: p.Pull, PullStatus: int32(p.PullStatus),
		Behind: p.Behind, Oldest: adapter.Time(p.Oldest), Retrying: int32(p.Retrying), DeadLetters: int32(p.Dead), Refused: int32(p.Refused)}
	return m, nil
}

func scope(organization event.ID) *munimentv1.Scope {
	if organization.IsZero() {
		return &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}
	}
	return &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: organization.String()}}
}

// Progress is how far an adapter is.
type Progress struct {
	ID                     event.ID
	Status                 external.Status
	Last, Succeeded, Next  time.Time
	Failed                 int // runs in a row
	Push, Pull             string
	PushStatus, PullStatus int
	Behind                 uint64
	Oldest                 time.Time
	Retrying, Dead         int
	Refused                int
}

// Progresses are those of all adapters, for metrics.
func (s *Service) Progresses(ctx context.Context) ([]Progress, error) {
	all, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	var out []Progress
	for _, st := range all {
		if st.Exists() != nil {
			continue
		}
		p, err := s.progressOf(ctx, st)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (s *Service) progressOf(ctx context.Context, st external.State) (Progress, error) {
	run, _, err := s.load(ctx, st.ID)
	if err != nil {
		return Progress{}, err
	}
	p := Progress{ID: st.ID, Status: st.Status, Last: instant(run.Last), Succeeded: instant(run.Succeeded), Next: instant(run.Next), Failed: int(run.Failed),
		Push: run.Push.Reason, PushStatus: int(run.Push.Status), Pull: run.Pull.Reason, PullStatus: int(run.Pull.Status), Refused: len(st.Refused)}
	if st.Status != external.Active {
		p.Next = time.Time{}
	}
	if !st.Direction.Pushes() {
		return p, nil
	}
	c, _, err := s.book(st.ID).Load(ctx)
	if err != nil {
		return p, err
	}
	if err := s.followPush(ctx, st.ID, c); err != nil {
		return p, err
	}
	_, p.Retrying, p.Dead = c.Counts()
	mark := s.core.Runner.Log.Mark().Size
	sel, err := s.selection(ctx, st, mark)
	if err != nil {
		return p, err
	}
	first, err := c.Oldest(ctx, s.core.Runner.Log, sel)
	if err == nil && first != nil {
		p.Behind, p.Oldest = uint64(mark-first.Position+1), first.Time
	}
	return p, err
}
