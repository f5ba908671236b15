package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"muniment.dev/fault"
)

// ServeReport is what a server takes while nobody asks it for anything. What
// the system does not tell is negative.
type ServeReport struct {
	Start      Duration `json:"start"`          // until it answered, its instance made
	Restart    Duration `json:"restart"`        // the same with the instance there already
	Resident   int64    `json:"resident_bytes"` // right after that
	Afterwards int64    `json:"resident_bytes_after_idling"`
	Idle       Duration `json:"idle"`     // how long it was watched
	CPU        Duration `json:"idle_cpu"` // that it took meanwhile
}

// The most that a server may take at its start and when it is idle.
const (
	residentTarget = 80 << 20
	idleTarget     = 0.01 // of one core
)

// serve starts the real program on a free port with a fresh data directory,
// stops it, starts it again, and watches it idle.
func (b *bench) serve(ctx context.Context) error {
	binary := b.Binary
	if binary == "" {
		var err error
		if binary, err = os.Executable(); err != nil {
			return fault.Wrap("find this program", err)
		}
	}
	r := &ServeReport{Idle: Duration(b.Sustain / 2)}
	b.say("serve: starting a server, twice")
	data := filepath.Join(b.dir, "serve")
	s, err := startServer(ctx, binary, data)
	if err != nil {
		return err
	}
	r.Start = Duration(s.ready)
	if err := s.stop(); err != nil {
		return err
	}
	if s, err = startServer(ctx, binary, data); err != nil {
		return err
	}
	defer s.stop()
	r.Restart, r.Resident = Duration(s.ready), resident(s.cmd.Process.Pid)
	b.say("serve: watching it idle for %s", r.Idle)
	cpu := cpuTime(s.cmd.Process.Pid)
	select {
	case <-time.After(time.Duration(r.Idle)):
	case <-ctx.Done():
		return ctx.Err()
	}
	r.CPU, r.Afterwards = Duration(-1), resident(s.cmd.Process.Pid)
	if cpu >= 0 {
		r.CPU = Duration(cpuTime(s.cmd.Process.Pid) - cpu)
	}
	b.report.Serve = r
	return nil
}

// watched is a server that was started to be watched.
type watched struct {
	cmd    *exec.Cmd
	output *lockedBuffer
	ready  time.Duration
	gone   chan struct{} // closed when it has ended
	ended  error         // how, then
}

func (s *watched) hasEnded() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// startServer starts a server and waits until it answers.
func startServer(ctx context.Context, binary, data string) (*watched, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &watched{output: &lockedBuffer{}, gone: make(chan struct{})}
	s.cmd = exec.Command(binary, "serve", "--data", data, "--listen", address)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	start := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fault.Wrap("start "+binary, err)
	}
	go func() { s.ended = s.cmd.Wait(); close(s.gone) }()
	for time.Since(start) < 30*time.Second && ctx.Err() == nil && !s.hasEnded() {
		if answers(ctx, "http://"+address+"/") {
			s.ready = time.Since(start)
			return s, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.stop()
	return nil, fault.New(fault.Unavailable, "the server did not answer; it said:\n%s", s.output)
}

// answers reports whether a server answers at an address, with whatever.
func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return true
}

// stop ends the server in order. It may be called again.
func (s *watched) stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.cmd.Process.Kill() // not every system can interrupt
	}
	select {
	case <-s.gone:
	case <-time.After(15 * time.Second):
		s.cmd.Process.Kill()
		<-s.gone
	}
	if s.ended != nil {
		return fault.New(fault.Unavailable, "the server did not stop in order (%v); it said:\n%s", s.ended, s.output)
	}
	return nil
}

// freeAddress is one on loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fault.Wrap("find a free port", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// lockedBuffer keeps what a process says.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was said so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (r *ServeReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nA server that nobody asks anything\n\n")
	fmt.Fprintf(w, "  answers after      %s with a new instance, %s with one that is there\n", r.Start, r.Restart)
	if r.Resident < 0 {
		fmt.Fprintln(w, "  memory and CPU     this system does not tell")
		return
	}
	fmt.Fprintf(w, "  resident memory    %.1f MiB at its start, %.1f MiB after %s; wanted < %d MiB at its start\n",
		float64(r.Resident)/(1<<20), float64(r.Afterwards)/(1<<20), r.Idle, residentTarget>>20)
	fmt.Fprintf(w, "  idle CPU           %s in %s, %.2f %% of one core; wanted < %.0f %%\n", r.CPU, r.Idle,
		100*time.Duration(r.CPU).Seconds()/time.Duration(r.Idle).Seconds(), 100*idleTarget)
}
