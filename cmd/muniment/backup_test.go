package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
	"muniment.dev/server"
)

// The commands of the pages about operating and backups do what they say, beside
// a running server.
func TestHowToOperate(t *testing.T) {
	postgres.SkipIfChosen(t)
	var text []byte
	for _, name := range []string{"operate", "backup"} {
		b, err := os.ReadFile("../../docs/how-to/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b...)
	}
	address := freeAddress(t)
	sh := startShell(t, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=")
	sh.background("exec muniment serve --data data --listen "+address, "serve")
	key := sh.await("serve", `(?m)^Log verifier key: (\S+)$`)
	link := sh.await("serve", `(?m)^  (http\S+/setup/\S+)$`)
	ran := 0
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "sh" || strings.Contains(m[2], "postgres://") { // see TestHowToDatabases
			continue
		}
		printed := sh.run(strings.ReplaceAll(m[2], "the key that serve printed", key))
		for command, want := range map[string]string{"muniment backup ": `verified +yes, with the key`, "--since": `(?s)of it +[\d,]+ records?, what came after.*VERIFIED`, "sha256sum": `"holds": "log"`, "muniment restore ": `restored is restored`, "register show": `continues what the register knows|shorter than the register`,
			"muniment status data\n": `(?s)Running since.*the log continues it`, "--json": `"running": true`, "doctor": `(?s)OK +server +runs since.*0 problems`, "views check": `are what the log says`} {
			if strings.Contains(m[2], command) && !regexp.MustCompile(want).MatchString(printed) {
				t.Errorf("%sprinted\n%s\nwithout %s", m[2], printed, want)
			}
		}
		ran++
	}
	if ran != 9 {
		t.Errorf("%d pieces of the document were run", ran)
	}
	sh.run("kill $background; wait; background=")
	beginsGeneration(t, sh, string(text), path.Base(link))
}

// beginsGeneration runs what the page says about a backup that is not the newest:
// somebody uses the link for the owner, which is not in it.
func beginsGeneration(t *testing.T, sh *shell, page, link string) {
	t.Helper()
	s, err := server.New(t.Context(), server.Config{Data: filepath.Join(sh.dir, "data"), Listen: "127.0.0.1:8300"}, server.Extra{Passwords: cheap})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SignIn.UseSetup(t.Context(), link, "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^   (muniment generation begin restored .*)$`).FindAllStringSubmatch(page, -1)
	if len(commands) != 2 {
		t.Fatalf("the page has %d commands about generations", len(commands))
	}
	if printed := sh.run(commands[0][1] + " || test $? -eq 1"); !strings.Contains(printed, "missing here") || !strings.Contains(printed, "Nothing was changed") {
		t.Errorf("without --force: %s", printed)
	}
	if printed := sh.run(commands[1][1]); !strings.Contains(printed, "goes on in a new generation") {
		t.Errorf("with --force: %s", printed)
	}
}

// A server goes on with a restored directory if it is the newest state, and
// refuses it if it is not, saying what it saw.
func TestServeRestored(t *testing.T) {
	postgres.SkipIfChosen(t)
	dir := t.TempDir()
	data, register := filepath.Join(dir, "data"), filepath.Join(dir, "register.json")
	open := func(data string) (*server.Server, error) {
		return server.New(t.Context(), server.Config{Data: data, Register: register, Listen: "127.0.0.1:8300"}, server.Extra{Passwords: cheap})
	}
	s, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	size := s.Core.Log.Mark().Size
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	muniment := func(args ...string) string {
		t.Helper()
		p := start(t, nil, "muniment", args...)
		<-p.exited
		if p.err != nil {
			t.Fatalf("%v: %v\n%s", args, p.err, p.errors())
		}
		return p.text()
	}
	muniment("backup", data, "--to", dir+"/log.tar", "--keys-to", dir+"/keys.tar", "--register", register)
	restore := func(to string) string {
		return muniment("restore", dir+"/log.tar", "--keys-from", dir+"/keys.tar", "--root-key", data+"/root.key", "--register", register, "--to", to)
	}
	restore(dir + "/newest")
	s, err = open(dir + "/newest")
	if err != nil {
		t.Fatal(err)
	}
	if s.Core.Created || s.Core.Log.Mark().Size < size {
		t.Errorf("the restored server begins anew: %d records, had %d", s.Core.Log.Mark().Size, size)
	}
	if _, _, err := s.Core.SetUp(t.Context(), server.Owner{Email: "owner@example.org"}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if out := restore(dir + "/older"); !strings.Contains(out, "will not write to it") {
		t.Errorf("restored: %s", out)
	}
	if _, err := open(dir + "/older"); !fault.Is(err, fault.Refused) || !strings.Contains(fault.Public(err), "shorter than the register") {
		t.Errorf("opened an older state: %v", err)
	}
}

// Beside a running server and without one, status and views answer; a rebuild
// that is interrupted leaves the views as they were.
func TestStatusAndViews(t *testing.T) {
	postgres.SkipIfChosen(t)
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, nil, "muniment", "serve", "--data", data, "--listen", "127.0.0.1:0")
	p.await(`(?m)^  (http\S+/setup/\S+)$`)
	expect := func(want string, args ...string) {
		t.Helper()
		q := start(t, nil, "muniment", args...)
		<-q.exited
		if q.err != nil || !regexp.MustCompile(want).MatchString(q.text()) {
			t.Errorf("%v: %v\n%s%s", args, q.err, q.text(), q.errors())
		}
	}
	look := func(running string) {
		expect(running, "status", data)
		expect(`"agrees": true`, "status", "--json", data)
		expect(`(?s)at the end of the log.*users`, "views", "status", data)
		expect(`are what the log says`, "views", "check", data)
		expect(`were rebuilt`, "views", "rebuild", data)
	}
	look(`(?s)^Running since .*checkpoint +covers.*the log continues it`)
	for range 3 {
		q := start(t, nil, "muniment", "views", "rebuild", data)
		q.signal(syscall.SIGKILL)
		<-q.exited
	}
	expect(`are what the log says`, "views", "check", data)
	p.signal(syscall.SIGTERM)
	<-p.exited
	look(`^Not running`)
}
