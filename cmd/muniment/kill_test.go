package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/ops"
	"muniment.dev/server"
	"muniment.dev/user"
	"muniment.dev/user/password"
	"muniment.dev/view"
)

// cheap are parameters of argon2id for passwords that nobody has.
var cheap = password.Params{Memory: 64, Time: 1, Threads: 1}

// openCore opens a whole server on a directory, without its network, and
// answers a context in which its owner calls.
func openCore(ctx context.Context, data string) (*server.Server, context.Context, error) {
	return openCoreOf(ctx, server.Config{Data: data, Listen: "127.0.0.1:8300"})
}

const theOwner = "owner@example.org"

func openCoreOf(ctx context.Context, c server.Config) (*server.Server, context.Context, error) {
	return openWith(ctx, c, server.Extra{Passwords: cheap})
}

func openWith(ctx context.Context, c server.Config, x server.Extra) (*server.Server, context.Context, error) {
	s, err := server.New(ctx, c, x)
	if err != nil {
		return nil, nil, err
	}
	_, _, err = s.Core.SetUp(ctx, server.Owner{Email: theOwner, Names: user.Names{Given: "Olga"}})
	if err != nil && !fault.Is(err, fault.Exists) {
		return nil, nil, err
	}
	ctx, err = owning(ctx, s)
	return s, ctx, err
}

// owning is a context in which the owner calls.
func owning(ctx context.Context, s *server.Server) (context.Context, error) {
	owners, err := decide.Read(ctx, s.Core.Runner, "owner of an address", user.ByEmail(theOwner), user.Owners{}, user.EvolveOwners)
	if err != nil {
		return nil, err
	}
	id, ok := owners.Of(theOwner)
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no owner")
	}
	return call.WithCaller(call.WithFacts(ctx, call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: id}), nil
}

// creation is a command that creates a user. It follows from its id, so that it
// can be repeated by whoever knows that.
func creation(command string) *munimentv1.CreateUserRequest {
	return &munimentv1.CreateUserRequest{CommandId: command, Email: "u" + command + "@example.org", GivenName: "U" + command[:8]}
}

// write is the program that is killed: 16 clients create users for as long as
// they can. Each command is printed before it is sent and when it was
// acknowledged, a line by one write.
func write() {
	s, ctx, err := openCore(context.Background(), os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	orgs, err := s.API.Organization.ListOrganizations(ctx, &munimentv1.ListOrganizationsRequest{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				req := creation(event.NewID().String())
				req.OrganizationId = orgs.GetOrganizations()[0].GetId()
				fmt.Printf("sent %s %s\n", req.GetCommandId(), req.GetOrganizationId())
				res, err := s.API.User.CreateUser(ctx, req)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Printf("done %s %s %d\n", req.GetCommandId(), res.GetUserId(), res.GetChange().GetPosition())
			}
		})
	}
	wg.Wait()
}

// sent is a command and what was acknowledged of it.
type sent struct {
	org      string
	user     string // empty if it was not acknowledged
	position uint64
	checked  bool
}

// Killed at any moment under load and opened again: nothing acknowledged is
// missing, nothing is there twice, no position is left out, verify and the
// check of the views find nothing. What was sent and not acknowledged happens
// once when it is repeated with its id.
func TestKill(t *testing.T) {
	postgres.SkipIfChosen(t)
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("MUNIMENT_KILLS")); err == nil {
		kills = n
	}
	data := t.TempDir() + "/data"
	all := map[string]*sent{}
	unsure, kept := 0, 0
	for round := range kills {
		before := len(all)
		kill(t, data, all)
		u, k := reopen(t, data, all, round == kills-1)
		unsure, kept = unsure+u, kept+k
		if t.Failed() {
			t.Fatalf("in round %d", round+1)
		}
		if len(all) == before && round == kills-1 && before == 0 {
			t.Fatal("no round wrote anything")
		}
	}
	t.Logf("killed %d times: %d users created; %d commands were under way when killed, %d of them had happened", kills, len(all), unsure, kept)
}

