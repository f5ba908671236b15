package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muniment.dev/internal/postgres"
	"muniment.dev/server"
)

// The commands of the page about moving a log, and those of the page about
// backups that name a database, do what they say, with PostgreSQL.
func TestHowToDatabases(t *testing.T) {
	postgres.SkipIfChosen(t)
	cluster := postgres.Shared(t)
	sh := startShell(t, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=")
	s, err := server.New(t.Context(), server.Config{Data: filepath.Join(sh.dir, "data"), Listen: "127.0.0.1:8300"}, server.Extra{Passwords: cheap})
	if err != nil {
		t.Fatal(err)
	}
	key := s.Core.Instance.CheckpointKey
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	places := map[string]string{}
	place := func(named string) string {
		if places[named] == "" {
			places[named] = "'" + cluster.NewDatabase(t) + "'"
		}
		return places[named]
	}
	of := regexp.MustCompile(`postgres://[a-z@./]+`)
	served := 0
	run := func(commands, want string) {
		t.Helper()
		var printed strings.Builder
		for line := range strings.SplitSeq(strings.TrimSpace(of.ReplaceAllStringFunc(commands, place)), "\n") {
			if !strings.HasPrefix(line, "muniment serve ") {
				printed.WriteString(sh.run(line) + "\n")
				continue
			}
			sh.background("exec "+line+" --data node --listen "+freeAddress(t), "serve")
			sh.await("serve", `(?m)^Log verifier key: (\S+)$`)
			sh.run("kill $background; wait; background=")
			served++
		}
		if !regexp.MustCompile(want).MatchString(printed.String()) {
			t.Errorf("%s\nprinted\n%s\nwithout %s", commands, printed.String(), want)
		}
	}
	move, backup := fences(t, "move", "muniment "), fences(t, "backup", "postgres://")
	if len(move) != 3 || len(backup) != 2 {
		t.Fatalf("%d and %d pieces", len(move), len(backup))
	}
	run(move[0], `(?s)is copied, and gives the same tree.*keys +\d+ keys`)
	run("mkdir backups keys-backups\n"+backup[0], `file +\S*backups/muniment-\S+\.jsonl`)
	run("log=$(ls backups/*.jsonl) keys=$(ls keys-backups/*.tar)\n"+backup[1], `(?s)is restored.*The server may be started`)
	run("muniment verify postgres://muniment@db.example.com/restored --key '"+key+"' --open --keys-db postgres://muniment@keys.example.com/restored --root-key data/root.key", `VERIFIED`)
	run(move[1], `is copied, and gives the same tree`)
	run("muniment verify back --key '"+key+"' --register data/register.json --open --root-key data/root.key", `VERIFIED`)
	run(move[2], `(?s)The dump is whole.*The dump is whole.*gives the same tree`)
	if served != 1 {
		t.Errorf("%d servers were started", served)
	}
}

// fences are the commands of a page that hold a text.
func fences(t *testing.T, page, with string) (out []string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/how-to/" + page + ".md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fenced.FindAllStringSubmatch(string(b), -1) {
		if m[1] == "sh" && strings.Contains(m[2], with) {
			out = append(out, m[2])
		}
	}
	return out
}
