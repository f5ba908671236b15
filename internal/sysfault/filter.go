//go:build linux && amd64

package sysfault

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// form says where a call names its file: the argument that is a path, -1 for a
// descriptor in the first one; and the argument that is the directory of the
// path, -1 for the working directory.
type form struct {
	name      string
	path, dir int
}

// names are the calls that are asked about: those that change what is on a
// disk, make it durable, or open it.
var names = map[int32]form{
	unix.SYS_WRITE: {"write", -1, -1}, unix.SYS_PWRITE64: {"pwrite64", -1, -1},
	unix.SYS_WRITEV: {"writev", -1, -1}, unix.SYS_PWRITEV: {"pwritev", -1, -1}, unix.SYS_PWRITEV2: {"pwritev2", -1, -1},
	unix.SYS_FSYNC: {"fsync", -1, -1}, unix.SYS_FDATASYNC: {"fdatasync", -1, -1}, unix.SYS_SYNC_FILE_RANGE: {"sync_file_range", -1, -1},
	unix.SYS_FTRUNCATE: {"ftruncate", -1, -1}, unix.SYS_FALLOCATE: {"fallocate", -1, -1},
	unix.SYS_OPEN: {"open", 0, -1}, unix.SYS_OPENAT: {"openat", 1, 0},
	unix.SYS_MKDIR: {"mkdir", 0, -1}, unix.SYS_MKDIRAT: {"mkdirat", 1, 0},
	unix.SYS_RENAME: {"rename", 1, -1}, unix.SYS_RENAMEAT: {"renameat", 3, 2}, unix.SYS_RENAMEAT2: {"renameat2", 3, 2},
	unix.SYS_LINK: {"link", 1, -1}, unix.SYS_LINKAT: {"linkat", 3, 2},
	unix.SYS_UNLINK: {"unlink", 0, -1}, unix.SYS_UNLINKAT: {"unlinkat", 1, 0},
}

// Main becomes the program that the arguments name, with a filter that asks
// whoever started it, on file descriptor 3. It does not return.
func Main() {
	if err := become(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "supervised:", err)
		os.Exit(125)
	}
}

func become(args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the filter is this thread's, and execve keeps it
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	f := filter()
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		// Only fatal signals may interrupt a call that was asked about: one that
		// is interrupted is made again, and would be counted twice.
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	const socket = 3
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(int(listener)), nil, 0); err != nil {
		return err
	}
	unix.CloseOnExec(socket)
	unix.CloseOnExec(int(listener))
	return syscall.Exec(path, args, os.Environ())
}

// filter is the program by which the kernel chooses the calls to ask about.
func filter() []unix.SockFilter {
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	f := []unix.SockFilter{
		{Code: load, K: 4}, // the architecture
		{Code: equal, K: unix.AUDIT_ARCH_X86_64, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: 0}, // the call's number
	}
	left := len(names)
	for nr := range names {
		f = append(f, unix.SockFilter{Code: equal, K: uint32(nr), Jt: uint8(left)}) //nolint:gosec // few
		left--
	}
	return append(f, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF})
}