// kill runs the writer, kills it at a random moment, sometimes while it opens,
// and notes what it printed.
func kill(t *testing.T, data string, all map[string]*sent) {
	t.Helper()
	p := start(t, nil, "writer", data)
	if rand.IntN(8) > 0 {
		p.await("^ready$")
	}
	time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
	p.signal(syscall.SIGKILL)
	<-p.exited
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Fatalf("the writer ended by itself: %v\n%s", p.err, p.errors())
	}
	for line := range strings.SplitSeq(p.text(), "\n") {
		switch f := strings.Fields(line); {
		case len(f) == 3 && f[0] == "sent":
			all[f[1]] = &sent{org: f[2]}
		case len(f) == 4 && f[0] == "done":
			c := all[f[1]]
			c.user = f[2]
			c.position, _ = strconv.ParseUint(f[3], 10, 64)
		}
	}
}

// reopen opens the directory that a killed writer left and checks it against
// what was acknowledged: in this round's commands, or in all of them. It
// answers how many commands were not acknowledged and how many of these had
// happened nevertheless.
func reopen(t *testing.T, data string, all map[string]*sent, every bool) (unsure, kept int) {
	t.Helper()
	s, ctx, err := openCore(t.Context(), data)
	if err != nil {
		t.Fatalf("open what was left: %v", err)
	}
	unsure, kept = repeatAll(t, s, ctx, all, every)
	checkRecords(t, s, all)
	if _, err := s.Core.Views.Check(ctx, nil, func(d view.Difference) { t.Errorf("views: %s", d) }); err != nil {
		t.Error(err)
	}
	key := s.Core.Instance.CheckpointKey
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	r, err := ops.VerifyDir(t.Context(), ops.DefaultLayout(data), ops.VerifyOptions{Key: key})
	if err != nil || len(r.Findings) > 0 {
		t.Errorf("verify: %v %v", err, r)
	}
	return unsure, kept
}

// repeatAll sends the commands again that were not checked yet, or every one,
// and wants the outcomes that were acknowledged.
func repeatAll(t *testing.T, s *server.Server, ctx context.Context, all map[string]*sent, every bool) (unsure, kept int) {
	t.Helper()
	for id, c := range all {
		if c.checked && !every {
			continue
		}
		c.checked = true
		req := creation(id)
		req.OrganizationId = c.org
		res, err := s.API.User.CreateUser(ctx, req)
		switch {
		case err != nil:
			t.Errorf("the command %s, repeated: %v", id, err)
		case c.user == "":
			unsure++
			if res.GetChange().GetReplayed() {
				kept++
			}
			c.user, c.position = res.GetUserId(), res.GetChange().GetPosition()
		case res.GetUserId() != c.user || res.GetChange().GetPosition() != c.position || !res.GetChange().GetReplayed():
			t.Errorf("the command %s was acknowledged as user %s at %d; repeated, it answers %s at %d, replayed: %t", id, c.user, c.position,
				res.GetUserId(), res.GetChange().GetPosition(), res.GetChange().GetReplayed())
		}
	}
	return unsure, kept
}

// checkRecords wants each position once, and each acknowledged user registered
// by exactly one record, and nobody else but the owner.
func checkRecords(t *testing.T, s *server.Server, all map[string]*sent) {
	t.Helper()
	want := map[string]*sent{}
	for _, c := range all {
		want[c.user] = c
	}
	next, strangers := event.Position(1), 0
	for r, err := range s.Core.Log.Read(t.Context(), event.Everything(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Position != next {
			t.Fatalf("after position %d comes %d", next-1, r.Position)
		}
		next++
		if r.Type != "user.registered" {
			continue
		}
		id := r.Stream.ID.String()
		if want[id] == nil {
			strangers++
		} else if p := event.Position(want[id].position); p < r.Position || p > r.Position+1 { // the set-up link follows
			t.Errorf("the user %s was acknowledged at position %d and is registered at %d", id, p, r.Position)
		}
		delete(want, id)
	}
	if size := s.Core.Log.Mark().Size; next != size+1 {
		t.Errorf("the log has %d records and says %d", next-1, size)
	}
	if len(want) > 0 || strangers != 1 {
		t.Errorf("%d acknowledged users are not registered, %d are registered that nobody asked for", len(want), strangers-1)
	}
}
