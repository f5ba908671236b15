package hookapi

import (
	"context"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hook"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

func (s *Service) envelope(ctx context.Context, req proto.Message) (decide.Envelope, error) {
	return call.Envelope(ctx, req)
}

// states are the states by their name in the log.
var states = map[hook.Status]munimentv1.SubscriptionState{
	hook.Active:    munimentv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE,
	hook.IsPaused:  munimentv1.SubscriptionState_SUBSCRIPTION_STATE_PAUSED,
	hook.IsStopped: munimentv1.SubscriptionState_SUBSCRIPTION_STATE_STOPPED,
}

// GetSubscription answers one subscription.
func (s *Service) GetSubscription(ctx context.Context, req *munimentv1.GetSubscriptionRequest) (*munimentv1.GetSubscriptionResponse, error) {
	id, err := adapter.ID(idField, req.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	row, ok, err := r.Get(ctx, hook.Table, view.Values{"id": id})
	if err != nil {
		return nil, err
	}
	if !ok || !r.Sees(row.ID("organization"), event.ID{}) {
		return nil, hook.ErrNotFound
	}
	sub, err := s.subscription(ctx, r, row, req.GetRead())
	return &munimentv1.GetSubscriptionResponse{Subscription: sub}, err
}

// ListSubscriptions answers the subscriptions that match, oldest first.
func (s *Service) ListSubscriptions(ctx context.Context, req *munimentv1.ListSubscriptionsRequest) (*munimentv1.ListSubscriptionsResponse, error) {
	where, err := conditions(req.GetFilter())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	where = adapter.Conditions(where, r.Visible("organization", ""))
	rows, next, err := r.Page(ctx, view.Query{Table: hook.Table, Where: where, OrderBy: []string{entity.Order}}, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &munimentv1.ListSubscriptionsResponse{NextPageToken: next}
	for _, row := range rows {
		sub, err := s.subscription(ctx, r, row, req.GetRead())
		if err != nil {
			return nil, err
		}
		out.Subscriptions = append(out.Subscriptions, sub)
	}
	return out, nil
}

func conditions(f *munimentv1.SubscriptionFilter) ([]view.Cond, error) {
	where, err := adapter.Equal("organization", "filter.organization_id", f.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	if want := f.GetState(); want != munimentv1.SubscriptionState_SUBSCRIPTION_STATE_UNSPECIFIED {
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

// subscription is a row for an answer.
func (s *Service) subscription(ctx context.Context, r *adapter.Reading, row view.Row, asked *munimentv1.Read) (*munimentv1.Subscription, error) {
	e, id, organization := entity.Of(row), row.ID("id"), row.ID("organization")
	m := &munimentv1.Subscription{Id: id.String(), Name: row.Text("name"), Scope: scope(organization), OwnerId: row.ID("owner").String(), Delivery: deliveries[hook.Delivery(row.Text("delivery"))],
		Filter: &munimentv1.SubscribedEvents{Types: row.Texts("types"), Streams: row.Texts("streams"), Actors: row.Texts("actors"), Tags: row.Texts("tags"),
			OrganizationIds: texts(row.IDs("within")), UserIds: texts(row.IDs("users"))},
		MaxInFlight: int32(row.Int("concurrency")), MaxAttempts: int32(row.Int("attempts")), Unsealed: row.Bool("unsealed"), Verify: row.Bool("verify"),
		State: states[hook.Status(row.Text("status"))], StoppedBecause: row.Text("reason"),
		Created: adapter.Time(e.Created), Changed: adapter.Time(e.Changed), Version: e.Version, Position: uint64(e.Position)}
	secrets, err := r.All(ctx, view.Query{Table: hook.Secrets, Where: []view.Cond{view.Eq("subscription", id)}, OrderBy: []string{entity.Order}})
	if err != nil {
		return nil, err
	}
	for _, row := range secrets {
		m.Secrets = append(m.Secrets, &munimentv1.SigningSecret{Id: row.ID("id").String(), Created: adapter.Time(row.Time("created"))})
	}
	if asked.GetAtPosition() > 0 || asked.GetAtTime() != nil {
		return m, nil
	}
	if r.Who.May(authz.ManageSubscriptions, authz.Of(organization)) {
		st, err := s.state(ctx, id)
		if err != nil && !fault.Is(err, fault.NotFound) { // removed meanwhile
			return nil, err
		}
		m.EndpointUrl = st.Settings.URL
	}
	m.Progress, err = s.progress(ctx, id)
	return m, err
}

func scope(organization event.ID) *munimentv1.Scope {
	if organization.IsZero() {
		return &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}
	}
	return &munimentv1.Scope{Level: &munimentv1.Scope_OrganizationId{OrganizationId: organization.String()}}
}
