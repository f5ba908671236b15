package pebblelog

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// memoryLimit is how many bytes the process may use: the least of the
// machine's memory, the control group's limit and GOMEMLIMIT.
func memoryLimit() int64 {
	limit := debug.SetMemoryLimit(-1)
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		limit = min(limit, int64(uint64(info.Totalram)*uint64(info.Unit)))
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
			limit = min(limit, n)
		}
	}
	if limit == math.MaxInt64 {
		return 1 << 30
	}
	return limit
}
