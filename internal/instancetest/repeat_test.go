package instancetest

import (
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// changed is what an answer says of its change.
func changed(m proto.Message) *munimentv1.Change {
	return m.(interface{ GetChange() *munimentv1.Change }).GetChange()
}

// A command id does its work once (E20): repeated, whatever changed meanwhile,
// it gets the first answer without its secrets; with another body it is refused.
func TestRepeated(t *testing.T) {
	i := New(t)
	ctx := i.AsOwner()
	for _, c := range changes {
		org := i.Organization()
		req := with(c.request(i, org), "command_id", event.NewID().String())
		t.Run(strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request"), func(t *testing.T) {
			before := i.Core.Log.Mark().Size
			first := Must(i.call(ctx, req))
			if p := changed(first).GetPosition(); p <= uint64(before) || changed(first).GetReplayed() || changed(first).GetLogId() != i.Core.Log.ID().String() {
				t.Fatalf("the change is said to be at %d, after %d", p, before)
			}
			mark := i.Core.Log.Mark().Size
			again := Must(i.call(ctx, req))
			if !changed(again).GetReplayed() || changed(again).GetPosition() != changed(first).GetPosition() {
				t.Errorf("repeated: %v, first %v", changed(again), changed(first))
			}
			changed(again).Replayed = false
			if want := withoutSecrets(first); !proto.Equal(again, want) {
				t.Errorf("repeated it answers\n%v, want\n%v", again, want)
			}
			_, err := i.call(ctx, with(req, "reason", "another"))
			Want(t, err, fault.Refused, "")
			if _, erasing := req.(*munimentv1.EraseUserRequest); !erasing && i.Core.Log.Mark().Size != mark {
				t.Errorf("repeating appended %d records", i.Core.Log.Mark().Size-mark)
			}
			// The command id is the caller's: another's is another command.
			other := i.Member("", munimentv1.MemberRole_MEMBER_ROLE_OWNER)
			if m, err := i.call(i.As(other), req); err == nil && changed(m).GetReplayed() {
				t.Error("another caller got the answer")
			}
		})
	}
}

// withoutSecrets is an answer as its repetition must be.
func withoutSecrets(m proto.Message) proto.Message {
	m = proto.Clone(m)
	switch m := m.(type) {
	case *munimentv1.ApplySchemaResponse: // no secrets: what would be done now is another thing
		m.Steps, m.Warnings, m.Rebuild = nil, nil, false
	case *munimentv1.CreateUserResponse:
		m.SetupLink = nil
	case *munimentv1.CreateSetupLinkResponse:
		m.SetupLink = nil
	case *munimentv1.CreateHostedInstanceResponse:
		m.SetupLink = nil
	case *munimentv1.CreateOwnerLinkResponse:
		m.SetupLink = nil
	case *munimentv1.CreateWebApplicationResponse:
		m.ClientSecret = ""
	case *munimentv1.CreateApiApplicationResponse:
		m.ClientSecret = ""
	case *munimentv1.CreateSubscriptionResponse:
		m.SigningSecret = ""
	case *munimentv1.CreateAdapterResponse:
		m.SigningSecret = ""
	case *munimentv1.SetAdapterCredentialResponse:
		m.SigningSecret = ""
	case *munimentv1.CreateSigningSecretResponse:
		m.SigningSecret = ""
	case *munimentv1.CreateUserSecretResponse:
		m.ClientSecret = ""
	case *munimentv1.CreateApplicationSecretResponse:
		m.ClientSecret = ""
	}
	return m
}

// One command given eight times at once is done once, and all eight get its
// answer; secrets are shown to one of them.
func TestRepeatedAtOnce(t *testing.T) {
	i := New(t)
	ctx := i.AsOwner()
	for _, c := range changes {
		req := with(c.request(i, i.Organization()), "command_id", event.NewID().String())
		name := strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request")
		var mu sync.Mutex
		var wg sync.WaitGroup
		positions, fresh := map[uint64]int{}, 0
		for range 8 {
			wg.Go(func() {
				m, err := i.call(ctx, req)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				positions[changed(m).GetPosition()]++
				if !changed(m).GetReplayed() {
					fresh++
				}
			})
		}
		wg.Wait()
		if len(positions) != 1 || fresh != 1 {
			t.Errorf("%s: positions %v, %d of 8 answers are said to be first", name, positions, fresh)
		}
	}
}

// Of eight commands that exclude each other one is done; the others are refused
// as a later one is.
func TestAtOnce(t *testing.T) {
	i := New(t)
	ctx := i.AsOwner()
	once := map[string]fault.Kind{"ReactivateOrganization": fault.Refused, "DeactivateOrganization": fault.Refused, "LockUser": fault.Refused,
		"UnlockUser": fault.Refused, "DeactivateUser": fault.Refused, "ReactivateUser": fault.Refused, "EraseUser": fault.Erased, "EraseEntity": fault.Erased,
		"CreateUser": fault.Exists, "AddRole": fault.Exists, "RemoveRole": fault.NotFound,
		"RemoveApplicationSecret": fault.NotFound, "RemoveApplicationKey": fault.NotFound, "AddApplicationKey": fault.Exists,
		"RemoveUserSecret": fault.NotFound, "RemoveUserKey": fault.NotFound, "AddUserKey": fault.Exists,
		"DeactivateApplication": fault.Refused, "ReactivateApplication": fault.Refused, "GrantRole": fault.Refused, "WithdrawRole": fault.Refused, "AddMember": fault.Refused,
		"RemoveMember": fault.Refused, "GrantPermission": fault.Refused, "WithdrawPermission": fault.Refused, "EndSession": fault.Refused, "CreateHostedInstance": fault.Exists, "AddHostName": fault.Exists, "RemoveHostName": fault.NotFound,
		"SuspendHostedInstance": fault.Refused, "ResumeHostedInstance": fault.Refused, "DeleteHostedInstance": fault.Refused,
		"PauseSubscription": fault.Refused, "ResumeSubscription": fault.Refused, "RemoveSubscription": fault.NotFound, "RemoveSigningSecret": fault.NotFound,
		"PauseAdapter": fault.Refused, "ResumeAdapter": fault.Refused, "RemoveAdapter": fault.NotFound}
	for _, c := range changes {
		req := c.request(i, i.Organization())
		name := strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request")
		kind, excludes := once[name]
		if !excludes {
			continue
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		done := 0
		for range 8 {
			wg.Go(func() {
				_, err := i.call(ctx, req)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					done++
				} else if k := Kind(t, err); k != kind {
					t.Errorf("%s: %v (%v), want %v", name, err, k, kind)
				}
			})
		}
		wg.Wait()
		if done != 1 {
			t.Errorf("%s: %d of 8 were done", name, done)
		}
	}
}
