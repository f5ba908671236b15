package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/user"
)

// ailing is a server, as settings make it, over a PostgreSQL of its own to which
// things happen.
type ailing struct {
	*testing.T
	*Server
	db    *postgres.Cluster
	owner event.ID
	org   string
	users []string // that were acknowledged
}

func newAiling(t *testing.T, tablespace string) *ailing {
	t.Helper()
	a := &ailing{T: t, db: postgres.Start(t, postgres.Options{})}
	in := ""
	if tablespace != "" {
		a.db.Exec(t, "", "CREATE TABLESPACE small LOCATION '"+tablespace+"'")
		in = " TABLESPACE small"
	}
	a.db.Exec(t, "", "CREATE ROLE muniment LOGIN PASSWORD 'p'", "CREATE DATABASE muniment OWNER muniment"+in)
	dir := t.TempDir()
	c := Config{Data: dir, Name: "Test", Listen: "127.0.0.1:8300", ExternalURL: "https://id.example.org", Database: a.db.DSNOf("muniment", "p", "muniment"),
		Keys: dir + "/keys.db", Register: dir + "/register.json", Lease: "1s"}
	quiet := slog.New(slog.DiscardHandler)
	nodes, stop, err := c.nodes(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	if a.Server, err = New(t.Context(), c, Extra{Passwords: quick, Nodes: nodes, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Server.Close() })
	if _, a.owner, err = a.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}}); err != nil {
		t.Fatal(err)
	}
	a.org = must[*munimentv1.ListOrganizationsResponse](t)(a.API.Organization.ListOrganizations(a.asOwner(), &munimentv1.ListOrganizationsRequest{})).GetOrganizations()[0].GetId()
	return a
}

func (a *ailing) asOwner() context.Context {
	return call.WithCaller(call.WithFacts(a.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: a.owner})
}

// answer is what a client gets for a request.
func (a *ailing) answer(method, path string) (status int, text string) {
	a.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	b, err := io.ReadAll(w.Body)
	if err != nil {
		a.Fatal(err)
	}
	return w.Code, string(b)
}

// change creates a user, as a client who comes over the network would: a request
// that the server refuses before it looks at it creates none.
func (a *ailing) change() error {
	if status, text := a.answer(http.MethodPost, "/muniment.v1.UserService/CreateUser"); status == http.StatusServiceUnavailable {
		return fault.New(fault.Unavailable, "%s", text)
	}
	res, err := a.API.User.CreateUser(a.asOwner(), &munimentv1.CreateUserRequest{OrganizationId: a.org, Email: event.NewID().String() + "@example.org", GivenName: "Ada"})
	if err == nil {
		a.users = append(a.users, res.GetUserId())
	}
	return err
}

// becomes waits until /readyz says something.
func (a *ailing) becomes(status int, says string) {
	a.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		is, text := a.answer(http.MethodGet, "/readyz")
		if is == status && strings.Contains(text, says) {
			return
		}
		if time.Now().After(end) {
			a.Fatalf("/readyz says %d %q, want %d %q", is, text, status, says)
		}
	}
}

// fails wants changes to be refused with what to do, however many are tried.
func (a *ailing) fails(says string) {
	a.Helper()
	for end := time.Now().Add(time.Minute); ; {
		err := a.change()
		if err != nil && strings.Contains(err.Error(), says) && strings.Contains(err.Error(), "nothing was changed") {
			return
		}
		if time.Now().After(end) {
			a.Fatalf("a change: %v, want %q", err, says)
		}
	}
}

// whole wants everything that was acknowledged to be there, and the log to be in order.
func (a *ailing) whole() {
	a.Helper()
	a.becomes(http.StatusOK, "ready")
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := a.change()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			a.Fatalf("it does not go on: %v", err)
		}
	}
	for _, id := range a.users {
		if _, err := a.API.User.GetUser(a.asOwner(), &munimentv1.GetUserRequest{UserId: id}); err != nil {
			a.Errorf("user %s was acknowledged: %v", id, err)
		}
	}
	if err := logtest.Check(a.Context(), a.Core.Log.Store(), a.Core.Log.ID()); err != nil {
		a.Error(err)
	}
}

const disconnect = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'muniment'"

// Issue 4: whatever state PostgreSQL is in that keeps changes from being made is
// named in /readyz and to clients, with what to do; the same process goes on when
// it ends, and nothing that was acknowledged is lost.
func TestDatabaseStates(t *testing.T) {
	postgres.SkipIfChosen(t)
	a := newAiling(t, "")
	for _, x := range []struct {
		name       string
		begin, end func()
		says       string
	}{
		{"no connection left", func() { a.db.Exec(t, "", "ALTER ROLE muniment CONNECTION LIMIT 0", disconnect) },
			func() { a.db.Exec(t, "", "ALTER ROLE muniment CONNECTION LIMIT -1") }, "raise max_connections"},
		{"stopped", func() { a.db.Stop(postgres.Fast) }, func() { a.db.Start(t) }, "PostgreSQL does not answer; check that it runs"},
		{"standby", func() { a.db.Demote(t) }, func() { a.db.Promote(t) }, "read-only standby"},
		{"read only", func() {
			a.db.Exec(t, "", "ALTER ROLE muniment SET default_transaction_read_only = on", disconnect)
		}, func() { a.db.Exec(t, "", "ALTER ROLE muniment RESET default_transaction_read_only", disconnect) }, "default_transaction_read_only"},
		{"privilege", func() { a.db.Exec(t, "muniment", "REVOKE UPDATE ON muniment.log_head FROM muniment") },
			func() { a.db.Exec(t, "muniment", "GRANT UPDATE ON muniment.log_head TO muniment") }, "lacks a privilege"},
	} {
		t.Run(x.name, func(t *testing.T) {
			a.T = t
			if err := a.change(); err != nil {
				t.Fatal(err)
			}
			x.begin()
			a.becomes(http.StatusServiceUnavailable, x.says)
			a.fails(x.says)
			x.end()
			a.whole()
		})
	}
}

// A database whose disk is full says so, to balancers too, who would keep
// commits away and find nothing out; with room it goes on. It needs a small file
// system, which only root can make.
func TestDatabaseDiskFull(t *testing.T) {
	postgres.SkipIfChosen(t)
	dir, err := os.MkdirTemp("", "small-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=48m,mode=777", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be made here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "--lazy", dir).Run() })
	if err := errors.Join(os.Chmod(dir, 0o755), postgres.Own(dir)); err != nil {
		t.Fatal(err)
	}
	a := newAiling(t, dir)
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<12); err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	a.fails("disk of PostgreSQL is full; make room")
	a.becomes(http.StatusServiceUnavailable, "disk of PostgreSQL is full; make room")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	a.whole()
}
