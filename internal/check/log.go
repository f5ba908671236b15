package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// phaseLog takes all the output of one phase: it keeps everything in a file,
// the last lines in memory, and prints go test's line per package as it comes.
// Several commands may write at once.
type phaseLog struct {
	mu      sync.Mutex
	file    io.Writer
	live    io.Writer
	partial []byte   // a line not finished yet
	tail    []string // the last tailLength lines
	results []string // go test's lines
}

// Write implements io.Writer.
func (l *phaseLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, b...)
	for {
		i := bytes.IndexByte(l.partial, '\n')
		if i < 0 {
			break
		}
		l.line(string(l.partial[:i]))
		l.partial = l.partial[i+1:]
	}
	return l.file.Write(b)
}

// say prints a line to the person watching, and keeps it in the log.
func (l *phaseLog) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.live, line)
	fmt.Fprintln(l.file, line)
}

// flush ends a last line that has no newline.
func (l *phaseLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.line(string(l.partial))
		l.partial = nil
	}
}

func (l *phaseLog) line(text string) {
	if strings.HasPrefix(text, "progress: ") {
		fmt.Fprintln(l.live, "   "+strings.TrimPrefix(text, "progress: "))
		return
	}
	if passed(text) {
		return
	}
	l.tail = append(l.tail, text)
	if len(l.tail) > tailLength {
		l.tail = l.tail[1:]
	}
	if isResult(text) {
		l.results = append(l.results, text)
		fmt.Fprintln(l.live, text)
	}
}

// passed tells the lines by which go test -v says that a test runs, or is well:
// the last lines of a phase that failed are about what is not.
func passed(line string) bool {
	return strings.HasPrefix(line, "=== ") || strings.HasPrefix(strings.TrimSpace(line), "--- PASS")
}

// isResult tells the lines with which go test reports a package.
func isResult(line string) bool {
	if strings.Contains(line, "[no tests to run]") {
		return false
	}
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t")
}
