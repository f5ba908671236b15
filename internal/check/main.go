// Command check is the project's test command: `go run ./internal/check`.
//
// It installs what the tests need and runs every phase in order, stopping at
// the first that fails with the end of that phase's output. Each phase's whole
// output is kept in .cache/check. Names of phases as arguments run only those.
// With -soak the long versions run instead, which take hours.
//
// It needs Go and, for the browser phase, either Chromium or a system where
// apt-get may install it, and npm for the accessibility rules.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "check:", err)
		}
		os.Exit(1)
	}
}

// run parses the arguments, picks the phases and runs them.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(stdout)
	soak := flags.Bool("soak", false, "run the long versions: a million simulation seeds, ten minutes for each fuzz target, a hundred kills")
	list := flags.Bool("list", false, "print the phases and stop")
	flags.Usage = func() {
		fmt.Fprintln(stdout, "usage: go run ./internal/check [-soak] [-list] [phase ...]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}

	table := phases
	if *soak {
		table = soakPhases
	}
	if *list {
		for _, p := range table {
			fmt.Fprintf(stdout, "%-12s %s\n", p.name, p.about)
		}
		return nil
	}
	chosen, err := choose(table, flags.Args())
	if err != nil {
		return err
	}

	root, err := moduleRoot()
	if err != nil {
		return err
	}
	logs := filepath.Join(root, ".cache", "check")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	h := &house{root: root, logs: logs, getenv: getenv, stdout: stdout, soak: *soak}
	return h.runAll(ctx, chosen)
}

// choose returns the named phases in the table's order, or all of them.
func choose(table []phase, names []string) ([]phase, error) {
	if len(names) == 0 {
		return table, nil
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	var chosen []phase
	for _, p := range table {
		if wanted[p.name] {
			chosen = append(chosen, p)
			delete(wanted, p.name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("there is no phase %q; -list names them", name)
	}
	return chosen, nil
}

// moduleRoot is the nearest folder at or above the working folder with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod here or above: run this inside a clone")
		}
		dir = parent
	}
}
