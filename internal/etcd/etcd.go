// Package etcd starts throw-away etcd servers for tests: each in a temporary
// folder, on free ports of the loopback interface, gone with the test. Without
// etcd tests are skipped, or fail where CI=true. MUNIMENT_ETCD names the program
// if it is not on the path.
package etcd

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Server is one etcd with its folder. It may be stopped and started again.
type Server struct {
	Address string // host:port for clients

	program, dir, peer string
	cmd                *exec.Cmd
	gone               chan struct{} // closed when it has ended
}

// Find is the program, or empty.
func Find(getenv func(string) string) string {
	if path := getenv("MUNIMENT_ETCD"); path != "" {
		return path
	}
	path, _ := exec.LookPath("etcd")
	return path
}

// Start starts a server, which ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	program := Find(os.Getenv)
	if program == "" {
		const why = "etcd is not installed: go run ./internal/check install, or name the program in MUNIMENT_ETCD"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	s := &Server{program: program, dir: t.TempDir(), Address: freeAddress(t), peer: freeAddress(t)}
	s.Start(t)
	t.Cleanup(s.Kill)
	return s
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start starts it again where it was.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	client, peer := "http://"+s.Address, "http://"+s.peer
	s.cmd = exec.Command(s.program, "--name", "test", "--data-dir", filepath.Join(s.dir, "data"), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "test="+peer, "--log-level", "error")
	s.cmd.SysProcAttr = dieWithUs()
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		r, err := http.Get(client + "/health")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("health: %s", r.Status)
		}
		if time.Now().After(deadline) {
			t.Fatalf("etcd does not come up: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// launch starts the process on a thread of its own, which lives as long as it:
// Linux ties the death signal to the thread that made the process.
func (s *Server) launch() error {
	s.gone = make(chan struct{})
	started := make(chan error, 1)
	go func(cmd *exec.Cmd, gone chan struct{}) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(gone)
	}(s.cmd, s.gone)
	return <-started
}

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.gone
		s.cmd = nil
	}
}
