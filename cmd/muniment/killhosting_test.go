package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/fleet"
	"muniment.dev/internal/postgres"
	"muniment.dev/server"
	"muniment.dev/user"
)

// openFleet opens a whole server that hosts others, without its network, and
// answers a context in which its owner calls.
func openFleet(ctx context.Context, data string) (*fleet.Fleet, context.Context, error) {
	f, err := fleet.New(ctx, server.Config{Data: data, Listen: "127.0.0.1:8300"}, fleet.Options{Extra: server.Extra{Passwords: cheap}})
	if err != nil {
		return nil, nil, err
	}
	if _, _, err := f.Home().Core.SetUp(ctx, server.Owner{Email: "owner@example.org", Names: user.Names{Given: "Olga"}}); err != nil && !fault.Is(err, fault.Exists) {
		return nil, nil, err
	}
	for r, err := range f.Home().Core.Log.Read(ctx, event.Query{{Types: []string{"user.registered"}}}, 0) {
		if err != nil {
			return nil, nil, err
		}
		return f, call.WithCaller(call.WithFacts(ctx, call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: r.Stream.ID}), nil
	}
	return nil, nil, fault.New(fault.NotFound, "there is no owner")
}

// hosting is a command that creates an instance; it follows from its id.
func hosting(command string) *munimentv1.CreateHostedInstanceRequest {
	return &munimentv1.CreateHostedInstanceRequest{CommandId: command, Name: "I" + command[:8], Host: "i" + command[:8] + ".localhost", OwnerEmail: "o@example.org"}
}

// host is the program that is killed: it makes instances, suspends and deletes
// them, one after the other. Each command to make one is printed before.
func host() {
	f, ctx, err := openFleet(context.Background(), os.Args[1])
	for err == nil {
		req := hosting(event.NewID().String())
		fmt.Println("sent", req.GetCommandId())
		api := f.Home().API.Hosted
		var made *munimentv1.CreateHostedInstanceResponse
		if made, err = api.CreateHostedInstance(ctx, req); err != nil {
			break
		}
		if _, err = api.SuspendHostedInstance(ctx, &munimentv1.SuspendHostedInstanceRequest{InstanceId: made.GetInstanceId()}); err == nil {
			_, err = api.DeleteHostedInstance(ctx, &munimentv1.DeleteHostedInstanceRequest{InstanceId: made.GetInstanceId(), Name: req.GetName()})
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Killed at any moment while it makes and deletes instances, a server goes on
// with each of them where it was: none is in trouble, none is there twice, and
// of those that were deleted nothing is left.
func TestKillWhileHosting(t *testing.T) {
	postgres.SkipIfChosen(t)
	data := t.TempDir() + "/data"
	sent := map[string]bool{}
	for round := range 4 {
		p := start(t, nil, "hoster", data)
		p.await(`(sent \S+)`)
		time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond)
		p.signal(syscall.SIGKILL)
		p.wait()
		for _, line := range strings.Split(p.text(), "\n") {
			if id, ok := strings.CutPrefix(line, "sent "); ok && len(id) == 32 {
				sent[id] = true
			}
		}
		f, ctx, err := openFleet(t.Context(), data)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		whole(ctx, t, f, data, sent)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// whole waits until the server has done what is recorded, repeats what was sent,
// and looks at what is there.
func whole(ctx context.Context, t *testing.T, f *fleet.Fleet, data string, sent map[string]bool) {
	t.Helper()
	api, ids := f.Home().API.Hosted, map[string]bool{}
	for command := range sent {
		res, err := api.CreateHostedInstance(ctx, hosting(command))
		if err != nil {
			t.Errorf("repeated: %v", err)
			continue
		}
		ids[res.GetInstanceId()] = true
	}
	list, err := api.ListHostedInstances(ctx, &munimentv1.ListHostedInstancesRequest{PageSize: 500})
	if err != nil || len(list.GetInstances()) != len(sent) || len(ids) != len(sent) {
		t.Fatalf("%d instances of %d commands: %v", len(list.GetInstances()), len(sent), err)
	}
	for _, in := range list.GetInstances() {
		if err := f.Settled(ctx, event.MustID(in.GetId()), event.Position(in.GetPosition())); err != nil {
			t.Errorf("%s: %v", in.GetState(), err)
		}
		got, err := api.GetHostedInstance(ctx, &munimentv1.GetHostedInstanceRequest{InstanceId: in.GetId()})
		if err != nil || got.GetInstance().GetTrouble() != "" {
			t.Errorf("%v %v", got, err)
		}
		_, missing := os.Stat(filepath.Join(data, "instances", in.GetId()))
		state := got.GetInstance().GetState()
		gone := state == munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DELETED || state == munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DESTROYED
		if gone != (missing != nil) {
			t.Errorf("%s, and its folder: %v", state, missing)
		}
	}
}
