package server

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/internal/postgres"
	"muniment.dev/ops/doctor"
	"muniment.dev/seal"
	"muniment.dev/session/signin"
	"muniment.dev/user"
)

// documented returns the statements of the first block of SQL in a document,
// without what is said to psql.
func documented(t *testing.T, path string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "```sql\n")
	text, _, _ = strings.Cut(text, "```")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, ";") {
			all = append(all, line)
		}
	}
	return all
}

// roled makes databases and roles as the document says, with passwords.
func roled(t *testing.T) (db *postgres.Cluster, c Config) {
	t.Helper()
	db = postgres.Start(t, postgres.Options{Settings: map[string]string{"wal_recycle": "off", "wal_keep_size": "0"}})
	statements := documented(t, "../docs/how-to/postgresql.md")
	if len(statements) < 8 || !strings.HasPrefix(statements[0], "CREATE DATABASE muniment") {
		t.Fatalf("the document says %q", statements)
	}
	db.Exec(t, "", statements[0])
	db.Exec(t, "muniment", statements[1:]...)
	for line := range strings.Lines(pglog.DefaultRoles().SQL("muniment")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") && !strings.Contains(strings.Join(statements, "\n"), strings.ReplaceAll(line, `"`, "")) {
			t.Errorf("the document lacks %s", line)
		}
	}
	db.Exec(t, "", "CREATE ROLE muniment_keys_owner LOGIN", "CREATE ROLE muniment_keys LOGIN", "CREATE DATABASE muniment_keys OWNER muniment_keys_owner", "GRANT pg_checkpoint TO muniment_keys")
	db.Exec(t, "muniment_keys", "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO muniment_keys")
	as := func(role, database string) string {
		db.Exec(t, "", "ALTER ROLE "+role+" PASSWORD 'p'")
		return db.DSNOf(role, "p", database)
	}
	if err := seal.MigrateKeys(t.Context(), as("muniment_keys_owner", "muniment_keys"), "muniment_keys"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return db, Config{Data: dir, Name: "Test", Listen: "127.0.0.1:8300", ExternalURL: "https://id.example.org", Register: dir + "/register.json",
		Database: as("muniment_serve", "muniment"), DatabaseOwner: as("muniment_migrate", "muniment"), DatabaseErase: as("muniment_erase", "muniment"), Keys: as("muniment_keys", "muniment_keys")}
}

// With the roles of the document people are registered, sign in and are erased,
// and doctor has nothing to say; a later start needs no owner (issue 4, 1).
func TestDatabaseRoles(t *testing.T) {
	postgres.SkipIfChosen(t)
	db, c := roled(t)
	s, err := New(t.Context(), c, Extra{Passwords: quick})
	if err != nil {
		t.Fatal(err)
	}
	_, owner, err := s.Core.SetUp(t.Context(), Owner{Email: ownerEmail, Names: user.Names{Given: "Grace"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := call.WithCaller(call.WithFacts(t.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: owner})
	org := must[*munimentv1.ListOrganizationsResponse](t)(s.API.Organization.ListOrganizations(ctx, &munimentv1.ListOrganizationsRequest{})).GetOrganizations()[0].GetId()
	pass := "four words of one"
	id := must[*munimentv1.CreateUserResponse](t)(s.API.User.CreateUser(ctx, &munimentv1.CreateUserRequest{OrganizationId: org, Email: "ada@example.org", GivenName: "Ada", Password: &pass})).GetUserId()
	must[signin.Session](t)(s.SignIn.SignIn(call.WithFacts(t.Context(), call.Facts{}), signin.Attempt{Email: "ada@example.org", Password: pass}))
	must[*munimentv1.EraseUserResponse](t)(s.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: id}))
	wait, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Core.Erasure.Wait(wait, event.SubjectID{ID: event.MustID(id)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.DatabaseOwner = ""
	if s, err = New(t.Context(), c, Extra{Passwords: quick}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u := must[*munimentv1.GetUserResponse](t)(s.API.User.GetUser(ctx, &munimentv1.GetUserRequest{UserId: id})).GetUser()
	if !u.GetEmail().GetErased() || u.GetEmail().GetValue() != "" {
		t.Errorf("who was erased reads %v", u)
	}
	diagnosed(t, c, doctor.OK, "")
	db.Set(t, "log_statement", "'all'")
	diagnosed(t, c, doctor.Problem, "writes statements into its own log")
	c.Database = strings.Replace(c.Database, ":p@", ":wrong@", 1)
	diagnosed(t, c, doctor.Problem, "refuses the user or the password")
}

// diagnosed wants doctor to say something about the database.
func diagnosed(t *testing.T, c Config, level doctor.Level, says string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; { // settings take effect in their own time
		all, err := c.Doctor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if f.About == "database" && f.Level == level && strings.Contains(f.Says, says) {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("want %s %q about the database: %+v", level, says, all)
		}
	}
}
