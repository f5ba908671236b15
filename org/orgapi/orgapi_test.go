package orgapi_test

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// An organization is added, renamed, taken out of use and back; its filters
// find it as it is, and as it was.
func TestOrganizations(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	added := instancetest.Must(i.API.Organization.CreateOrganization(ctx, &munimentv1.CreateOrganizationRequest{Name: "Écurie"}))
	id := added.GetOrganizationId()
	names := func(f *munimentv1.OrganizationFilter, r *munimentv1.Read) (out []string) {
		for _, o := range instancetest.Must(i.API.Organization.ListOrganizations(ctx, &munimentv1.ListOrganizationsRequest{Filter: f, Read: r})).GetOrganizations() {
			out = append(out, o.GetName())
		}
		return out
	}
	if n := names(&munimentv1.OrganizationFilter{NamePrefix: "éCU"}, nil); len(n) != 1 || n[0] != "Écurie" {
		t.Errorf("by prefix: %v", n)
	}
	instancetest.Must(i.API.Organization.RenameOrganization(ctx, &munimentv1.RenameOrganizationRequest{OrganizationId: id, Name: "Stable"}))
	instancetest.Must(i.API.Organization.DeactivateOrganization(ctx, &munimentv1.DeactivateOrganizationRequest{OrganizationId: id}))
	o := instancetest.Must(i.API.Organization.GetOrganization(ctx, &munimentv1.GetOrganizationRequest{OrganizationId: id})).GetOrganization()
	if o.GetName() != "Stable" || o.GetState() != munimentv1.OrganizationState_ORGANIZATION_STATE_DEACTIVATED || o.GetVersion() != 3 ||
		!o.GetCreated().AsTime().Equal(added.GetChange().GetTime().AsTime()) || !o.GetChanged().AsTime().After(o.GetCreated().AsTime()) {
		t.Errorf("%v", o)
	}
	for state, want := range map[munimentv1.OrganizationState]int{0: 2, munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE: 1, munimentv1.OrganizationState_ORGANIZATION_STATE_DEACTIVATED: 1} {
		if n := names(&munimentv1.OrganizationFilter{State: state}, nil); len(n) != want {
			t.Errorf("%v: %v", state, n)
		}
	}
	if n := names(&munimentv1.OrganizationFilter{State: munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE, NamePrefix: "é"}, &munimentv1.Read{AtPosition: added.GetChange().GetPosition()}); len(n) != 1 {
		t.Errorf("as it was: %v", n)
	}
	_, err := i.API.Organization.RenameOrganization(ctx, &munimentv1.RenameOrganizationRequest{OrganizationId: id, Name: " "})
	instancetest.Want(t, err, fault.Invalid, "name")
	_, err = i.API.Organization.DeactivateOrganization(ctx, &munimentv1.DeactivateOrganizationRequest{OrganizationId: id})
	instancetest.Want(t, err, fault.Refused, "")
}
