package console

import (
	"context"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// Compare answers what became of Grace, whatever is asked.
func (b *backend) Compare(_ context.Context, r *munimentv1.CompareRequest) (*munimentv1.CompareResponse, error) {
	if r.GetFromPosition() > r.GetToPosition() && r.GetToPosition() > 0 {
		return nil, fault.Field("to_position", "the second point must not lie before the first")
	}
	out := &munimentv1.CompareResponse{FromPosition: r.GetFromPosition(), ToPosition: max(r.GetToPosition(), 14)}
	if r.GetFromPosition() == 14 {
		return out, nil
	}
	return &munimentv1.CompareResponse{FromPosition: out.FromPosition, ToPosition: out.ToPosition, Differences: []*munimentv1.Difference{
		{List: "users", Kind: munimentv1.DifferenceKind_DIFFERENCE_KIND_CHANGED, Key: []*munimentv1.DifferenceKey{{Name: "id", Value: graceID}}, Positions: []uint64{12},
			Fields: []*munimentv1.FieldChange{changed("/email", "g.hopper@analytical.example", "grace@analytical.example"),
				{Path: "/family_name", Before: &munimentv1.FieldValue{Erased: true}, After: value("Hopper")}}, Events: []*munimentv1.Event{b.events[11].GetEvent()}},
		{List: "grants", Kind: munimentv1.DifferenceKind_DIFFERENCE_KIND_REMOVED, Positions: []uint64{14},
			Key: []*munimentv1.DifferenceKey{{Name: "user", Value: graceID}, {Name: "project", Value: booksID}, {Name: "role", Value: "auditor"}}},
	}}, nil
}

func (b *backend) ListRoleHolders(context.Context, *munimentv1.ListRoleHoldersRequest) (*munimentv1.ListRoleHoldersResponse, error) {
	return &munimentv1.ListRoleHoldersResponse{Holdings: []*munimentv1.Holding{
		{UserId: graceID, ProjectId: booksID, RoleKey: "editor", Since: ago(9 * 24 * time.Hour), SincePosition: 6, Granted: b.events[5].GetEvent()},
		{UserId: graceID, ProjectId: booksID, RoleKey: "auditor", Since: ago(20 * 24 * time.Hour), SincePosition: 5, Until: ago(4 * time.Minute), UntilPosition: 14, Ended: b.events[13].GetEvent()},
	}}, nil
}

func (b *backend) ListAdministrators(context.Context, *munimentv1.ListAdministratorsRequest) (*munimentv1.ListAdministratorsResponse, error) {
	return &munimentv1.ListAdministratorsResponse{Holdings: []*munimentv1.Holding{
		{UserId: adaID, Scope: scopeOf(""), Role: munimentv1.MemberRole_MEMBER_ROLE_OWNER, Since: ago(31 * 24 * time.Hour), SincePosition: 1, Granted: b.events[0].GetEvent()},
	}}, nil
}
