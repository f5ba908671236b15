package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muniment.dev/fault"
	"muniment.dev/server"
)

// The commands of the how-to about backups do what it says, beside a running
// server; and a server goes on with what they restored, where the first left
// off.
func TestHowToBackup(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	sh := startShell(t, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=")
	sh.background("exec muniment serve --data data --listen "+address, "serve")
	key := sh.await("serve", `(?m)^Log verifier key: (\S+)$`)
	sh.await("serve", `(?m)^  (http\S+/setup/\S+)$`)
	ran := 0
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "sh" {
			continue
		}
		printed := sh.run(strings.ReplaceAll(m[2], "the key that serve printed", key))
		for command, want := range map[string]string{"muniment backup ": `verified +yes, with the key`, "sha256sum": `"holds": "log"`, "muniment restore ": `restored is restored`, "register show": `continues what the register knows|shorter than the register`} {
			if strings.Contains(m[2], command) && !regexp.MustCompile(want).MatchString(printed) {
				t.Errorf("%sprinted\n%s\nwithout %s", m[2], printed, want)
			}
		}
		ran++
	}
	if ran != 4 {
		t.Errorf("%d pieces of the document were run", ran)
	}
}

// A server goes on with a restored directory if it is the newest state, and
// refuses it if it is not, saying what it saw.
func TestServeRestored(t *testing.T) {
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
