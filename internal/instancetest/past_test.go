package instancetest

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/server"
	"muniment.dev/view"
)

// firstOf is a log as it was when it had so many records.
type firstOf struct {
	view.Log
	size event.Position
}

func (f firstOf) Mark() eventlog.Mark {
	m := f.Log.Mark()
	m.Size = f.size
	return m
}

func (f firstOf) ReadTo(ctx context.Context, q event.Query, after, upto event.Position) iter.Seq2[*event.Record, error] {
	return f.Log.ReadTo(ctx, q, after, min(upto, f.size))
}

func (f firstOf) Wait(ctx context.Context, after event.Position) error {
	if after < f.size {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// rows are all rows of a table as they stand, or stood, with what each column
// holds.
func rows(t *testing.T, s *view.Set, table string, at event.Position) (out []string) {
	t.Helper()
	q := view.Query{Table: table, Limit: view.MaxLimit, Read: view.Read{At: at}}
	found, next, _, err := s.Select(t.Context(), q)
	if err != nil || next != "" {
		t.Fatalf("%s at %d: %v", table, at, err)
	}
	for _, r := range found {
		out = append(out, written(r))
	}
	return out
}

func written(r view.Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "since %d:", r.Since)
	r.Each(func(c view.Column, s event.State, v any) { fmt.Fprintf(&b, " %s %v %v;", c.Name, s, v) })
	return b.String()
}

// live lives a random history: of changes that the API lets the owner make.
func (i *Instance) live(random *rand.Rand, steps int) {
	ctx := i.AsOwner()
	orgs := []string{i.Org, i.Organization()}
	var users, projects, apps []string
	one := func(list []string) string {
		if len(list) == 0 {
			return event.NewID().String()
		}
		return list[random.IntN(len(list))]
	}
	roles := []munimentv1.MemberRole{munimentv1.MemberRole_MEMBER_ROLE_ADMIN, munimentv1.MemberRole_MEMBER_ROLE_VIEWER, munimentv1.MemberRole_MEMBER_ROLE_AUDITOR}
	for range steps {
		// What is refused is a part of life, too.
		switch name := i.Name("Name"); random.IntN(21) {
		case 0, 1:
			users = append(users, i.Person(one(orgs)))
		case 2:
			projects = append(projects, i.Project(one(orgs)))
		case 3:
			if p := one(projects); len(projects) > 0 {
				if got, err := i.API.Application.CreateWebApplication(ctx, i.NewApplication(p)); err == nil {
					apps = append(apps, got.GetApplicationId())
				}
			}
		case 4:
			i.API.User.ChangeProfile(ctx, &munimentv1.ChangeProfileRequest{UserId: one(users), GivenName: &name})
		case 5:
			i.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: one(users)})
		case 6:
			i.API.User.UnlockUser(ctx, &munimentv1.UnlockUserRequest{UserId: one(users)})
		case 7, 8:
			i.API.Grant.GrantRole(ctx, &munimentv1.GrantRoleRequest{UserId: one(users), ProjectId: one(projects), RoleKeys: []string{"editor"}})
		case 9:
			i.API.Grant.WithdrawRole(ctx, &munimentv1.WithdrawRoleRequest{UserId: one(users), ProjectId: one(projects), RoleKeys: []string{"editor"}})
		case 10:
			i.API.Member.AddMember(ctx, &munimentv1.AddMemberRequest{UserId: one(users), Scope: In(one(orgs)), Role: roles[random.IntN(3)]})
		case 11:
			i.API.Member.RemoveMember(ctx, &munimentv1.RemoveMemberRequest{UserId: one(users), Scope: In(one(orgs)), Role: roles[random.IntN(3)]})
		case 19:
			i.API.Permission.GrantPermission(ctx, i.permission(one(users), one(orgs)))
		case 20:
			p := i.permission(one(users), one(orgs))
			i.API.Permission.WithdrawPermission(ctx, &munimentv1.WithdrawPermissionRequest{UserId: p.GetUserId(), Right: p.GetRight(), EventTypes: p.GetEventTypes(), Scope: p.GetScope()})
		case 12:
			i.API.Organization.RenameOrganization(ctx, &munimentv1.RenameOrganizationRequest{OrganizationId: one(orgs), Name: name})
		case 13:
			if random.IntN(3) == 0 {
				i.API.Project.RemoveProject(ctx, &munimentv1.RemoveProjectRequest{ProjectId: one(projects)})
			}
		case 14:
			i.API.Application.RemoveApplication(ctx, &munimentv1.RemoveApplicationRequest{ApplicationId: one(apps)})
		case 16:
			i.API.Project.RestoreProject(ctx, &munimentv1.RestoreProjectRequest{ProjectId: one(projects)})
		case 17:
			i.API.Application.RestoreApplication(ctx, &munimentv1.RestoreApplicationRequest{ApplicationId: one(apps)})
		case 18:
			if u, p := one(users), one(projects); random.IntN(2) == 0 {
				i.API.Grant.DeactivateGrant(ctx, &munimentv1.DeactivateGrantRequest{UserId: u, ProjectId: p})
			} else {
				i.API.Grant.ReactivateGrant(ctx, &munimentv1.ReactivateGrantRequest{UserId: u, ProjectId: p})
			}
		case 15:
			if u := one(users); random.IntN(3) == 0 && len(users) > 1 {
				if _, err := i.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: u}); err == nil {
					i.Erased(u)
				}
			}
		}
	}
}

