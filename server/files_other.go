//go:build !unix

package server

// maxFiles is how many files the system lets this process have open.
func maxFiles() uint64 { return 1 << 14 }
