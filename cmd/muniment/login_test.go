package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
)

// cli runs a command of the owner, who is signed in.
func (in *installation) cli(args ...string) string {
	in.t.Helper()
	return done(in.t, in.config, "muniment", args...)
}

// login signs the owner's command line in through the browser, and answers the
// access token that it keeps.
func (in *installation) login() string {
	in.t.Helper()
	saw := filepath.Join(in.t.TempDir(), "saw")
	env := append([]string{"DISPLAY=:0", "PERSON_EMAIL=" + in.owner.email, "PERSON_PASSWORD=" + in.owner.password, "PERSON_SAW=" + saw}, in.config...)
	out := done(in.t, env, "muniment", "login", "--url", in.url)
	if !strings.HasPrefix(out, "Signed in to "+in.url+" until ") {
		in.t.Fatalf("login prints %q", out)
	}
	until, err := time.ParseInLocation(time.DateTime, regexpFirst(in.t, `until (.+)\.$`, out), time.Local)
	if left := time.Until(until); err != nil || left < 50*time.Minute || left > time.Hour {
		in.t.Errorf("the sign-in lasts %v: %v", left, err)
	}
	if page, _ := os.ReadFile(saw); !strings.Contains(string(page), "Signed in") {
		in.t.Errorf("in the browser stands %q", page)
	}
	return in.token()
}

// token is the access token that the command line keeps.
func (in *installation) token() string {
	in.t.Helper()
	var kept struct {
		Servers map[string]struct {
			AccessToken string `json:"access_token"`
		} `json:"servers"`
	}
	path := filepath.Join(strings.TrimPrefix(in.config[0], "XDG_CONFIG_HOME="), "muniment", "credentials.json")
	b, err := os.ReadFile(path)
	if err != nil {
		in.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &kept); err != nil {
		in.t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		in.t.Errorf("others can read the token: %v %v", info, err)
	}
	return kept.Servers[in.url].AccessToken
}

// organization is the id of the organization that the owner belongs to.
func (in *installation) organization() string {
	in.t.Helper()
	var list struct{ Organizations []struct{ ID string } }
	decode(in.t, in.cli("organization", "list", "--output", "json"), &list)
	if len(list.Organizations) != 1 {
		in.t.Fatalf("there are %d organizations", len(list.Organizations))
	}
	return list.Organizations[0].ID
}

// watch watches events until the stream ends, and tells how.
func (in *installation) watch(token string) <-chan error {
	in.t.Helper()
	c := connectv1.NewEventServiceClient(bearing{http.DefaultClient, token}, in.url)
	stream, err := c.WatchEvents(context.Background(), &munimentv1.WatchEventsRequest{OnlyNew: true})
	if err != nil || !stream.Receive() {
		in.t.Fatalf("watch events: %v %v", err, stream.Err())
	}
	ended := make(chan error, 1)
	go func() {
		for stream.Receive() {
		}
		ended <- stream.Err()
		stream.Close()
	}()
	return ended
}

// bearing sends an access token.
type bearing struct {
	client *http.Client
	token  string
}

func (b bearing) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.client.Do(r)
}

