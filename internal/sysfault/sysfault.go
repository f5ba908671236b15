//go:build linux && amd64

// Package sysfault lets the system calls of a real program fail, one by one, to
// see what the program makes of it. It is for tests.
//
// The kernel asks before each call that works on a file (seccomp's user
// notification), in one order for all threads of the program; whoever started
// it answers: go on, fail with an error, or the program is killed. A tracer
// such as strace can inject errors as well, but counts the calls of each thread
// by itself, and goroutines change threads: "the third fsync" is then another
// one in each run, or several at once.
package sysfault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Program is the name under which the test binary must be found as a program
// that calls Main.
const Program = "supervised"

// Call is a system call that is about to be made.
type Call struct {
	Name string // "fsync"
	Path string // of the file, absolute; of the new name, for a rename
}

// Answer is what becomes of a call: the zero value lets it happen.
type Answer struct {
	Fail syscall.Errno // it fails with this, and does nothing
	Kill bool          // the program is killed before it
}

// ErrUnsupported says that this machine's kernel, or what confines this
// process, does not let calls be supervised.
var ErrUnsupported = errors.New("system calls cannot be supervised here: that needs Linux 5.19 or newer, and seccomp's user notification allowed")

// Start starts a program, which must not be started yet, as Main starts it:
// decide is asked before each of its calls, one at a time. The returned
// function waits until nobody asks any more, which is when the program and all
// that it started have ended; call it after cmd.Wait.
func Start(cmd *exec.Cmd, decide func(Call) Answer) (finished func(), err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "listener"), os.NewFile(uintptr(pair[1]), "listener")
	defer ours.Close()
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, err
	}
	fd, err := receive(pair[0])
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, ErrUnsupported
	}
	s := &supervisor{fd: fd, process: cmd.Process, decide: decide}
	var wg sync.WaitGroup
	wg.Go(s.run)
	return wg.Wait, nil
}

// Command is the command that runs a program under supervision.
func Command(name string, args ...string) *exec.Cmd {
	return exec.Command(Program, append([]string{name}, args...)...)
}

// receive takes the listener that Main sends.
func receive(socket int) (fd int, err error) {
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(socket, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return 0, errors.Join(err, ErrUnsupported)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return 0, errors.Join(err, ErrUnsupported)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, errors.Join(err, ErrUnsupported)
	}
	return fds[0], nil
}

// The structures of linux/seccomp.h.
type notification struct {
	id   uint64
	pid  uint32
	_    uint32
	nr   int32
	_    uint32
	_    uint64
	args [6]uint64
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// supervisor answers for one program.
type supervisor struct {
	fd      int
	process *os.Process
	decide  func(Call) Answer
}

func (s *supervisor) run() {
	defer unix.Close(s.fd)
	for {
		p := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err != nil && err != unix.EINTR {
			return
		}
		switch {
		case p[0].Revents&unix.POLLIN != 0:
			s.answer()
		case p[0].Revents != 0: // nobody is left to ask
			return
		}
	}
}

// answer answers one question. Who asked may be gone by then.
func (s *supervisor) answer() {
	var n notification
	if !s.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) {
		return
	}
	r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	if path, ok := path(&n); ok {
		switch a := s.decide(Call{names[n.nr].name, path}); {
		case a.Kill:
			_ = s.process.Kill()
			r.flags, r.errno = 0, -int32(unix.EINTR)
		case a.Fail != 0:
			r.flags, r.errno = 0, -int32(a.Fail)
		}
	}
	s.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
}

func (s *supervisor) ioctl(request uintptr, arg unsafe.Pointer) bool {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), request, uintptr(arg))
	return errno == 0
}

// path is the file that a call is about.
func path(n *notification) (string, bool) {
	c, known := names[n.nr]
	if !known {
		return "", false
	}
	if c.path < 0 {
		return byDescriptor(n.pid, n.args[0])
	}
	name, ok := text(n.pid, n.args[c.path])
	if !ok || strings.HasPrefix(name, "/") {
		return name, ok
	}
	dir := fmt.Sprintf("/proc/%d/cwd", n.pid)
	if c.dir >= 0 && int32(n.args[c.dir]) != unix.AT_FDCWD {
		dir = fmt.Sprintf("/proc/%d/fd/%d", n.pid, n.args[c.dir])
	}
	dir, err := os.Readlink(dir)
	return dir + "/" + name, err == nil
}

// byDescriptor is the name of an open file. One that is deleted has none.
func byDescriptor(pid uint32, fd uint64) (string, bool) {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	return strings.TrimSuffix(name, " (deleted)"), err == nil && strings.HasPrefix(name, "/")
}

// text reads a string out of the program's memory.
func text(pid uint32, at uint64) (string, bool) {
	buf := make([]byte, 4096)
	// Not past the page: the next one may not be there.
	for n := 4096 - int(at%4096); n <= len(buf); n = len(buf) {
		local := []unix.Iovec{{Base: &buf[0], Len: uint64(n)}}
		got, err := unix.ProcessVMReadv(int(pid), local, []unix.RemoteIovec{{Base: uintptr(at), Len: n}}, 0)
		if err != nil {
			return "", false
		}
		if end := strings.IndexByte(string(buf[:got]), 0); end >= 0 {
			return string(buf[:end]), true
		}
		if n == len(buf) {
			break
		}
	}
	return "", false
}
