package console

import (
	"context"
	"fmt"
	"strings"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

const (
	twinUUID = "0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9f03"
	twinID   = "0198a5c27d1e7a409f3b5b6c7d8e9f03"
	keptID   = "0198a5c27d1e7a409f3b5b6c7d8e9fa1"
	keptUUID = "0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9fa1"
)

func (b *backend) ListDuplicates(_ context.Context, r *munimentv1.ListDuplicatesRequest) (*munimentv1.ListDuplicatesResponse, error) {
	all := []*munimentv1.Duplicate{
		{EntityType: "household", EntityId: emptyUUID, OtherId: houseUUID, OrganizationId: acmeID, Fields: []string{"name", "village"}, State: "open", Position: 12, Time: ago(time.Hour)},
		{EntityType: "household", EntityId: twinUUID, OtherId: houseUUID, OrganizationId: acmeID, State: "same", KeptId: houseUUID}}
	out := &munimentv1.ListDuplicatesResponse{}
	for _, d := range all {
		of := r.GetEntityId() == "" || strings.ReplaceAll(d.GetEntityId(), "-", "") == r.GetEntityId() || strings.ReplaceAll(d.GetOtherId(), "-", "") == r.GetEntityId()
		if of && (r.GetState() == "" || r.GetState() == d.GetState()) {
			out.Duplicates = append(out.Duplicates, d)
		}
	}
	out.Duplicates, out.NextPageToken = at(out.Duplicates, r.GetPageSize(), r.GetPageToken())
	return out, nil
}

func (b *backend) ResolveDuplicate(ctx context.Context, r *munimentv1.ResolveDuplicateRequest) (*munimentv1.ResolveDuplicateResponse, error) {
	c, err := b.change(ctx, "ResolveDuplicate", fmt.Sprint(r.GetSame()), r.GetKeepId(), fmt.Sprint(r.GetDeleteOther()), r.GetReason())
	return &munimentv1.ResolveDuplicateResponse{Change: c}, err
}

func (b *backend) ListKeptEvents(_ context.Context, r *munimentv1.ListKeptEventsRequest) (*munimentv1.ListKeptEventsResponse, error) {
	k := &munimentv1.KeptEvent{EventId: keptUUID, EntityType: "household", EntityId: houseUUID, OrganizationId: acmeID, Type: "household-registered", Reason: "ask", State: "pending", Position: 12,
		Time: ago(time.Hour), Occurred: ago(50 * time.Hour), ClaimedActor: "enumerator-7", DataJson: `{"name":"Lovelace & Daughters","village":"London"}`}
	if r.GetState() != "" && r.GetState() != "pending" {
		return &munimentv1.ListKeptEventsResponse{}, nil
	}
	return &munimentv1.ListKeptEventsResponse{Events: []*munimentv1.KeptEvent{k}}, nil
}

func (b *backend) SettleConflict(ctx context.Context, r *munimentv1.SettleConflictRequest) (*munimentv1.SettleConflictResponse, error) {
	c, err := b.change(ctx, "SettleConflict", r.GetEventId(), fmt.Sprint(r.GetApply()), r.GetReason())
	return &munimentv1.SettleConflictResponse{Change: c}, err
}
