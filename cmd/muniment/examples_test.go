package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muniment.dev/internal/postgres"
)

// The examples do what their pages say: every command runs in one shell against
// a real server, in the order of the page, and prints what stands there.
func TestExamples(t *testing.T) {
	postgres.SkipIfChosen(t) // one of them verifies a directory
	in := install(t)
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "muniment.dev/examples/...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	adapt := strings.NewReplacer("go run ./examples/", bin+"/", "http://localhost:8300", in.url, "the key that serve printed", in.key, "verify data", "verify "+in.data)
	sh := startShell(t, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "DISPLAY=:0", "PERSON_EMAIL="+in.owner.email, "PERSON_PASSWORD="+in.owner.password)
	sh.run("cd '" + root + "'")
	runPage(t, sh, adapt, "README.md", 1)
	for _, x := range []struct {
		page   string
		pieces int
	}{{"orders", 4}, {"bank", 3}, {"health", 4}, {"household", 3}} {
		t.Run(x.page, func(t *testing.T) { runPage(t, sh, adapt, x.page+"/README.md", x.pieces) })
	}
}

// runPage runs the pieces of a page. A piece of text is what the commands before
// it print; … in it is anything.
func runPage(t *testing.T, sh *shell, adapt *strings.Replacer, page string, pieces int) {
	t.Helper()
	sh.t = t
	printed, ran := "", 0
	for _, m := range fenced.FindAllStringSubmatch(read(t, "../../examples/"+page), -1) {
		switch m[1] {
		case "sh":
			printed = sh.run(adapt.Replace(m[2]))
			ran++
		case "text":
			want := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(m[2])), "…", ".+")
			if !regexp.MustCompile("^" + want + "$").MatchString(strings.TrimSpace(printed)) {
				t.Errorf("%s: the commands printed\n%s\nwant\n%s", page, printed, m[2])
			}
		}
	}
	if ran != pieces {
		t.Errorf("%s: %d pieces were run, want %d", page, ran, pieces)
	}
}
