//go:build !linux

package pebblelog

import (
	"math"
	"runtime/debug"
)

// memoryLimit is GOMEMLIMIT, or a guess.
func memoryLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	return 1 << 30
}
