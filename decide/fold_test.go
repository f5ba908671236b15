package decide_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/org"
	"muniment.dev/seal"
	"muniment.dev/seal/kms/file"
	"muniment.dev/user"
)

// openRunner makes an instance with one organization in memory.
func openRunner(t *testing.T) (*decide.Runner, event.ID) {
	t.Helper()
	return openRunnerOn(t, memlog.New(), eventlog.Options{Window: 16})
}

func openRunnerOn(t *testing.T, store eventlog.Store, o eventlog.Options) (*decide.Runner, event.ID) {
	t.Helper()
	dir, log := t.TempDir(), event.LogID{ID: event.NewID()}
	root, err := file.Open(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(t.Context(), filepath.Join(dir, "keys.db"), root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	l, err := eventlog.Open(t.Context(), store, log, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &seal.Sealer{Log: log, Assigned: l, Keys: keys, Instance: event.SubjectID{ID: event.NewID()},
		Registry: event.NewRegistry(authz.Events(), instance.Events(), org.Events(), user.Events())}
	r := &decide.Runner{Log: l, Sealer: s}
	organization := event.NewID()
	mustRun(t, r, instance.Creating, instance.Create{Instance: s.Instance.ID, Name: "x", CheckpointKey: "k", CheckpointSigner: "s", CLI: event.NewID()})
	mustRun(t, r, org.Adding, org.Add{Organization: organization, Name: "Home"})
	return r, organization
}

func mustRun[S, C any](t *testing.T, r *decide.Runner, d decide.Decider[S, C], c C) {
	t.Helper()
	if _, err := decide.Run(t.Context(), r, d, decide.Envelope{Actor: event.System}, c); err != nil {
		t.Fatalf("%s: %v", d.Name, err)
	}
}

// What a runner has kept never makes it see other facts than one that reads
// everything anew, whatever happened in between.
func TestKeptFactsAreThoseOfTheLog(t *testing.T) {
	r, organization := openRunner(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	var users []event.ID
	address := func() string { return fmt.Sprintf("p%d@example.org", rnd.IntN(6)) }
	for i := range 300 {
		env := decide.Envelope{Actor: event.System}
		var err error
		switch k := rnd.IntN(4); {
		case k == 0 || len(users) == 0:
			id := event.NewID()
			_, err = decide.Run(t.Context(), r, user.Registering, env, user.Register{User: id, Organization: organization, Email: address(), Names: user.Names{Given: "A"}})
			if err == nil {
				users = append(users, id)
			}
		case k == 1:
			_, err = decide.Run(t.Context(), r, user.ChangingEmail, env, user.ChangeEmail{User: users[rnd.IntN(len(users))], Email: address()})
		case k == 2:
			_, err = decide.Run(t.Context(), r, user.Locking, env, user.Lock{User: users[rnd.IntN(len(users))]})
		default:
			_, err = decide.Run(t.Context(), r, user.Unlocking, env, user.Unlock{User: users[rnd.IntN(len(users))]})
		}
		if err != nil && !fault.Is(err, fault.Exists) && !fault.Is(err, fault.Refused) {
			t.Fatalf("step %d: %v", i, err)
		}
		fresh := &decide.Runner{Log: r.Log, Sealer: r.Sealer}
		mail := address()
		if a, b := owner(t, r, mail), owner(t, fresh, mail); a != b {
			t.Fatalf("step %d: %s belongs to %s for one who remembers, to %s in the log", i, mail, a, b)
		}
		if len(users) == 0 {
			continue
		}
		id := users[rnd.IntN(len(users))]
		if a, b := state(t, r, id), state(t, fresh, id); !reflect.DeepEqual(a, b) {
			t.Fatalf("step %d: %+v for one who remembers, %+v in the log", i, a, b)
		}
	}
}

func owner(t *testing.T, r *decide.Runner, mail string) event.ID {
	t.Helper()
	o, err := decide.Read(t.Context(), r, "owner", user.ByEmail(mail), user.Owners{}, user.EvolveOwners)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := o.Of(mail)
	return id
}

func state(t *testing.T, r *decide.Runner, id event.ID) user.State {
	t.Helper()
	s, err := decide.Read(t.Context(), r, "user", user.Facts(id), user.Start(id), user.Evolve)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Of many who want the same address at once exactly one gets it, and of many
// who lock the same person exactly one does.
func TestOneOfManyAtOnce(t *testing.T) {
	r, organization := openRunner(t)
	for round := range 20 {
		id := make([]event.ID, 8)
		won := 0
		atOnce(8, func(i int) error {
			id[i] = event.NewID()
			_, err := decide.Run(context.Background(), r, user.Registering, decide.Envelope{Actor: event.System},
				user.Register{User: id[i], Organization: organization, Email: fmt.Sprintf("one%d@example.org", round), Names: user.Names{Given: "A"}})
			return err
		}, func(i int, err error) {
			switch {
			case err == nil:
				won, id[0] = won+1, id[i]
			case !fault.Is(err, fault.Exists):
				t.Errorf("refused with %v", err)
			}
		})
		if won != 1 {
			t.Fatalf("%d of 8 got the address", won)
		}
		locked := 0
		atOnce(8, func(int) error {
			_, err := decide.Run(context.Background(), r, user.Locking, decide.Envelope{Actor: event.System}, user.Lock{User: id[0]})
			return err
		}, func(_ int, err error) {
			switch {
			case err == nil:
				locked++
			case !fault.Is(err, fault.Refused):
				t.Errorf("refused with %v", err)
			}
		})
		if locked != 1 {
			t.Fatalf("%d of 8 locked", locked)
		}
	}
}

// atOnce runs n at once, then tells what became of each.
func atOnce(n int, run func(int) error, then func(int, error)) {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = run(i) })
	}
	wg.Wait()
	for i, err := range errs {
		then(i, err)
	}
}
