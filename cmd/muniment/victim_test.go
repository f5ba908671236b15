package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/seal/erasure"
	"muniment.dev/server"
	"muniment.dev/session/signin"
	"muniment.dev/user"
)

const (
	victimOwner    = "owner@example.org"
	victimPassword = "four words of one"
	// patienceOfVictim bounds how long a command is repeated: longer than
	// anything that is tried again by itself takes.
	patienceOfVictim = 20 * time.Second
)

// asOwner is a context in which the owner calls.
func asOwner(ctx context.Context, s *server.Server) (context.Context, error) {
	owners, err := decide.Read(ctx, s.Core.Runner, "owner of an address", user.ByEmail(victimOwner), user.Owners{}, user.EvolveOwners)
	if err != nil {
		return nil, err
	}
	id, ok := owners.Of(victimOwner)
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no owner")
	}
	return call.WithCaller(call.WithFacts(ctx, call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: id}), nil
}

// victim is the program whose system calls fail: the server, as it is served,
// that lives three short lives on one directory and does in them whatever
// changes a file. Each command is printed before it is given and when it is
// answered, a line by one write.
func victim() {
	base := os.Args[1]
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	for n, work := range []func(*life){(*life).first, (*life).second, (*life).third} {
		if n == 2 { // what may be deleted
			for _, name := range []string{"views.db", "views.db-wal", "views.db-shm", "stats.json"} {
				os.Remove(filepath.Join(base, "data", name))
			}
		}
		ctx, stop := context.WithCancel(context.Background())
		l := &life{stop: stop, work: work}
		open := func(ctx context.Context, c server.Config, x server.Extra) (server.App, error) {
			x.Passwords = cheap
			s, err := server.New(ctx, c, x)
			if err != nil {
				return nil, err
			}
			l.Server = s
			return l, nil
		}
		err := server.Serve(ctx, victimConfig(base), io.Discard, io.Discard, logger, open)
		stop()
		l.done.Wait()
		if err != nil {
			fmt.Printf("ended %s %v\n", fault.KindOf(err), err)
			os.Exit(1)
		}
		if l.failed != nil {
			fmt.Printf("stuck %v\n", l.failed)
			os.Exit(3)
		}
	}
	fmt.Println("finished")
}

// victimConfig has data and register in folders of their own.
func victimConfig(base string) server.Config {
	return server.Config{Data: filepath.Join(base, "data"), Register: filepath.Join(base, "register", "register.json"),
		Listen: "127.0.0.1:0", OwnerEmail: victimOwner, OwnerName: "Olga"}
}

// life is a server from its start to its end.
type life struct {
	*server.Server
	stop   context.CancelFunc
	work   func(*life)
	done   sync.WaitGroup
	ctx    context.Context
	org    string
	failed error
}

// Greet implements server.App: the server stands, and the work begins.
func (l *life) Greet(ctx context.Context, out io.Writer) error {
	if err := l.Server.Greet(ctx, out); err != nil {
		return err
	}
	fmt.Printf("key %s\n", l.Core.Instance.CheckpointKey)
	l.done.Go(func() {
		defer l.stop()
		l.persist("find the owner", func() (err error) {
			if l.ctx, err = asOwner(ctx, l.Server); err != nil {
				return err
			}
			orgs, err := l.API.Organization.ListOrganizations(l.ctx, &munimentv1.ListOrganizationsRequest{})
			if err == nil {
				l.org = orgs.GetOrganizations()[0].GetId()
			}
			return err
		})
		l.work(l)
	})
	return nil
}

func (l *life) first() {
	a, b, c := l.create(), l.create(), l.create()
	l.visit(b)
	l.refill()
	l.erase(a)
	l.create()
	l.erase(c)
	l.look()
}

func (l *life) second() {
	a := l.create()
	l.look()
	l.erase(a)
	l.create()
}

func (l *life) third() {
	l.look()
	l.create()
}

// persist repeats what fails for a reason that may pass.
func (l *life) persist(what string, do func() error) {
	if l.failed != nil {
		return
	}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		f := api.AsFault(err)
		if k := fault.KindOf(f); time.Since(begun) > patienceOfVictim || k != fault.Unavailable && k != fault.Unknown && k != fault.Exhausted {
			l.failed = fmt.Errorf("%s: %w", what, err)
			return
		}
	}
}

// create has a user created.
func (l *life) create() (id string) {
	req := creation(event.NewID().String())
	req.OrganizationId = l.org
	pass := victimPassword
	req.Password = &pass
	if l.failed != nil {
		return ""
	}
	fmt.Printf("create %s %s\n", req.GetCommandId(), l.org)
	l.persist("create a user", func() error {
		res, err := l.API.User.CreateUser(l.ctx, req)
		if err == nil {
			id = res.GetUserId()
			fmt.Printf("created %s %s %d\n", req.GetCommandId(), id, res.GetChange().GetPosition())
		}
		return err
	})
	return id
}

// erase has a user erased and waits until nothing is left of them.
func (l *life) erase(id string) {
	if l.failed != nil {
		return
	}
	command := event.NewID().String()
	fmt.Printf("erase %s\n", id)
	l.persist("erase a user", func() error {
		_, err := l.API.User.EraseUser(l.ctx, &munimentv1.EraseUserRequest{UserId: id, CommandId: command})
		return err
	})
	l.persist("wait for an erasure", func() error {
		if st, _ := l.Core.Erasure.Status(event.SubjectID{ID: event.MustID(id)}); st.Step != erasure.Completed {
			return fault.New(fault.Unavailable, "the erasure is not complete")
		}
		return nil
	})
	if l.failed == nil {
		fmt.Printf("erased %s\n", id)
	}
}

// visit signs a user in.
func (l *life) visit(id string) {
	l.persist("sign in", func() error {
		u, err := l.API.User.GetUser(l.ctx, &munimentv1.GetUserRequest{UserId: id})
		if err != nil {
			return err
		}
		_, err = l.SignIn.SignIn(l.ctx, signin.Attempt{Email: u.GetUser().GetEmail().GetValue(), Password: victimPassword})
		return err
	})
}

// refill draws keys until more are made.
func (l *life) refill() {
	for range 140 {
		l.persist("draw a key", func() error {
			_, _, err := l.Core.Keys.Draw(l.ctx, l.Core.Log.ID())
			return err
		})
	}
}

// look waits for views and checkpoint.
func (l *life) look() {
	l.persist("list users", func() error {
		_, err := l.API.User.ListUsers(l.ctx, &munimentv1.ListUsersRequest{})
		return err
	})
	l.persist("wait for a checkpoint", func() error {
		ctx, cancel := context.WithTimeout(l.ctx, patienceOfVictim)
		defer cancel()
		_, err := l.Core.Publisher.WaitFor(ctx, l.Core.Log.Mark().Size)
		return err
	})
}
