package etcd

import "syscall"

// dieWithUs ends a server with the tests, however they end.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