// The command line signs in through the browser, and asks and changes what its
// owner may.
func TestLogin(t *testing.T) {
	in := install(t)
	_, stderr, code := finish(t, in.config, "muniment", "user", "list", "--url", in.url)
	if code != 1 || !strings.Contains(stderr, "Run muniment login") {
		t.Errorf("before login: exit code %d: %s", code, stderr)
	}
	in.login()
	list := in.cli("user", "list")
	if !strings.Contains(list, "admin@localhost") || !strings.Contains(list, "DISPLAY NAME") {
		t.Errorf("user list prints\n%s", list)
	}
	var user struct {
		UserID    string
		SetupLink struct{ URL string }
	}
	decode(t, in.cli("user", "create", "--organization-id", in.organization(), "--email", "ada@example.org", "--given-name", "Ada", "--output", "json"), &user)
	if user.UserID == "" || !strings.HasPrefix(user.SetupLink.URL, in.url+"/setup/") {
		t.Errorf("user create answers %v", user)
	}
	ada := newPerson(t, "ada@example.org", "the analytical engine")
	ada.useLink(user.SetupLink.URL)
	if out := in.cli("user", "lock", user.UserID, "--reason", "a test"); !strings.Contains(out, "position") {
		t.Errorf("user lock prints %s", out)
	}
	_, stderr, code = finish(t, in.config, "muniment", "user", "lock", user.UserID)
	if code != 1 || !strings.Contains(stderr, "user lock: ") || !strings.Contains(stderr, "locked already") {
		t.Errorf("a second lock: exit code %d: %s", code, stderr)
	}
	if out := in.cli("user", "list", "--state", "locked"); !strings.Contains(out, "ada@example.org") || strings.Contains(out, "admin@") {
		t.Errorf("the locked users are\n%s", out)
	}
	events := in.cli("event", "list", "--types", "user.locked")
	if !strings.Contains(events, "user.locked") || !strings.Contains(events, "Administrator") {
		t.Errorf("event list prints\n%s", events)
	}
	var page struct{ Events []struct{ Position string } }
	decode(t, in.cli("event", "list", "--types", "user.locked", "--output", "json"), &page)
	if len(page.Events) != 1 {
		t.Fatalf("%d events", len(page.Events))
	}
	one := in.cli("event", "get", page.Events[0].Position)
	if !strings.Contains(one, "a test") || !strings.Contains(one, "user.locked") || !strings.Contains(one, "cli") {
		t.Errorf("event get prints\n%s", one)
	}
	if me := in.cli("me", "get"); !strings.Contains(me, "admin@localhost") {
		t.Errorf("me get prints\n%s", me)
	}
	if out := in.cli("logout"); !strings.Contains(out, "gone") {
		t.Errorf("logout prints %s", out)
	}
	if _, stderr, code := finish(t, in.config, "muniment", "me", "get"); code == 0 || !strings.Contains(stderr, "muniment login") {
		t.Errorf("after logout: exit code %d: %s", code, stderr)
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// A token from the environment does without login, and without a place to keep
// it; when the session ends, the command says so.
func TestTokenFromEnvironment(t *testing.T) {
	in := install(t)
	token := in.login()
	env := []string{"MUNIMENT_TOKEN=" + token, "MUNIMENT_URL=" + in.url, "XDG_CONFIG_HOME=/nowhere", "HOME=/nowhere"}
	if out := done(t, env, "muniment", "me", "get"); !strings.Contains(out, "admin@localhost") {
		t.Errorf("me get prints\n%s", out)
	}
	var sessions struct{ Sessions []struct{ ID string } }
	var who struct {
		SessionID string
		User      struct{ ID string }
	}
	decode(t, done(t, env, "muniment", "me", "get", "--output", "json"), &who)
	decode(t, done(t, env, "muniment", "session", "list", who.User.ID, "--output", "json"), &sessions)
	if len(sessions.Sessions) == 0 {
		t.Fatal("there are no sessions")
	}
	done(t, env, "muniment", "session", "end", who.SessionID)
	for _, args := range [][]string{{"me", "get"}, {"user", "list"}, {"user", "create", "--email", "x@example.org", "--given-name", "X"}} {
		stdout, stderr, code := finish(t, env, "muniment", args...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "the access token is not good") || !strings.Contains(stderr, "Run muniment login, or set MUNIMENT_TOKEN.") {
			t.Errorf("after the end of the session, %v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

// What is written for people asks a real server with a token, as it does of a
// directory: sums, what happened, one event with its proof, a file. That the log
// was read stands in it.
func TestWordsOfServer(t *testing.T) {
	in := install(t)
	env := []string{"MUNIMENT_TOKEN=" + in.login(), "MUNIMENT_URL=" + in.url, "XDG_CONFIG_HOME=/nowhere", "HOME=/nowhere"}
	say := func(args ...string) string {
		t.Helper()
		return done(t, env, "muniment", args...)
	}
	if out := say("stats"); !strings.Contains(out, "tree depth") || !strings.Contains(out, "user.registered") {
		t.Errorf("stats prints\n%s", out)
	}
	var sums struct{ TotalEvents, Streams string }
	decode(t, say("stats", "--json"), &sums)
	if sums.TotalEvents == "" || sums.Streams == "" {
		t.Errorf("stats as JSON: %+v", sums)
	}
	if out := say("timeline", "--type", "user.*", "--plain"); !strings.Contains(out, "user.registered") || strings.Contains(out, "organization.added") {
		t.Errorf("timeline prints\n%s", out)
	}
	var one struct {
		Type, LeafHash, Result string
		N                      uint64
	}
	decode(t, say("inspect", "1", "--json"), &one)
	if one.N != 1 || one.Type != "instance.created" || len(one.LeafHash) != 64 || !strings.HasPrefix(one.Result, "valid") {
		t.Errorf("inspect as JSON: %+v", one)
	}
	if out := say("event", "export"); !strings.Contains(out, `"complete":"true"`) {
		t.Errorf("the export is not whole:\n%s", out)
	}
	if out := say("timeline", "--type", "audit.read", "--plain"); strings.Count(out, "audit.read") < 3 {
		t.Errorf("that it was read is not all in the log:\n%s", out)
	}
	bad := append([]string{"MUNIMENT_TOKEN=nonsense"}, env[1:]...)
	for _, args := range [][]string{{"stats"}, {"timeline"}, {"inspect", "1"}} {
		if stdout, stderr, code := finish(t, bad, "muniment", args...); code != 1 || stdout != "" || stderr == "" {
			t.Errorf("%v with a token that is none: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

// Without a browser the address is printed, and works when it is opened by
// hand; interrupting it signs nobody in.
func TestLoginWithoutBrowser(t *testing.T) {
	in := install(t)
	p := start(t, in.config, "muniment", "login", "--url", in.url)
	address := in.awaitError(p, `(?m)^(http\S+/oauth/authorize\S+)$`)
	if !strings.Contains(p.errors(), "No browser could be opened") {
		t.Errorf("it says %s", p.errors())
	}
	if at := in.owner.open(address); at.Path != "/callback" || !strings.Contains(in.owner.last, "Signed in") {
		t.Errorf("the browser ends at %s: %s", at, in.owner.last)
	}
	if code, _ := p.wait(); code != 0 {
		t.Fatalf("exit code %d: %s", code, p.errors())
	}
	in.cli("me", "get")

	p = start(t, in.config, "muniment", "login", "--no-browser")
	in.awaitError(p, `(?m)^(http\S+/oauth/authorize\S+)$`)
	p.signal(2)
	if code, took := p.wait(); code != 1 || took > 5*time.Second || !strings.Contains(p.errors(), "interrupted") {
		t.Errorf("interrupted: exit code %d after %v: %s", code, took, p.errors())
	}
}

// awaitError waits for a line among the errors of a program.
func (in *installation) awaitError(p *program, pattern string) string {
	in.t.Helper()
	for range 300 {
		if m := regexpMaybe(pattern, p.errors()); m != "" {
			return m
		}
		time.Sleep(50 * time.Millisecond)
	}
	in.t.Fatalf("no %s in %s", pattern, p.errors())
	return ""
}
