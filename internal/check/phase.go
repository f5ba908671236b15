package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	heartbeat  = 30 * time.Second // a sign of life while a phase is silent
	tailLength = 100              // lines shown of a phase that failed
)

// A phase is one step of the test command. Its run writes everything to the
// log; what returns nil has passed.
type phase struct {
	name  string
	about string
	run   func(ctx context.Context, h *house, log *phaseLog) error
}

// house is what all phases share.
type house struct {
	root    string // the folder of go.mod
	logs    string // where each phase's whole output goes
	getenv  func(string) string
	stdout  io.Writer
	soak    bool
	results []string // go test's line per package, of all phases so far
}

// runAll runs the phases in order and stops at the first failure.
func (h *house) runAll(ctx context.Context, chosen []phase) error {
	start := time.Now()
	var summary []string
	for i, p := range chosen {
		fmt.Fprintf(h.stdout, "== %d/%d %s: %s\n", i+1, len(chosen), p.name, p.about)
		took, err := h.runOne(ctx, p)
		if err != nil {
			fmt.Fprintf(h.stdout, "== %s FAILED after %d s: %v\n", p.name, seconds(took), err)
			return fmt.Errorf("phase %s: %w", p.name, err)
		}
		fmt.Fprintf(h.stdout, "== %s passed in %d s\n", p.name, seconds(took))
		summary = append(summary, fmt.Sprintf("%-12s %5d s", p.name, seconds(took)))
	}
	fmt.Fprintf(h.stdout, "\n%s\n\n", strings.Join(summary, "\n"))
	for _, line := range h.results {
		fmt.Fprintln(h.stdout, line)
	}
	fmt.Fprintf(h.stdout, "PASS: %d phases in %d s\n", len(chosen), seconds(time.Since(start)))
	return nil
}

// runOne runs one phase with its log, and shows the log's end if it fails.
func (h *house) runOne(ctx context.Context, p phase) (time.Duration, error) {
	path := filepath.Join(h.logs, p.name+".log")
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	log := &phaseLog{file: file, live: h.stdout}

	start := time.Now()
	done := make(chan struct{})
	go beat(p.name, start, log, done)
	err = p.run(ctx, h, log)
	close(done)
	log.flush()
	h.results = append(h.results, log.results...)
	if err != nil {
		fmt.Fprintf(h.stdout, "-- the last lines of %s; all of it is in .cache/check/%s.log\n", p.name, p.name)
		for _, line := range log.tail {
			fmt.Fprintln(h.stdout, line)
		}
	}
	return time.Since(start), err
}

// beat prints a line now and then, so that a silent phase is not taken for a
// hung one.
func beat(name string, start time.Time, log *phaseLog, done <-chan struct{}) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			log.say(fmt.Sprintf("   %s: %d s", name, seconds(time.Since(start))))
		}
	}
}

// command runs a program in the module's root, its output in the log. Extra
// environment comes as NAME=value.
func (h *house) command(ctx context.Context, log *phaseLog, env []string, name string, args ...string) error {
	fmt.Fprintf(log, "$ %s\n", strings.Join(append(append([]string{}, env...), append([]string{name}, args...)...), " "))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = h.root
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout = log
	cmd.Stderr = log
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), first(args), err)
	}
	return nil
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func seconds(d time.Duration) int { return int(d.Round(time.Second) / time.Second) }
