//go:build unix

package server

import "golang.org/x/sys/unix"

// maxFiles is how many files the system lets this process have open.
func maxFiles() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	return uint64(l.Cur)
}
