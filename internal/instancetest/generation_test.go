package instancetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/ledger/verify"
	"muniment.dev/ops"
	"muniment.dev/server"
)

// restart closes an instance and opens it again in a directory.
func (i *Instance) restart(t *testing.T, dir string) *Instance {
	t.Helper()
	again := &Instance{Server: openIn(t, dir, nil), t: t, Owner: i.Owner, Org: i.Org}
	again.n.Store(i.n.Load())
	return again
}

func closed(t *testing.T, i *Instance) {
	t.Helper()
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
}

// A server that lost records goes on in a new generation. People are found by
// their address and sign in as before; the signing keys are others; and every
// place that was given out for a lost record is refused by name.
func TestNewGeneration(t *testing.T) {
	postgres.SkipIfChosen(t)
	dir, kept, again := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "again")
	i := setUp(t, openIn(t, dir, nil))
	ada := i.Person(i.Org)
	email := i.Email(ada)
	i.Person(i.Org)
	held := Must(i.API.Instance.RotateSigningKeys(i.AsOwner(), &munimentv1.RotateSigningKeysRequest{})).GetChange()
	users := Must(i.API.User.ListUsers(i.AsOwner(), &munimentv1.ListUsersRequest{PageSize: 1})).GetNextPageToken()
	closed(t, i)
	o := ops.BackupOptions{To: filepath.Join(kept, "log.tar"), KeysTo: filepath.Join(kept, "keys.tar")}
	Must(ops.Backup(t.Context(), ops.DefaultLayout(dir), o))
	i = i.restart(t, dir)
	i.Person(i.Org)
	lost := Must(i.API.Organization.RenameOrganization(i.AsOwner(), &munimentv1.RenameOrganizationRequest{OrganizationId: i.Org, Name: "Lost"})).GetChange()
	token := Must(i.API.Event.ListEvents(i.AsOwner(), &munimentv1.ListEventsRequest{PageSize: 1, Descending: true})).GetNextPageToken()
	checkpoint := published(t, i, lost.GetPosition())
	closed(t, i)

	l := ops.DefaultLayout(dir)
	Must(ops.Restore(t.Context(), ops.RestoreOptions{From: o.To, KeysFrom: o.KeysTo, RootKey: l.Root, To: again, Register: l.Register}))
	if err := os.Rename(l.Register, ops.DefaultLayout(again).Register); err != nil {
		t.Fatal(err)
	}
	g := Must(ops.BeginGeneration(t.Context(), ops.DefaultLayout(again), server.Program(), ops.GenerationOptions{Force: true}))
	if !g.Begun || g.Missing == 0 || uint64(g.Known) < lost.GetPosition() {
		t.Fatalf("begun: %+v", g)
	}
	i = i.restart(t, again)
	for j := range 12 { // so that positions of lost records are those of others
		Must(i.API.Organization.RenameOrganization(i.AsOwner(), &munimentv1.RenameOrganizationRequest{OrganizationId: i.Org, Name: strings.Repeat("x", j+1)}))
	}
	now := Must(i.API.Organization.RenameOrganization(i.AsOwner(), &munimentv1.RenameOrganizationRequest{OrganizationId: i.Org, Name: "Now"})).GetChange()
	if now.GetLogId() == lost.GetLogId() || now.GetPosition() <= lost.GetPosition() {
		t.Fatalf("a change after it: %v", now)
	}
	refuses(t, i, lost, users, token)
	if _, err := i.API.User.ListUsers(Seen(i.AsOwner(), held), &munimentv1.ListUsersRequest{Read: &munimentv1.Read{AtPosition: held.GetPosition(), LogId: held.GetLogId()}}); err != nil {
		t.Errorf("a place before the loss: %v", err)
	}
	i.SignedIn(ada)
	_, err := i.API.User.CreateUser(i.AsOwner(), &munimentv1.CreateUserRequest{OrganizationId: i.Org, Email: email, GivenName: "A", FamilyName: "B"})
	Want(t, err, fault.Exists, "")
	keysReplaced(t, i, lost)
	next := published(t, i, now.GetPosition())
	if !strings.Contains(next.GetVerifierKey(), now.GetLogId()) {
		t.Errorf("the verifier key %s is not of log %s", next.GetVerifierKey(), now.GetLogId())
	}
	closed(t, i)
	for _, key := range []string{checkpoint.GetVerifierKey(), next.GetVerifierKey()} {
		r := Must(ops.VerifyDir(t.Context(), ops.DefaultLayout(again), ops.VerifyOptions{Key: key}))
		if r.Verdict != verify.Verified || len(r.Generations) != 2 || r.Generations[1].Lost != uint64(g.Missing) {
			t.Errorf("%s: %+v", r.Summary(), r.Findings)
		}
	}
	r := Must(ops.VerifyDir(t.Context(), ops.DefaultLayout(again), ops.VerifyOptions{Key: next.GetVerifierKey(), Checkpoint: []byte(checkpoint.GetNote())}))
	if r.Verdict != verify.Failed || len(r.Findings) != 1 || r.Findings[0].Code != verify.Rollback || !strings.Contains(r.Findings[0].Msg, "were lost, as record") {
		t.Errorf("held against a lost checkpoint: %+v", r.Findings)
	}
}

