package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/seal/kms/file"
	"muniment.dev/server"
	"muniment.dev/view"
)

// nodeSettings are those of a node by what its process was given: data
// directory, database, keys, register, root key.
func nodeSettings(args []string) server.Config {
	return server.Config{Data: args[0], Database: args[1], Keys: args[2], Register: args[3], RootKey: args[4],
		Listen: "127.0.0.1:0", ExternalURL: "http://localhost:8300", NodeListen: "127.0.0.1:0", Lease: "1s", WebhookNetworks: "127.0.0.1"}
}

// crewMember is the program that is killed: a node, with eight clients that
// create users over it for as long as it lives. It prints what writer prints,
// and whether it holds the log whenever that changes.
func crewMember() { serveNode(server.Extra{}, 8, workOver) }

// serveNode serves a node, with so many clients, until it is told to end.
func serveNode(extra server.Extra, clientsOf int, client func(context.Context, *server.Server)) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var clients sync.WaitGroup
	err := server.Serve(ctx, nodeSettings(os.Args[1:]), io.Discard, io.Discard, slog.New(slog.NewTextHandler(os.Stderr, nil)),
		func(open context.Context, c server.Config, x server.Extra) (server.App, error) {
			x.Passwords, x.WebhookRetry = cheap, extra.WebhookRetry
			s, err := server.New(open, c, x)
			if err != nil {
				return nil, err
			}
			clients.Go(func() { tellRole(ctx, s) })
			for range clientsOf {
				clients.Go(func() { client(ctx, s) })
			}
			return crewServer{s, &clients}, nil
		})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// crewServer ends its clients before it ends.
type crewServer struct {
	*server.Server
	clients *sync.WaitGroup
}

func (c crewServer) Close() error {
	c.clients.Wait()
	return c.Server.Close()
}

