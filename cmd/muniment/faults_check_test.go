package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ops"
	"muniment.dev/seal"
	"muniment.dev/seal/kms/file"
	"muniment.dev/server"
	"muniment.dev/session/signin"
	"muniment.dev/view"
)

// story is what a victim printed.
type story struct {
	creates map[string]*sent
	erasing map[string]bool // by user: asked for
	erased  map[string]bool // acknowledged as complete
}

func readStory(stdout string) story {
	y := story{map[string]*sent{}, map[string]bool{}, map[string]bool{}}
	for line := range strings.SplitSeq(stdout, "\n") {
		switch f := strings.Fields(line); {
		case len(f) == 3 && f[0] == "create":
			y.creates[f[1]] = &sent{org: f[2]}
		case len(f) == 4 && f[0] == "created":
			c := y.creates[f[1]]
			c.user = f[2]
			c.position, _ = strconv.ParseUint(f[3], 10, 64)
		case len(f) == 2 && f[0] == "erase":
			y.erasing[f[1]] = true
		case len(f) == 2 && f[0] == "erased":
			y.erased[f[1]] = true
		}
	}
	return y
}

// checkVictim starts a server on what a victim left and holds it against what
// was acknowledged.
func checkVictim(t *testing.T, base, stdout string) {
	t.Helper()
	y := readStory(stdout)
	c := victimConfig(base)
	c.Listen = "127.0.0.1:8300"
	s, err := server.New(t.Context(), c, server.Extra{Passwords: cheap})
	if err != nil {
		t.Errorf("start on what was left: %v", err)
		return
	}
	_, _, err = s.Core.SetUp(t.Context(), server.Owner{Email: victimOwner})
	if err != nil && !fault.Is(err, fault.Exists) {
		t.Errorf("set up what was left: %v", err)
	}
	y.check(t, s)
	key := s.Core.Instance.CheckpointKey
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	l := ops.DefaultLayout(c.Data)
	l.Register = c.Register
	root, err := file.Open(l.Root)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(t.Context(), l.Keys, root)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	r, err := ops.VerifyDir(t.Context(), l, ops.VerifyOptions{Key: key, Keys: keys})
	if err != nil || len(r.Findings) > 0 {
		t.Errorf("verify: %v %v", err, r)
	}
}

func (y story) check(t *testing.T, s *server.Server) {
	t.Helper()
	ctx, err := asOwner(t.Context(), s)
	if err != nil {
		t.Error(err)
		return
	}
	y.repeat(t, s, func(req *munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error) {
		return s.API.User.CreateUser(ctx, req)
	})
	checkRecords(t, s, y.creates)
	for begun := time.Now(); len(s.Core.Erasure.Pending()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > patienceOfVictim {
			t.Errorf("erasures do not finish: %v", s.Core.Erasure.Pending())
			return
		}
	}
	for _, c := range y.creates {
		id := event.SubjectID{ID: event.MustID(c.user)}
		key, state, err := s.Core.Log.AssignedKey(ctx, id)
		if err != nil {
			t.Error(err)
		}
		if y.erased[c.user] && state != event.Erased {
			t.Errorf("the user %s was erased, and is not any more", c.user)
		}
		_, err = s.Core.Keys.Get(ctx, s.Core.Log.ID(), key)
		u, read := s.API.User.GetUser(ctx, &munimentv1.GetUserRequest{UserId: c.user})
		switch {
		case state == event.Erased && !y.erasing[c.user]:
			t.Errorf("nobody asked for the erasure of %s", c.user)
		case state == event.Erased && !fault.Is(err, fault.Erased):
			t.Errorf("the key of %s, who is erased: %v", c.user, err)
		case state == event.Erased:
		case err != nil || read != nil || !strings.HasPrefix(u.GetUser().GetEmail().GetValue(), "u"):
			t.Errorf("the user %s cannot be read: %v %v %v", c.user, err, read, u)
		default:
			if _, err := s.SignIn.SignIn(ctx, signin.Attempt{Email: u.GetUser().GetEmail().GetValue(), Password: victimPassword}); err != nil {
				t.Errorf("the user %s cannot sign in: %v", c.user, err)
			}
		}
	}
	if _, err := s.Core.Views.Check(ctx, nil, func(d view.Difference) { t.Errorf("views: %s", d) }); err != nil {
		t.Error(err)
	}
}

// repeat gives all commands again: what was acknowledged answers as it did, and
// what was not happens now, or had happened.
func (y story) repeat(t *testing.T, s *server.Server, create func(*munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error)) {
	t.Helper()
	for id, c := range y.creates {
		if c.org == "" {
			delete(y.creates, id)
			continue
		}
		req := creation(id)
		req.OrganizationId = c.org
		pass := victimPassword
		req.Password = &pass
		res, err := create(req)
		switch {
		case err != nil:
			t.Errorf("the command %s, repeated: %v", id, err)
		case c.user == "":
			c.user, c.position = res.GetUserId(), res.GetChange().GetPosition()
		case res.GetUserId() != c.user || res.GetChange().GetPosition() != c.position || !res.GetChange().GetReplayed():
			t.Errorf("the command %s was acknowledged as user %s at %d; repeated, it answers %s at %d, replayed: %t", id, c.user, c.position,
				res.GetUserId(), res.GetChange().GetPosition(), res.GetChange().GetReplayed())
		}
	}
}
