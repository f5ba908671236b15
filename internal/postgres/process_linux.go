package postgres

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// account is the ordinary user as whom PostgreSQL runs when the tests are run
// by root, whom it refuses; nil otherwise.
var account = sync.OnceValue(func() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
})

// ordinary lets a process run as that user, and end when the tests do: SIGQUIT
// is PostgreSQL's immediate shutdown.
func ordinary() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account(), Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}

// own gives a file or folder to the ordinary user.
func own(path string) error {
	if a := account(); a != nil {
		return os.Chown(path, int(a.Uid), int(a.Gid))
	}
	return nil
}

// killAll kills a postmaster and its children at once, as a power cut would,
// and returns when they are gone.
func killAll(p *os.Process) {
	_ = p.Signal(syscall.SIGSTOP) // no more children
	family := append(children(p.Pid), p.Pid)
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	awaitGone(family)
}

// awaitGone waits until processes are gone, or wait for nothing but to be reaped.
func awaitGone(pids []int) {
	for _, pid := range pids {
		for range 6000 {
			if _, state := parentOf(pid); state == "" || state == "Z" || state == "X" {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// children are the processes whose parent is pid.
func children(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []int
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if parent, state := parentOf(child); parent == pid && state != "Z" {
			found = append(found, child)
		}
	}
	return found
}

// parentOf is a process's parent and state; empty if there is no such process.
func parentOf(pid int) (int, string) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, ""
	}
	rest := stat[bytes.LastIndexByte(stat, ')')+1:] // the name may hold anything
	f := strings.Fields(string(rest))
	if len(f) < 2 {
		return 0, ""
	}
	parent, _ := strconv.Atoi(f[1])
	return parent, f[0]
}

// processTime is what a process has used of the processors.
func processTime(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// sweep removes a folder when this process has ended, however it did, and the
// processes in it are gone.
func sweep(dir string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", `read -r _; for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" 2>/dev/null; sleep 1; test -e "$1" || exit 0; done`, "sweep", dir)
	cmd.Dir = "/"
	cmd.Stdin = read // the other end is closed by the end of this process
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	brooms = append(brooms, write)
	go func() { _ = cmd.Wait() }()
	return nil
}

// brooms keeps the pipes' ends from being collected.
var brooms []*os.File

const (
	stopSignal = syscall.SIGSTOP
	contSignal = syscall.SIGCONT
)
