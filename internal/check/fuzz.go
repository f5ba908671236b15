package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// fuzzAtOnce is how many targets run side by side, each with one worker: the
// smallest machine that the test command is meant for has two cores.
const fuzzAtOnce = 2

// fuzz runs every fuzz target of the module for the given time, or for the
// environment's FUZZTIME. All run even if one fails, so that one run finds all
// that it can.
func fuzz(length string) func(context.Context, *house, *phaseLog) error {
	return func(ctx context.Context, h *house, log *phaseLog) error {
		targets, err := scan(h.root, "Fuzz")
		if err != nil {
			return err
		}
		length := h.or("FUZZTIME", length)
		log.say(fmt.Sprintf("   targets: %d, %s each, %d at a time", len(targets), length, fuzzAtOnce))
		for _, t := range targets {
			log.say(fmt.Sprintf("   %s in %s", t.name, t.folder))
		}

		slots := make(chan struct{}, fuzzAtOnce)
		failures := make([]error, len(targets))
		var running sync.WaitGroup
		for i, t := range targets {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				failures[i] = h.fuzzOne(ctx, log, t, length)
			})
		}
		running.Wait()
		return errors.Join(failures...)
	}
}

// fuzzOne runs one target. Up to Go 1.26 fuzzing sometimes reports the end of
// its own time as a failure (go.dev/issue/75804). Only that is tried once more.
func (h *house) fuzzOne(ctx context.Context, log *phaseLog, t testFunc, length string) error {
	for attempt := 1; ; attempt++ {
		var out bytes.Buffer
		own := &phaseLog{file: &out, live: io.Discard}
		err := h.command(ctx, own, nil, "go", "test", "-vet=off", "-run=^$", "-fuzz=^"+t.name+"$",
			"-fuzztime="+length, "-timeout=0", "-parallel=1", t.folder)
		if err == nil {
			fmt.Fprintf(log, "%s", out.Bytes())
			return nil
		}
		fmt.Fprintf(log, "%s", out.Bytes())
		if attempt == 1 && outOfTime(out.String()) {
			log.say("   " + t.name + ": Go reported the end of its time as a failure; once more")
			continue
		}
		return fmt.Errorf("%s in %s: %w", t.name, t.folder, err)
	}
}

// outOfTime recognizes that report: a bare deadline, no failing input, no
// panic and no process that hung.
func outOfTime(output string) bool {
	for _, sign := range []string{"Failing input written", "panic:", "hung or terminated"} {
		if strings.Contains(output, sign) {
			return false
		}
	}
	return strings.Contains(output, "\n    context deadline exceeded\n")
}
