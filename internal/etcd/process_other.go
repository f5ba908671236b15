//go:build !linux

package etcd

import "syscall"

func dieWithUs() *syscall.SysProcAttr { return nil }
