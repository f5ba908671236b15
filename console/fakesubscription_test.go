package console

import (
	"context"
	"fmt"
	"strings"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

const (
	billingID = "ee0102030405060708090a0b0c0d0e0f"
	stoppedID = "ef0102030405060708090a0b0c0d0e0f"
	oldSecret = "5e0102030405060708090a0b0c0d0e0f"
)

// subscribed are the subscriptions of the backend.
func subscribed() []*munimentv1.Subscription {
	billing := &munimentv1.Subscription{Id: billingID, Name: "Billing", Scope: scopeOf(""), OwnerId: adaID, Delivery: byWebhook, EndpointUrl: "https://billing.example/hooks?key=41b2",
		Filter: &munimentv1.SubscribedEvents{Types: []string{"user.*", "grant.*"}}, MaxInFlight: 8, MaxAttempts: 20, State: munimentv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE,
		Secrets:  []*munimentv1.SigningSecret{{Id: oldSecret, Created: ago(90 * 24 * time.Hour)}, {Id: "6e0102030405060708090a0b0c0d0e0f", Created: ago(time.Hour)}},
		Progress: &munimentv1.SubscriptionProgress{LogId: logID, Position: 9, Behind: 5, Oldest: ago(2 * time.Minute), InFlight: 3, Retrying: 1, DeadLetters: 2},
		Created:  ago(90 * 24 * time.Hour), Changed: ago(time.Hour), Version: 3, Position: 11}
	stopped := &munimentv1.Subscription{Id: stoppedID, Name: "Warehouse", Scope: scopeOf(acmeID), OwnerId: graceID, Delivery: byPull, MaxInFlight: 100, MaxAttempts: 5, Verify: true,
		State: munimentv1.SubscriptionState_SUBSCRIPTION_STATE_STOPPED, StoppedBecause: "its owner may not read all of these events any more",
		Progress: &munimentv1.SubscriptionProgress{LogId: logID, Position: 14}, Created: ago(3 * time.Hour), Changed: ago(time.Hour), Version: 2, Position: 12}
	return []*munimentv1.Subscription{billing, stopped}
}

func (b *backend) ListSubscriptions(_ context.Context, r *munimentv1.ListSubscriptionsRequest) (*munimentv1.ListSubscriptionsResponse, error) {
	page, next := at(subscribed(), r.GetPageSize(), r.GetPageToken())
	return &munimentv1.ListSubscriptionsResponse{Subscriptions: page, NextPageToken: next}, nil
}

func (b *backend) GetSubscription(_ context.Context, r *munimentv1.GetSubscriptionRequest) (*munimentv1.GetSubscriptionResponse, error) {
	s, err := find(subscribed(), func(s *munimentv1.Subscription) bool { return s.GetId() == r.GetSubscriptionId() })
	return &munimentv1.GetSubscriptionResponse{Subscription: s}, err
}

func (b *backend) ListDeadLetters(context.Context, *munimentv1.ListDeadLettersRequest) (*munimentv1.ListDeadLettersResponse, error) {
	return &munimentv1.ListDeadLettersResponse{DeadLetters: []*munimentv1.DeadLetter{
		{Position: 12, Stream: "user:" + graceID, Event: b.events[11].GetEvent(), Attempts: 20, Failure: "answered", Status: 500, Since: ago(2 * time.Hour)},
		{Position: 13, Stream: "user:" + adaID, Attempts: 20, Failure: "timed-out", Since: ago(time.Hour)}}}, nil
}

func (b *backend) CreateSubscription(ctx context.Context, r *munimentv1.CreateSubscriptionRequest) (*munimentv1.CreateSubscriptionResponse, error) {
	if r.GetDelivery() == byWebhook && !strings.HasPrefix(r.GetEndpointUrl(), "https://") {
		return nil, fault.Field("endpoint_url", "must begin with https://: events would travel in clear")
	}
	c, err := b.change(ctx, "CreateSubscription", r.GetName(), r.GetScope().GetOrganizationId(), r.GetEndpointUrl(), strings.Join(r.GetFilter().GetTypes(), ","), fmt.Sprint(r.GetMaxAttempts(), r.AfterPosition != nil, r.GetUnsealed()))
	out := &munimentv1.CreateSubscriptionResponse{Change: c, SubscriptionId: billingID}
	if r.GetDelivery() == byWebhook {
		out.SigningSecret = "whsec_C2FVsBQIhrscChlQIMVkb5sSYspob7oD"
	}
	return out, err
}

func (b *backend) ChangeSubscription(ctx context.Context, r *munimentv1.ChangeSubscriptionRequest) (*munimentv1.ChangeSubscriptionResponse, error) {
	if r.GetMaxAttempts() < 1 {
		return nil, fault.Field("max_attempts", "must be 1 to 50")
	}
	c, err := b.change(ctx, "ChangeSubscription", r.GetSubscriptionId(), r.GetName(), r.GetEndpointUrl(), strings.Join(r.GetFilter().GetTypes(), ","), fmt.Sprint(r.GetMaxAttempts(), r.GetVerify()))
	return &munimentv1.ChangeSubscriptionResponse{Change: c}, err
}

func (b *backend) PauseSubscription(ctx context.Context, r *munimentv1.PauseSubscriptionRequest) (*munimentv1.PauseSubscriptionResponse, error) {
	c, err := b.change(ctx, "PauseSubscription", r.GetSubscriptionId(), r.GetReason())
	return &munimentv1.PauseSubscriptionResponse{Change: c}, err
}

func (b *backend) ResumeSubscription(ctx context.Context, r *munimentv1.ResumeSubscriptionRequest) (*munimentv1.ResumeSubscriptionResponse, error) {
	c, err := b.change(ctx, "ResumeSubscription", r.GetSubscriptionId(), r.GetReason())
	return &munimentv1.ResumeSubscriptionResponse{Change: c}, err
}

func (b *backend) RewindSubscription(ctx context.Context, r *munimentv1.RewindSubscriptionRequest) (*munimentv1.RewindSubscriptionResponse, error) {
	c, err := b.change(ctx, "RewindSubscription", r.GetSubscriptionId(), fmt.Sprint(r.GetAfterPosition()))
	return &munimentv1.RewindSubscriptionResponse{Change: c}, err
}

func (b *backend) RemoveSubscription(ctx context.Context, r *munimentv1.RemoveSubscriptionRequest) (*munimentv1.RemoveSubscriptionResponse, error) {
	c, err := b.change(ctx, "RemoveSubscription", r.GetSubscriptionId(), r.GetReason())
	return &munimentv1.RemoveSubscriptionResponse{Change: c}, err
}

func (b *backend) CreateSigningSecret(ctx context.Context, r *munimentv1.CreateSigningSecretRequest) (*munimentv1.CreateSigningSecretResponse, error) {
	c, err := b.change(ctx, "CreateSigningSecret", r.GetSubscriptionId())
	return &munimentv1.CreateSigningSecretResponse{Change: c, SigningSecret: "whsec_fresh"}, err
}

func (b *backend) RemoveSigningSecret(ctx context.Context, r *munimentv1.RemoveSigningSecretRequest) (*munimentv1.RemoveSigningSecretResponse, error) {
	c, err := b.change(ctx, "RemoveSigningSecret", r.GetSubscriptionId(), r.GetSecretId())
	return &munimentv1.RemoveSigningSecretResponse{Change: c}, err
}

func (b *backend) RedriveDeadLetters(ctx context.Context, r *munimentv1.RedriveDeadLettersRequest) (*munimentv1.RedriveDeadLettersResponse, error) {
	c, err := b.change(ctx, "RedriveDeadLetters", r.GetSubscriptionId(), fmt.Sprint(r.GetPositions(), r.GetEveryOne()))
	return &munimentv1.RedriveDeadLettersResponse{Change: c}, err
}

func (b *backend) DiscardDeadLetters(ctx context.Context, r *munimentv1.DiscardDeadLettersRequest) (*munimentv1.DiscardDeadLettersResponse, error) {
	c, err := b.change(ctx, "DiscardDeadLetters", r.GetSubscriptionId(), fmt.Sprint(r.GetPositions(), r.GetEveryOne()))
	return &munimentv1.DiscardDeadLettersResponse{Change: c}, err
}
