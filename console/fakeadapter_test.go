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
	registryID = "ad0102030405060708090a0b0c0d0e0f"
	ministryID = "ae0102030405060708090a0b0c0d0e0f"
)

// adaptersOf are the adapters of the backend.
func adaptersOf() []*munimentv1.Adapter {
	registry := &munimentv1.Adapter{Id: registryID, Name: "Registry", Scope: scopeOf(""), OwnerId: adaID, Direction: munimentv1.AdapterDirection_ADAPTER_DIRECTION_BOTH, EndpointUrl: "https://registry.example/events",
		EntityTypes: []string{"household", "individual"}, IntervalSeconds: 300, BatchSize: 100, MaxAttempts: 20, Unsealed: true, Credential: munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BEARER,
		State: munimentv1.AdapterState_ADAPTER_STATE_ACTIVE, Created: ago(90 * 24 * time.Hour), Changed: ago(time.Hour), Version: 3, Position: 11,
		Progress: &munimentv1.AdapterProgress{LastRun: ago(time.Minute), LastSuccess: ago(2 * time.Hour), NextRun: ago(-time.Minute), FailedRuns: 4, PushFailure: "answered", PushStatus: 503, Behind: 5, Oldest: ago(2 * time.Hour), DeadLetters: 1, Refused: 2}}
	ministry := &munimentv1.Adapter{Id: ministryID, Name: "Ministry", Scope: scopeOf(acmeID), OwnerId: graceID, Direction: munimentv1.AdapterDirection_ADAPTER_DIRECTION_PUSH,
		EntityTypes: []string{"household"}, IntervalSeconds: 3600, BatchSize: 100, MaxAttempts: 20, Credential: munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_SIGNATURE,
		State: munimentv1.AdapterState_ADAPTER_STATE_STOPPED, StoppedBecause: "its owner may not read all of these events any more", Progress: &munimentv1.AdapterProgress{}, Created: ago(3 * time.Hour), Changed: ago(time.Hour)}
	return []*munimentv1.Adapter{registry, ministry}
}

func (b *backend) ListAdapters(_ context.Context, r *munimentv1.ListAdaptersRequest) (*munimentv1.ListAdaptersResponse, error) {
	page, next := at(adaptersOf(), r.GetPageSize(), r.GetPageToken())
	return &munimentv1.ListAdaptersResponse{Adapters: page, NextPageToken: next}, nil
}

func (b *backend) GetAdapter(_ context.Context, r *munimentv1.GetAdapterRequest) (*munimentv1.GetAdapterResponse, error) {
	a, err := find(adaptersOf(), func(a *munimentv1.Adapter) bool { return a.GetId() == r.GetAdapterId() })
	return &munimentv1.GetAdapterResponse{Adapter: a}, err
}

func (b *backend) ListAdapterFailures(context.Context, *munimentv1.ListAdapterFailuresRequest) (*munimentv1.ListAdapterFailuresResponse, error) {
	return &munimentv1.ListAdapterFailuresResponse{Failures: []*munimentv1.AdapterFailure{
		{Position: 12, Stream: "household:" + houseID, Attempts: 1, Failure: "answered", Status: 422, Since: ago(2 * time.Hour)},
		{EventId: "0198a5c2-0000-7000-8000-000000000001", EntityId: "0198a5c2-0000-7000-8000-000000000002", Failure: "invalid", Field: "village", Since: ago(time.Hour)},
		{EventId: "0198a5c2-0000-7000-8000-000000000003", EntityId: "0198a5c2-0000-7000-8000-000000000002", Failure: "waits", Since: ago(time.Hour)}}}, nil
}

func (b *backend) CreateAdapter(ctx context.Context, r *munimentv1.CreateAdapterRequest) (*munimentv1.CreateAdapterResponse, error) {
	if !strings.HasPrefix(r.GetEndpointUrl(), "https://") {
		return nil, fault.Field("endpoint_url", "must begin with https://: events would travel in clear")
	}
	c, err := b.change(ctx, "CreateAdapter", r.GetName(), r.GetScope().GetOrganizationId(), r.GetEndpointUrl(), strings.Join(r.GetEntityTypes(), ","), fmt.Sprint(int(r.GetDirection()), r.GetIntervalSeconds(), int(r.GetCredential()), r.GetBearerToken(), r.GetUsername(), r.GetPassword(), r.GetUnsealed()))
	out := &munimentv1.CreateAdapterResponse{Change: c, AdapterId: registryID}
	if r.GetCredential() == munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_SIGNATURE {
		out.SigningSecret = "whsec_C2FVsBQIhrscChlQIMVkb5sSYspob7oD"
	}
	return out, err
}

func (b *backend) RunAdapter(ctx context.Context, r *munimentv1.RunAdapterRequest) (*munimentv1.RunAdapterResponse, error) {
	c, err := b.change(ctx, "RunAdapter", r.GetAdapterId())
	return &munimentv1.RunAdapterResponse{Change: c}, err
}

func (b *backend) PauseAdapter(ctx context.Context, r *munimentv1.PauseAdapterRequest) (*munimentv1.PauseAdapterResponse, error) {
	c, err := b.change(ctx, "PauseAdapter", r.GetAdapterId(), r.GetReason())
	return &munimentv1.PauseAdapterResponse{Change: c}, err
}

func (b *backend) ResumeAdapter(ctx context.Context, r *munimentv1.ResumeAdapterRequest) (*munimentv1.ResumeAdapterResponse, error) {
	c, err := b.change(ctx, "ResumeAdapter", r.GetAdapterId())
	return &munimentv1.ResumeAdapterResponse{Change: c}, err
}

func (b *backend) RemoveAdapter(ctx context.Context, r *munimentv1.RemoveAdapterRequest) (*munimentv1.RemoveAdapterResponse, error) {
	c, err := b.change(ctx, "RemoveAdapter", r.GetAdapterId())
	return &munimentv1.RemoveAdapterResponse{Change: c}, err
}

func (b *backend) RedriveAdapterFailures(ctx context.Context, r *munimentv1.RedriveAdapterFailuresRequest) (*munimentv1.RedriveAdapterFailuresResponse, error) {
	c, err := b.change(ctx, "RedriveAdapterFailures", r.GetAdapterId(), fmt.Sprint(r.GetEveryOne()))
	return &munimentv1.RedriveAdapterFailuresResponse{Change: c}, err
}

func (b *backend) DiscardAdapterFailures(ctx context.Context, r *munimentv1.DiscardAdapterFailuresRequest) (*munimentv1.DiscardAdapterFailuresResponse, error) {
	c, err := b.change(ctx, "DiscardAdapterFailures", r.GetAdapterId(), fmt.Sprint(r.GetEveryOne()))
	return &munimentv1.DiscardAdapterFailuresResponse{Change: c}, err
}
