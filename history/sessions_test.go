package history_test

import (
	"slices"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// Sessions, and what applications hold of people, are compared: by who sees the
// person, who may be oneself, and by nobody else.
func TestCompareSessions(t *testing.T) {
	i := instancetest.New(t)
	mine, other := i.Organization(), i.Organization()
	ada, bob := i.Person(mine), i.Person(other)
	viewer := i.Member(mine, munimentv1.MemberRole_MEMBER_ROLE_VIEWER)
	from := uint64(i.Core.Log.Mark().Size)
	sid := i.SignedIn(ada).Begun.Session.String()
	i.SignedIn(bob)
	begun := uint64(i.Core.Log.Mark().Size)
	instancetest.Must(i.API.Session.EndSession(i.AsOwner(), &munimentv1.EndSessionRequest{SessionId: sid}))
	app := i.Application(i.Project(mine))
	i.Uses(ada, app)
	compare := func(by string, f *munimentv1.Comparison, from uint64) []string {
		return told(instancetest.Must(i.API.History.Compare(i.As(by), &munimentv1.CompareRequest{Filter: f, FromPosition: from})).GetDifferences())
	}
	has := func(list []string, prefix string) int {
		n := 0
		for _, s := range list {
			if strings.HasPrefix(s, prefix) {
				n++
			}
		}
		return n
	}
	if got := compare(i.Owner, &munimentv1.Comparison{List: "sessions", UserId: ada}, begun); has(got, "sessions changed") != 1 || !strings.Contains(strings.Join(got, " "), "over:false>true") {
		t.Errorf("ended since: %q", got)
	}
	if got := compare(i.Owner, &munimentv1.Comparison{Object: "session:" + sid}, begun); len(got) != 1 || !strings.Contains(got[0], "over:false>true") {
		t.Errorf("the session itself: %q", got)
	}
	if got := compare(i.Owner, &munimentv1.Comparison{Object: "user:" + ada}, from); has(got, "sessions added") == 0 || has(got, "user_applications added") != 1 {
		t.Errorf("of the person: %q", got)
	}
	if all, some := compare(i.Owner, &munimentv1.Comparison{List: "sessions"}, from), compare(viewer, &munimentv1.Comparison{List: "sessions"}, from); len(some) == 0 || len(some) >= len(all) {
		t.Errorf("a viewer of one organization sees %d of %d", len(some), len(all))
	}
	if got := compare(ada, &munimentv1.Comparison{List: "sessions"}, from); len(got) == 0 || slices.Equal(got, compare(i.Owner, &munimentv1.Comparison{List: "sessions"}, from)) {
		t.Errorf("of oneself: %q", got)
	}
	_, err := i.API.History.Compare(i.As(bob), &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{Object: "session:" + sid}})
	instancetest.Want(t, err, fault.NotFound, "")
}

// Hosted instances are compared by who sees the whole instance.
func TestCompareHostedInstances(t *testing.T) {
	i := instancetest.New(t)
	from := uint64(i.Core.Log.Mark().Size)
	id, _ := i.Suspended()
	got := told(instancetest.Must(i.API.History.Compare(i.AsOwner(), &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{Object: "instance:" + id}, FromPosition: from})).GetDifferences())
	if len(got) != 2 || !strings.HasPrefix(got[0], "hosted_instances added") || !strings.Contains(got[0], "status:->suspended") || !strings.HasPrefix(got[1], "hosted_instance_hosts added") {
		t.Errorf("%q", got)
	}
	if list := told(instancetest.Must(i.API.History.Compare(i.AsOwner(), &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{List: "hosted_instances"}, FromPosition: from})).GetDifferences()); len(list) != 1 {
		t.Errorf("%q", list)
	}
	viewer := i.Member(i.Org, munimentv1.MemberRole_MEMBER_ROLE_OWNER)
	if list := instancetest.Must(i.API.History.Compare(i.As(viewer), &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{List: "hosted_instances"}})).GetDifferences(); len(list) > 0 {
		t.Errorf("an organization's owner sees %v", list)
	}
	_, err := i.API.History.Compare(i.As(viewer), &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{Object: "instance:" + id}})
	instancetest.Want(t, err, fault.NotFound, "")
}