func tellRole(ctx context.Context, s *server.Server) {
	said := ""
	for ctx.Err() == nil {
		role := "follows"
		if s.Core.Log.Leads() {
			role = "leads"
		}
		if role != said {
			fmt.Println(role)
			said = role
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// workOver creates users over a node. What fails in a way that passes is
// repeated with the same id.
func workOver(ctx context.Context, s *server.Server) {
	as, org, err := ownerOf(context.Background(), s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for ctx.Err() == nil {
		req := creation(event.NewID().String())
		req.OrganizationId = org
		fmt.Printf("sent %s %s\n", req.GetCommandId(), org)
		for ctx.Err() == nil {
			_ = s.Core.Log.CatchUp(ctx)
			res, err := s.API.User.CreateUser(as, req)
			if err == nil {
				fmt.Printf("done %s %s %d\n", req.GetCommandId(), res.GetUserId(), res.GetChange().GetPosition())
				break
			}
			fmt.Println("again", fault.KindOf(api.AsFault(err)))
			if k := fault.KindOf(api.AsFault(err)); k != fault.Unavailable && k != fault.Unknown && k != fault.Exhausted {
				fmt.Fprintln(os.Stderr, "not to be repeated:", err)
				os.Exit(1)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// ownerOf answers a context in which the owner calls, and the first organization.
func ownerOf(ctx context.Context, s *server.Server) (context.Context, string, error) {
	if err := s.Core.Log.CatchUp(ctx); err != nil {
		return nil, "", err
	}
	as, err := owning(ctx, s)
	if err != nil {
		return nil, "", err
	}
	orgs, err := s.API.Organization.ListOrganizations(as, &munimentv1.ListOrganizationsRequest{})
	if err != nil || len(orgs.GetOrganizations()) == 0 {
		return nil, "", fmt.Errorf("there is no organization: %w", err)
	}
	return as, orgs.GetOrganizations()[0].GetId(), nil
}

// sharedPlaces are those that nodes have in common, and the settings of a server
// that has them for itself.
func sharedPlaces(t *testing.T) ([]string, server.Config) {
	t.Helper()
	dir, db := t.TempDir(), postgres.Shared(t)
	shared := []string{db.NewDatabase(t), db.NewDatabase(t), dir + "/register.json", dir + "/root.key"}
	if _, err := file.Open(shared[3]); err != nil {
		t.Fatal(err)
	}
	config := nodeSettings(append([]string{t.TempDir()}, shared...))
	config.Listen, config.NodeListen = "127.0.0.1:8300", ""
	return shared, config
}

// The node that holds the log is killed again and again, under load, and the
// others go on: nothing acknowledged is missing, nothing is there twice, no
// position is left out. Afterwards every command that was sent has one outcome.
func TestKillNodes(t *testing.T) {
	postgres.SkipIfChosen(t)
	kills := 3
	if n, err := strconv.Atoi(os.Getenv("MUNIMENT_KILLS")); err == nil {
		kills = n
	}
	shared, config := sharedPlaces(t)
	s, _, err := openCoreOf(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c := &crew{T: t, program: "crew", shared: shared, all: map[string]*sent{}}
	c.noted = c.note
	c.muster()
	for range kills {
		c.killLeader()
	}
	c.dismiss()
	c.check(config)
	t.Logf("killed the holder %d times: %d users created; %d answers asked to try again", kills, len(c.all), c.retries)
}

// crew are the nodes of TestKillNodes, and of others that kill nodes.
type crew struct {
	*testing.T
	program      string         // that a node runs
	noted        func(*program) // what a node printed that has ended
	shared, dirs []string
	nodes        []*program
	all          map[string]*sent
	retries      int
}

// muster has three nodes join.
func (c *crew) muster() {
	for range 3 {
		c.dirs = append(c.dirs, c.TempDir())
		c.nodes = append(c.nodes, c.join(len(c.nodes)))
	}
}

func (c *crew) join(i int) *program {
	return start(c.T, nil, c.program, append([]string{c.dirs[i]}, c.shared...)...)
}

// leader is the node that said last that it holds the log, and was not killed.
func (c *crew) leader() int {
	c.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for i, p := range c.nodes {
			select {
			case <-p.exited:
				c.Fatalf("node %d ended by itself: %v", i, p.err)
			default:
			}
			text := p.text()
			if strings.LastIndex(text, "leads\n") > strings.LastIndex(text, "follows\n") {
				return i
			}
		}
	}
	c.Fatal("no node holds the log")
	return 0
}

// killLeader kills the node that holds the log and starts it again.
func (c *crew) killLeader() {
	i := c.leader()
	p := c.nodes[i]
	time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
	p.signal(syscall.SIGKILL)
	<-p.exited
	c.noted(p)
	c.nodes[i] = c.join(i)
}

// dismiss ends the nodes in order, one after the other.
func (c *crew) dismiss() {
	c.leader() // somebody went on
	for _, p := range c.nodes {
		p.signal(syscall.SIGTERM)
		<-p.exited
		if p.err != nil {
			c.Errorf("a node did not end in order: %v\n%s", p.err, p.errors())
		}
		c.noted(p)
	}
}

func (c *crew) note(p *program) {
	for line := range strings.SplitSeq(p.text(), "\n") {
		switch f := strings.Fields(line); {
		case len(f) == 3 && f[0] == "sent":
			c.all[f[1]] = &sent{org: f[2]}
		case len(f) == 4 && f[0] == "done":
			s := c.all[f[1]]
			s.user = f[2]
			s.position, _ = strconv.ParseUint(f[3], 10, 64)
		case len(f) == 2 && f[0] == "again":
			c.retries++
		}
	}
}

func (c *crew) check(config server.Config) {
	s, ctx, err := openCoreOf(c.Context(), config)
	if err != nil {
		c.Fatal(err)
	}
	repeatAll(c.T, s, ctx, c.all, true)
	checkRecords(c.T, s, c.all)
	if _, err := s.Core.Views.Check(ctx, nil, func(d view.Difference) { c.Errorf("views: %s", d) }); err != nil {
		c.Error(err)
	}
	if err := s.Close(); err != nil {
		c.Error(err)
	}
}
