package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"muniment.dev/internal/postgres"
)

// The test binary is also the programs that the tests run: muniment itself, the
// opener of a browser with a person before it, and the writer that is killed.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"muniment": main, "xdg-open": openAsPerson, "open": openAsPerson, "writer": write, "hoster": host, "deliverer": deliver, "crew": crewMember, "publisher": publisher, "victim": victim, "supervised": supervised})
}

// Each script is one behaviour of the program on the command line.
func TestScripts(t *testing.T) {
	postgres.SkipIfChosen(t)
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		for _, v := range os.Environ() {
			if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "MUNIMENT_") {
				env.Setenv(name, "")
			}
		}
		return nil
	}, Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits}})
}

// exits CODE COMMAND ... runs a command that ends with an exit code other than 0.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var e *exec.ExitError
	if !errors.As(err, &e) || strconv.Itoa(e.ExitCode()) != args[0] {
		ts.Fatalf("%v, want exit code %s\n%s", err, args[0], ts.ReadFile("stderr"))
	}
}

// program is a running program.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait, once exited is closed

	mu     sync.Mutex
	stdout []string // lines
	grown  chan struct{}
	stderr bytes.Buffer
}

// start starts a program with an environment of its own, and ends it with the
// test.
func start(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(clean(os.Environ()), env...)
	return startAs(t, cmd, cmd.Start)
}

// startAs starts a command by a function, and ends it with the test.
func startAs(t *testing.T, cmd *exec.Cmd, begin func() error) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, exited: make(chan struct{}), grown: make(chan struct{})}
	p.cmd.Stderr = locked{&p.mu, &p.stderr}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.read(out)
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s\n%s\n%s", strings.Join(cmd.Args, " "), p.text(), p.errors())
		}
	})
	return p
}

// clean is an environment without what could change what a program does.
func clean(env []string) (out []string) {
	for _, v := range env {
		if !strings.HasPrefix(v, "MUNIMENT_") && !strings.HasPrefix(v, "DISPLAY=") && !strings.HasPrefix(v, "WAYLAND_DISPLAY=") {
			out = append(out, v)
		}
	}
	return out
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// read keeps whole lines; what stands after the last line break is not kept.
func (p *program) read(out io.Reader) {
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		p.mu.Lock()
		if err == nil {
			p.stdout = append(p.stdout, strings.TrimSuffix(line, "\n"))
		}
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.stdout, "\n")
}

func (p *program) errors() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// await waits until the program has printed something and returns the first
// group of the pattern, or all of the match.
func (p *program) await(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	limit := time.After(30 * time.Second)
	for over := false; ; {
		p.mu.Lock()
		m, grown := re.FindStringSubmatch(strings.Join(p.stdout, "\n")), p.grown
		p.mu.Unlock()
		if m != nil {
			return m[len(m)-1]
		}
		if over {
			p.t.Fatalf("%s ended (%v) without %q", p.cmd.Args[0], p.err, pattern)
		}
		select {
		case <-grown:
		case <-p.exited:
			over = true
		case <-limit:
			p.t.Fatalf("%s did not print %q", p.cmd.Args[0], pattern)
		}
	}
}

// wait waits for the end of the program and returns its exit code and how long
// that took.
func (p *program) wait() (code int, took time.Duration) {
	p.t.Helper()
	begun := time.Now()
	select {
	case <-p.exited:
	case <-time.After(60 * time.Second):
		p.t.Fatalf("%s does not end", p.cmd.Args[0])
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(begun)
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// stop ends a server as an operator does.
func (p *program) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code, _ := p.wait(); code != 0 {
		p.t.Fatalf("after SIGTERM the exit code is %d", code)
	}
}

// finish runs a program to its end and returns what it printed.
func finish(t *testing.T, env []string, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	p := start(t, env, name, args...)
	code, _ = p.wait()
	return p.text(), p.errors(), code
}

// done is finish for what must work.
func done(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	stdout, stderr, code := finish(t, env, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s\n%s", name, strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// installation is a server on a fresh directory, whose owner has chosen a
// password.
type installation struct {
	*program
	url, data, key, link string
	stores               []string // environment that says where its stores are, if not in the directory
	owner                *person
	config               []string // environment of the owner's command line
}

const ownerPassword = "correct horse battery"

// install starts a server and opens the one-time link.
func install(t *testing.T, flags ...string) *installation {
	t.Helper()
	return installIn(t, t.TempDir(), flags...)
}

// installIn is install in a directory.
func installIn(t *testing.T, data string, flags ...string) *installation {
	t.Helper()
	in := serve(t, stores(t), data, flags...)
	in.link = in.await(`^  (http\S+/setup/\S+)$`)
	in.owner = newPerson(t, "admin@localhost", ownerPassword)
	in.owner.useLink(in.link)
	in.config = []string{"XDG_CONFIG_HOME=" + filepath.Join(t.TempDir(), "config"), "HOME=" + t.TempDir()}
	return in
}

// stores is the environment that puts the log and the keys where the test is to
// run: see postgres.Chosen.
func stores(t *testing.T) []string {
	t.Helper()
	log, keys, ok := postgres.Chosen(t)
	if !ok {
		return nil
	}
	return []string{"MUNIMENT_DATABASE=" + log, "MUNIMENT_KEYS=" + keys, "MUNIMENT_REGISTER=" + filepath.Join(t.TempDir(), "register.json")}
}

// serve starts a server, on any free port if the flags do not say where.
func serve(t *testing.T, stores []string, data string, flags ...string) *installation {
	t.Helper()
	if !slices.Contains(flags, "--listen") {
		flags = append(slices.Clone(flags), "--listen", "127.0.0.1:0")
	}
	in := &installation{data: data, stores: stores, program: start(t, stores, "muniment", append([]string{"serve", "--data", data}, flags...)...)}
	in.url = in.await(`^Muniment serves (\S+)`)
	in.key = in.await(`^Log verifier key: (\S+)`)
	return in
}

// again starts a server on the directory and the address of one that stopped.
func (in *installation) again(flags ...string) *installation {
	in.t.Helper()
	next := serve(in.t, in.stores, in.data, append([]string{"--listen", in.address()}, flags...)...)
	next.owner, next.config, next.link = in.owner, in.config, in.link
	return next
}

// address is where a server on loopback listens.
func (in *installation) address() string {
	_, port, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(in.url, "http://"), "https://"), ":")
	return "127.0.0.1:" + port
}
