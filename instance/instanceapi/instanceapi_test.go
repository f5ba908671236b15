package instanceapi_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// covered waits for a checkpoint that covers the log.
func covered(t *testing.T, i *instancetest.Instance) *munimentv1.GetCheckpointResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := i.Core.Publisher.WaitFor(ctx, i.Core.Log.Mark().Size); err != nil {
		t.Fatal(err)
	}
	return instancetest.Must(i.API.Instance.GetCheckpoint(i.AsOwner(), &munimentv1.GetCheckpointRequest{}))
}

// A checkpoint carries the instance's signature, and the proof that the log only
// grew is one that other code accepts (I04, C2SP tlog-checkpoint, RFC 9162 §2.1.4).
func TestCheckpoint(t *testing.T) {
	i := instancetest.New(t)
	old := covered(t, i)
	v, err := note.NewVerifier(old.GetVerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open([]byte(old.GetNote()), note.VerifierList(v)); err != nil {
		t.Errorf("the note: %v", err)
	}
	for range 5 {
		i.Organization()
	}
	now := covered(t, i)
	p := instancetest.Must(i.API.Instance.GetConsistencyProof(i.AsOwner(), &munimentv1.GetConsistencyProofRequest{OldSize: old.GetSize(), NewSize: now.GetSize()}))
	var proof tlog.TreeProof
	for _, h := range p.GetHashes() {
		proof = append(proof, tlog.Hash(h))
	}
	if err := tlog.CheckTree(proof, int64(p.GetNewSize()), tlog.Hash(now.GetRootHash()), int64(p.GetOldSize()), tlog.Hash(old.GetRootHash())); err != nil {
		t.Errorf("from %d to %d: %v", p.GetOldSize(), p.GetNewSize(), err)
	}
	if p := instancetest.Must(i.API.Instance.GetConsistencyProof(i.AsOwner(), &munimentv1.GetConsistencyProofRequest{OldSize: 2})); p.GetNewSize() < now.GetSize() || len(p.GetHashes()) == 0 {
		t.Errorf("%v", p)
	}
	for field, bad := range map[string]*munimentv1.GetConsistencyProofRequest{
		"old_size": {OldSize: 0}, "new_size": {OldSize: 1, NewSize: 1 << 40},
	} {
		_, err := i.API.Instance.GetConsistencyProof(i.AsOwner(), bad)
		instancetest.Want(t, err, fault.Invalid, field)
	}
	_, err = i.API.Instance.GetConsistencyProof(i.AsOwner(), &munimentv1.GetConsistencyProofRequest{OldSize: 5, NewSize: 4})
	instancetest.Want(t, err, fault.Invalid, "old_size")
}

// The instance says what and where it is, and who is calling.
func TestInstance(t *testing.T) {
	i := instancetest.New(t)
	in := instancetest.Must(i.API.Instance.GetInstance(i.AsOwner(), &munimentv1.GetInstanceRequest{})).GetInstance()
	if in.GetName() != "Test" || in.GetExternalUrl() != "https://id.example.org" || in.GetLogId() != i.Core.Log.ID().String() ||
		in.GetPosition() != uint64(i.Core.Log.Mark().Size) || in.GetId() != i.Core.Instance.Instance.String() || !in.GetCreated().IsValid() || in.GetVersion() == "" {
		t.Errorf("%v", in)
	}
}

// Everybody sees who they are, what they administer and which roles they have.
func TestMe(t *testing.T) {
	i := instancetest.New(t)
	ada := i.Member(i.Org, munimentv1.MemberRole_MEMBER_ROLE_VIEWER)
	project := i.Project(i.Org)
	instancetest.Must(i.API.Grant.GrantRole(i.AsOwner(), &munimentv1.GrantRoleRequest{UserId: ada, ProjectId: project, RoleKeys: []string{"editor"}}))
	session := event.NewID()
	ctx := call.WithCaller(call.WithFacts(t.Context(), call.Facts{}), call.Caller{Kind: "user", ID: event.MustID(ada), SessionID: session})
	me := instancetest.Must(i.API.Me.GetMe(ctx, &munimentv1.GetMeRequest{}))
	if me.GetUser().GetId() != ada || me.GetSessionId() != session.String() || len(me.GetMemberships()) != 1 || len(me.GetGrants()) != 1 || me.GetGrants()[0].GetRoleKeys()[0] != "editor" {
		t.Errorf("%v", me)
	}
	plain := i.Person(i.Org)
	if me := instancetest.Must(i.API.Me.GetMe(i.As(plain), &munimentv1.GetMeRequest{})); me.GetUser().GetId() != plain || len(me.GetMemberships())+len(me.GetGrants()) != 0 || me.GetSessionId() != "" {
		t.Errorf("%v", me)
	}
	events := instancetest.Must(i.API.Me.ListMyEvents(i.As(plain), &munimentv1.ListMyEventsRequest{})).GetEvents()
	if len(events) < 2 || events[len(events)-1].GetType() != "user.registered" {
		t.Errorf("%v", events)
	}
	application := call.WithCaller(call.WithFacts(t.Context(), call.Facts{}), call.Caller{Kind: "application", ID: event.NewID()})
	_, err := i.API.Me.GetMe(application, &munimentv1.GetMeRequest{})
	instancetest.Want(t, err, fault.Refused, "")
}
