package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muniment.dev/internal/postgres"
)

// The first start prints a one-time link; with it the owner chooses a password
// and is signed in; the second start prints none, and the password is good.
func TestFirstStart(t *testing.T) {
	in := install(t)
	if at := in.owner.open(in.url + "/console/people"); at.Path != "/console/people" || !strings.Contains(in.owner.last, "Administrator") {
		t.Errorf("the owner is led to %s: %s", at, in.owner.title())
	}
	res := newPerson(t, "", "").get(in.link)
	if res.StatusCode != 404 && res.StatusCode != 410 {
		t.Errorf("the link is good twice: %s", res.Status)
	}
	files := []string{"log", "keys.db", "root.key"}
	if in.stores != nil {
		files = []string{"root.key"}
	}
	for _, name := range files {
		if info, err := os.Stat(filepath.Join(in.data, name)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v %v", name, info, err)
		}
	}
	in.stop()
	again := in.again()
	if text := again.text(); strings.Contains(text, "/setup/") || again.key != in.key {
		t.Errorf("the second start prints %s", text)
	}
	p := newPerson(t, "admin@localhost", ownerPassword)
	if at := p.open(again.url + "/console/people"); at.Path != "/console/people" {
		t.Errorf("the owner signs in and is led to %s: %s", at, p.title())
	}
	if text := again.errors(); strings.Contains(text, "admin@localhost") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("the log holds personal data:\n%s", text)
	}
}

// A second process on the same directory, and one on the same address, is told
// why it cannot be.
func TestOnlyOneServer(t *testing.T) {
	postgres.SkipIfChosen(t)
	in := install(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--data", in.data, "--listen", "127.0.0.1:0"}, "another process"},
		{[]string{"setup-link", "admin@localhost", "--data", in.data}, "another process"},
		{[]string{"serve", "--data", t.TempDir(), "--listen", in.address()}, "the address cannot be listened on; is another server running there?"},
	} {
		stdout, stderr, code := finish(t, nil, "muniment", c.args...)
		if code != 1 || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("muniment %s: exit code %d\n%s%s", strings.Join(c.args, " "), code, stdout, stderr)
		}
	}
	if at := in.owner.open(in.url + "/console/people"); at.Path != "/console/people" {
		t.Errorf("afterwards the server leads to %s", at)
	}
}

// An owner who is locked out gets a link from the operator.
func TestSetupLink(t *testing.T) {
	in := install(t)
	in.stop()
	link := strings.SplitN(done(t, in.stores, "muniment", "setup-link", "Admin@localhost", "--data", in.data, "--listen", in.address()), "\n", 2)[0]
	if !strings.HasPrefix(link, in.url+"/setup/") {
		t.Fatalf("the link is %q", link)
	}
	again := in.again()
	p := newPerson(t, "admin@localhost", "another horse battery")
	p.useLink(link)
	if at := newPerson(t, p.email, p.password).open(again.url + "/console/people"); at.Path != "/console/people" {
		t.Errorf("the new password leads to %s", at)
	}
	old := newPerson(t, "admin@localhost", ownerPassword)
	old.fail = func(string, ...any) {}
	if at := old.open(again.url + "/console/people"); at.Path == "/console/people" {
		t.Error("the old password is still good")
	}
}

// Ctrl-C ends the demo at once and leaves nothing; a taken port means the next
// one, and is said.
func TestDemoEnds(t *testing.T) {
	postgres.SkipIfChosen(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	tmp := t.TempDir()
	p := start(t, []string{"TMPDIR=" + tmp}, "muniment", "demo", "--listen", ln.Addr().String(), "--sample", "127.0.0.1:0")
	p.await(`^Port \d+ is taken; the console listens on \d+\.`)
	console := p.await(`^  Console +(http://localhost:\d+)`)
	p.await(`Ctrl-C`)
	owner := newPerson(t, p.await(`^  Sign in as +(\S+)`), p.await(`^  Password +(.*?)  `))
	if at := owner.open(console + "/console/people"); at.Path != "/console/people" || !strings.Contains(owner.last, "Ada Lovelace") {
		t.Errorf("the owner is led to %s: %s", at, owner.title())
	}
	p.signal(syscall.SIGINT)
	if code, took := p.wait(); code != 0 || took > 10*time.Second {
		t.Errorf("after SIGINT: exit code %d after %v", code, took)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}

// A demo that was kept is opened by serve, and not overwritten by a second one.
func TestDemoKept(t *testing.T) {
	postgres.SkipIfChosen(t)
	dir := filepath.Join(t.TempDir(), "kept")
	p := start(t, nil, "muniment", "demo", "--keep", dir, "--listen", "127.0.0.1:0", "--sample", "127.0.0.1:0")
	p.await(`Ctrl-C`)
	key := p.await(`--key '([^']+)'`)
	p.stop()
	_, stderr, code := finish(t, nil, "muniment", "demo", "--keep", dir, "--listen", "127.0.0.1:0", "--sample", "127.0.0.1:0")
	if code != 1 || !strings.Contains(stderr, "muniment serve --data "+dir) {
		t.Errorf("a second demo there: exit code %d: %s", code, stderr)
	}
	if out := done(t, nil, "muniment", "verify", dir, "--key", key, "--quiet"); !strings.Contains(out, "VERIFIED") {
		t.Errorf("verify prints %s", out)
	}
	in := serve(t, nil, dir)
	owner := newPerson(t, "grace@acme.example", ownerPassword)
	if at := owner.open(in.url + "/console/events"); at.Path != "/console/events" {
		t.Errorf("the owner is led to %s: %s", at, owner.title())
	}
	in.stop()
}
