//go:build !linux

package postgres

import (
	"os"
	"syscall"
	"time"
)

func ordinary() *syscall.SysProcAttr { return nil }

func own(string) error { return nil }

func killAll(p *os.Process) { _ = p.Kill() }

func children(int) []int { return nil }

func awaitGone([]int) {}

func processTime(int) time.Duration { return 0 }

func sweep(string) error { return nil }

const (
	stopSignal = syscall.SIGTERM // there is none everywhere
	contSignal = syscall.SIGTERM
)
