package hostingapi_test

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// Hosted instances are found as they are and as they were, by those who see the
// home instance, and by nobody else.
func TestHostedInstances(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	req := i.NewHosted()
	req.Name = "Écurie"
	made := instancetest.Must(i.API.Hosted.CreateHostedInstance(ctx, req))
	if made.GetSetupLink().GetUrl() == "" {
		t.Error("there is no link for the owner")
	}
	id := made.GetInstanceId()
	instancetest.Must(i.API.Hosted.AddHostName(ctx, &munimentv1.AddHostNameRequest{InstanceId: id, Host: "a.example.com"}))
	instancetest.Must(i.API.Hosted.SuspendHostedInstance(ctx, &munimentv1.SuspendHostedInstanceRequest{InstanceId: id}))
	other, _ := i.Hosted()
	in := instancetest.Must(i.API.Hosted.GetHostedInstance(ctx, &munimentv1.GetHostedInstanceRequest{InstanceId: id})).GetInstance()
	if in.GetState() != munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_SUSPENDED || len(in.GetHosts()) != 2 || in.GetHosts()[0] != req.GetHost() ||
		in.GetExternalUrl() != "https://"+req.GetHost() || in.GetVerifierKey() != "key" || len(in.GetLogId()) != 32 || in.GetVersion() != 4 {
		t.Errorf("%v", in)
	}
	was := instancetest.Must(i.API.Hosted.GetHostedInstance(ctx, &munimentv1.GetHostedInstanceRequest{InstanceId: id, Read: &munimentv1.Read{AtPosition: made.GetChange().GetPosition()}})).GetInstance()
	if was.GetState() != munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_MAKING || len(was.GetHosts()) != 1 {
		t.Errorf("as it was: %v", was)
	}
	count := func(user string, f *munimentv1.HostedInstanceFilter) int {
		return len(instancetest.Must(i.API.Hosted.ListHostedInstances(i.As(user), &munimentv1.ListHostedInstancesRequest{Filter: f})).GetInstances())
	}
	for state, want := range map[munimentv1.HostedInstanceState]int{0: 2, munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_ACTIVE: 1, munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DESTROYED: 0} {
		if n := count(i.Owner, &munimentv1.HostedInstanceFilter{State: state}); n != want {
			t.Errorf("%v: %d", state, n)
		}
	}
	if n := count(i.Owner, &munimentv1.HostedInstanceFilter{NamePrefix: "éCU"}); n != 1 {
		t.Errorf("by prefix: %d", n)
	}
	for who, user := range map[string]string{"a person": i.Person(i.Org), "an owner of an organization": i.Member(i.Organization(), munimentv1.MemberRole_MEMBER_ROLE_OWNER)} {
		if n := count(user, nil); n != 0 {
			t.Errorf("%s sees %d", who, n)
		}
		_, err := i.API.Hosted.GetHostedInstance(i.As(user), &munimentv1.GetHostedInstanceRequest{InstanceId: other})
		instancetest.Want(t, err, fault.NotFound, "")
	}
	if n := count(i.Member("", munimentv1.MemberRole_MEMBER_ROLE_VIEWER), nil); n != 2 {
		t.Errorf("a viewer of the home instance sees %d", n)
	}
	_, err := i.API.Hosted.ListHostedInstances(ctx, &munimentv1.ListHostedInstancesRequest{Filter: &munimentv1.HostedInstanceFilter{State: 77}})
	instancetest.Want(t, err, fault.Invalid, "filter.state")
	_, err = i.API.Hosted.CreateHostedInstance(i.As(i.Member("", munimentv1.MemberRole_MEMBER_ROLE_ADMIN)), i.NewHosted())
	instancetest.Want(t, err, fault.Denied, "")
}

// What is wrong with a new instance is named before anything is recorded.
func TestInvalid(t *testing.T) {
	i := instancetest.New(t)
	before := i.Core.Log.Mark().Size
	for field, spoil := range map[string]func(*munimentv1.CreateHostedInstanceRequest){
		"name":              func(r *munimentv1.CreateHostedInstanceRequest) { r.Name, r.OrganizationName = "", "x" },
		"host":              func(r *munimentv1.CreateHostedInstanceRequest) { r.Host = "Acme.example.com" },
		"owner_email":       func(r *munimentv1.CreateHostedInstanceRequest) { r.OwnerEmail = "" },
		"owner_given_name":  func(r *munimentv1.CreateHostedInstanceRequest) { r.OwnerGivenName = "\n" },
		"owner_family_name": func(r *munimentv1.CreateHostedInstanceRequest) { r.OwnerFamilyName = " x" },
		"organization_name": func(r *munimentv1.CreateHostedInstanceRequest) { r.OrganizationName = "\x00" },
	} {
		req := i.NewHosted()
		spoil(req)
		_, err := i.API.Hosted.CreateHostedInstance(i.AsOwner(), req)
		instancetest.Want(t, err, fault.Invalid, field)
	}
	if n := i.Core.Log.Mark().Size - before; n != 0 {
		t.Errorf("%d records were left", n)
	}
	id, name := i.Suspended()
	for _, wrong := range []string{"", name + " ", "x" + name} {
		_, err := i.API.Hosted.DeleteHostedInstance(i.AsOwner(), &munimentv1.DeleteHostedInstanceRequest{InstanceId: id, Name: wrong})
		instancetest.Want(t, err, fault.Invalid, "name")
	}
}
