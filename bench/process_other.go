//go:build !linux

package bench

import "time"

// memory cannot be told on this system.
func memory() uint64 { return 0 }

// resident cannot be told on this system.
func resident(int) int64 { return -1 }

// cpuTime cannot be told on this system.
func cpuTime(int) time.Duration { return -1 }