// The state at a position is what folding the records up to there gives, for
// every table of every view; and what became of a row between two positions is
// how it stood at both.
func TestThePastIsTheFoldOfItsRecords(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	i := New(t)
	i.live(random, 150)
	mark := i.Core.Log.Mark().Size
	at := func() event.Position { return 1 + event.Position(random.Uint64N(uint64(mark))) }
	for range 6 {
		p := at()
		then, err := view.Open(t.Context(), view.File(""), firstOf{i.Core.Log, p}, i.Core.Sealer.Decode, server.Views(), view.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range server.Views() {
			for _, table := range v.Tables {
				if want, got := rows(t, then, table.Name, 0), rows(t, i.Core.Views, table.Name, p); !slices.Equal(got, want) {
					t.Errorf("seed %d: %s at %d is\n%s\nfolded it is\n%s", seed, table.Name, p, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		}
		then.Close()
	}
	for range 10 {
		p, q := at(), at()
		p, q = min(p, q), max(p, q)
		for _, v := range server.Views() {
			for _, table := range v.Tables {
				i.passages(t, table.Name, p, q, 1+random.IntN(20))
			}
		}
	}
}

// passages checks what became of the rows of a table between two positions.
func (i *Instance) passages(t *testing.T, table string, p, q event.Position, size int) {
	t.Helper()
	before, after := rows(t, i.Core.Views, table, p), rows(t, i.Core.Views, table, q)
	var gone, come []string
	b := view.Between{Table: table, After: p, Upto: q, Rows: size}
	for {
		found, next, err := i.Core.Views.Passages(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Before != nil {
				gone = append(gone, written(*f.Before))
			}
			if f.After != nil {
				come = append(come, written(*f.After))
			}
			if len(f.Positions) == 0 || f.Positions[0] <= p || f.Positions[len(f.Positions)-1] > q {
				t.Errorf("%s between %d and %d changed at %v", table, p, q, f.Positions)
			}
		}
		if b.Behind = next; next == "" {
			break
		}
	}
	var wantGone, wantCome []string
	for _, r := range before {
		if !slices.Contains(after, r) {
			wantGone = append(wantGone, r)
		}
	}
	for _, r := range after {
		if !slices.Contains(before, r) {
			wantCome = append(wantCome, r)
		}
	}
	if !slices.Equal(gone, wantGone) || !slices.Equal(come, wantCome) {
		t.Errorf("%s between %d and %d:\ngone %q\nwant %q\ncome %q\nwant %q", table, p, q, gone, wantGone, come, wantCome)
	}
}

// progress is how far a subscription or an adapter is: it moves with the log.
var progress = regexp.MustCompile(` progress: \{([^{}]|\{[^{}]*\})*\}`)

// What is folded or tabled may be lost at any time: the answers are the same.
func TestCachesAreWorthNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(rand.Uint64(), 2))
	i := New(t)
	f := i.furnish()
	i.live(random, 60)
	viewer := i.Member(f.org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER)
	at := uint64(i.Core.Log.Mark().Size)
	requests := append(gets(f), lists()...)
	requests = append(requests, &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{List: "users"}, ToPosition: at},
		&munimentv1.ListRoleHoldersRequest{Filter: &munimentv1.HolderFilter{ProjectId: f.project, IncludeEnded: true}, Read: &munimentv1.Read{AtPosition: at}})
	answer := func(who string, req proto.Message) string {
		m, err := i.call(i.As(who), req)
		if err != nil {
			return Kind(t, err).String()
		}
		return progress.ReplaceAllString(strings.Join(strings.Fields(prototext.Format(m)), " "), "")
	}
	callers := []string{i.Owner, viewer, f.user}
	want := map[string]string{}
	for n, req := range requests {
		for _, who := range callers {
			want[fmt.Sprint(n, who)] = answer(who, req)
		}
	}
	for range 40 {
		switch random.IntN(3) {
		case 0:
			i.Core.Runner.Forget()
		case 1:
			if err := i.Core.Views.Rebuild(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		n, who := random.IntN(len(requests)), callers[random.IntN(3)]
		if got := answer(who, requests[n]); got != want[fmt.Sprint(n, who)] {
			t.Errorf("%T: %s\nbefore: %s", requests[n], got, want[fmt.Sprint(n, who)])
		}
	}
}