// published waits for a checkpoint that covers a position.
func published(t *testing.T, i *Instance, at uint64) *munimentv1.GetCheckpointResponse {
	t.Helper()
	if _, err := i.Core.Publisher.WaitFor(t.Context(), event.Position(at)); err != nil {
		t.Fatal(err)
	}
	return Must(i.API.Instance.GetCheckpoint(i.AsOwner(), &munimentv1.GetCheckpointRequest{}))
}

// refuses wants the places of a lost record to be refused.
func refuses(t *testing.T, i *Instance, lost *munimentv1.Change, users, token string) {
	t.Helper()
	ctx := i.AsOwner()
	list := func(ctx context.Context, r *munimentv1.ListEventsRequest) error {
		_, err := i.API.Event.ListEvents(ctx, r)
		return err
	}
	for field, err := range map[string]error{
		"read.log_id":   list(ctx, &munimentv1.ListEventsRequest{Read: &munimentv1.Read{AtPosition: lost.GetPosition(), LogId: lost.GetLogId()}}),
		"filter.log_id": list(ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{AfterPosition: lost.GetPosition(), LogId: lost.GetLogId()}}),
		"page_token":    list(ctx, &munimentv1.ListEventsRequest{PageToken: token, Descending: true}),
	} {
		Want(t, err, fault.Invalid, field)
		if text := api.Explain(err).GetMessage(); !strings.Contains(text, "were lost") {
			t.Errorf("%s: %s", field, text)
		}
	}
	_, err := i.API.User.ListUsers(Seen(ctx, lost), &munimentv1.ListUsersRequest{})
	Want(t, err, fault.Invalid, "Muniment-Position")
	_, err = i.API.User.ListUsers(ctx, &munimentv1.ListUsersRequest{PageSize: 1, PageToken: users})
	Want(t, err, fault.Invalid, "page_token")
	page := Must(i.API.User.ListUsers(ctx, &munimentv1.ListUsersRequest{PageSize: 1}))
	Must(i.API.User.ListUsers(ctx, &munimentv1.ListUsersRequest{PageSize: 1, PageToken: page.GetNextPageToken()}))
}

// keysReplaced wants tokens to be signed with a key that was made after records
// were lost.
func keysReplaced(t *testing.T, i *Instance, lost *munimentv1.Change) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		st := Must(i.Core.ReadInstance(t.Context()))
		if key, ok := st.Key("ES256"); ok && int64(key.At) > lost.GetTime().AsTime().UnixMicro() && len(st.Keys) > 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the signing keys were not replaced: %+v", st.Keys)
		}
	}
}
