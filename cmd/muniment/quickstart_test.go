package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"muniment.dev/internal/postgres"
)

// shell is a shell that runs one piece of a document after the other.
type shell struct {
	t   *testing.T
	dir string
	in  io.Writer
	out *bufio.Reader
}

// startShell starts a shell in an empty folder. It ends with the test.
func startShell(t *testing.T, env ...string) *shell {
	t.Helper()
	s := &shell{t: t, dir: t.TempDir()}
	c := exec.Command("sh")
	c.Dir, c.Env = s.dir, append(clean(os.Environ()), env...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, bufio.NewReader(out)
	// Also if a command fails, which ends the shell.
	io.WriteString(in, "trap 'kill $background; wait' EXIT\n")
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
	return s
}

// run runs commands and returns what they printed. They must succeed, each.
func (s *shell) run(commands string) string {
	s.t.Helper()
	fmt.Fprintf(s.in, "set -e\n%s\nset +e\necho; echo '=== done'\n", commands)
	var printed strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if line == "=== done\n" {
			return strings.TrimSuffix(printed.String(), "\n")
		}
		printed.WriteString(line)
		if err != nil {
			s.t.Fatalf("these commands ended the shell: %v\n%s\nThey printed\n%s", err, commands, printed.String())
		}
	}
}

// background runs a command that does not end.
func (s *shell) background(commands, name string) {
	s.t.Helper()
	s.run(fmt.Sprintf("{ %s\n} > '%s.out' 2>&1 &\nbackground=\"$background $!\"", commands, filepath.Join(s.dir, name)))
}

// await waits until a command in the background has printed something.
func (s *shell) await(name, pattern string) string {
	s.t.Helper()
	var b []byte
	for range 300 {
		b, _ = os.ReadFile(filepath.Join(s.dir, name+".out"))
		if found := regexpMaybe(pattern, string(b)); found != "" {
			return found
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("%s printed\n%s", name, b)
	return ""
}

var fenced = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// The quickstart does what it says: its commands run in one shell, in their
// order; a person stands in for the browser; its application is built and
// signs the person in.
func TestQuickstart(t *testing.T) {
	postgres.SkipIfChosen(t)
	text, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	server, desk := freeAddress(t), freeAddress(t)
	_, port, _ := strings.Cut(server, ":")
	doc := strings.NewReplacer("localhost:8300", "localhost:"+port, "127.0.0.1:8080", desk, "muniment serve ", "exec muniment serve --listen "+server+" ", "\n./desk", "\nexec ./desk").Replace(string(text))
	owner := newPerson(t, "you@example.org", ownerPassword)
	grace := newPerson(t, "grace@example.org", "nanoseconds of wire")
	sh := startShell(t, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "DISPLAY=:0", "PERSON_EMAIL="+owner.email, "PERSON_PASSWORD="+owner.password)
	ran, key := 0, ""
	for _, m := range fenced.FindAllStringSubmatch(doc, -1) {
		language, block := m[1], strings.ReplaceAll(m[2], "the key that serve printed", key)
		switch {
		case language == "go":
			build(t, block, filepath.Join(sh.dir, "desk"))
			continue
		case language != "sh":
			continue
		case strings.Contains(block, "muniment serve"):
			sh.background(block, "serve")
			owner.useLink(sh.await("serve", `(?m)^  (http\S+/setup/\S+)$`))
			key = sh.await("serve", `(?m)^Log verifier key: (\S+)$`)
		case strings.Contains(block, "./desk"):
			sh.background(block, "desk")
			visit(t, grace, desk, "Welcome, Grace Hopper. Here you are: [approver]\n")
		default:
			check(t, sh, block, grace, desk, sh.run(block))
		}
		ran++
	}
	if ran < 14 {
		t.Errorf("only %d pieces of the document were run", ran)
	}
	labels(t, doc, owner, "http://localhost:"+port)
}

// check looks at what a piece of the document printed.
func check(t *testing.T, sh *shell, block string, grace *person, desk, printed string) {
	t.Helper()
	for command, want := range map[string]string{
		"muniment login": `^Sign in in the browser:\n\S+\nSigned in to `, "openid-configuration": `"issuer"`, "user get ": `\(erased\)`,
		"verify data": `VERIFIED`, "verify-receipt": `(?i)verified|good|in the log`, "event list --user-ids $PERSON --desc": `role.withdrawn|withdr`,
	} {
		if strings.Contains(block, command) && !regexp.MustCompile(want).MatchString(printed) {
			t.Errorf("%sprinted\n%s\nwithout %s", block, printed, want)
		}
	}
	switch {
	case strings.Contains(block, "create-setup-link"):
		grace.useLink(regexpFirst(t, `(?m)^(http\S+/setup/\S+)$`, printed))
	case strings.Contains(block, "withdraw-role"):
		visit(t, grace, desk, "Welcome, Grace Hopper. Here you are: []\n")
	}
}

// visit opens the application, which may still be starting.
func visit(t *testing.T, p *person, address, want string) {
	t.Helper()
	for range 100 {
		if res, err := p.client.Get("http://" + address + "/callback"); err == nil {
			res.Body.Close()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if p.open("http://" + address); p.last != want {
		t.Errorf("the application says %q, want %q", p.last, want)
	}
}

// build builds the application of the document.
func build(t *testing.T, source, to string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gofmt", "-l", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the application is not formatted: %v %s", err, out)
	}
	for _, args := range [][]string{{"vet", path}, {"build", "-o", to, path}} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
	}
}

// labels wants what the document says to click to stand on the console's pages.
func labels(t *testing.T, doc string, owner *person, server string) {
	t.Helper()
	pages := ""
	see := func(path string) string {
		owner.open(server + path)
		pages += owner.last
		return owner.last
	}
	see(regexpFirst(t, `href="(/console/projects/[0-9a-f]{32})"`, see("/console/projects")))
	for _, path := range regexp.MustCompile(`/console/people/[0-9a-f]{32}`).FindAllString(see("/console/people"), -1) {
		see(path)
	}
	found := 0
	for line := range strings.SplitSeq(doc, "\n") {
		if !strings.HasPrefix(line, "*In the console:*") {
			continue
		}
		for _, m := range regexp.MustCompile(`\*\*(.+?)\*\*`).FindAllStringSubmatch(line, -1) {
			if found++; !strings.Contains(pages, ">"+m[1]+"<") && !strings.Contains(pages, "/svg>"+m[1]+"<") {
				t.Errorf("nothing in the console is called %q", m[1])
			}
		}
	}
	if found < 5 {
		t.Errorf("the document names %d things to click", found)
	}
}
