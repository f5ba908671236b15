//go:build unix

package main

import "golang.org/x/sys/unix"

// private keeps whatever the program writes from other users of the machine,
// also files whose modes libraries choose.
func private() { unix.Umask(0o077) }
