// Command muniment is Muniment: the server, the demo, what an operator does to
// a data directory, and the command line of the API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"muniment.dev/cli"
	"muniment.dev/demo"
	"muniment.dev/fault"
	"muniment.dev/login"
	"muniment.dev/ops"
	"muniment.dev/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// world is what a command has around it.
type world struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command is one word that the program understands.
type command struct {
	name, summary string
	run           func(ctx context.Context, w world, args []string) int
}

// run runs the command that args name and returns the exit code: 0 done, 1 not
// done (or, for verify, something is wrong), 2 not understood.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	w := world{getenv, stdin, stdout, stderr}
	own := commands()
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		return usage(w, own)
	}
	if i := slices.IndexFunc(own, func(c command) bool { return c.name == args[0] }); i >= 0 {
		return own[i].run(ctx, w, args[1:])
	}
	err := cli.Run(ctx, cli.Env{Getenv: getenv, Stdin: stdin, Stdout: stdout, Stderr: stderr}, args)
	if err != nil {
		fmt.Fprintf(stderr, "muniment: %v\n", err)
	}
	return cli.ExitCode(err)
}

// commands are those that open a data directory or a server themselves; all
// others are the API's.
func commands() []command {
	all := []command{
		{"demo", "Try it: a server with a month of history, and a sample application.", runDemo},
		{"serve", "Run the server on a data directory.", runServe},
		{"config", "Print the effective settings and where each comes from.", runConfig},
		{"setup-link", "Make a one-time link to choose a password, for a server that is stopped.", runSetupLink},
		{"version", "Print the version.", runVersion},
	}
	for _, c := range ops.Commands() {
		all = append(all, command{c.Name, c.Summary, func(ctx context.Context, w world, args []string) int {
			return c.Run(ctx, args, w.stdout, w.stderr)
		}})
	}
	return all
}

func usage(w world, own []command) int {
	fmt.Fprintf(w.stdout, "Muniment: an identity server whose source of truth is a verifiable event log.\n\nThe server and its data\n\n")
	for _, c := range own {
		fmt.Fprintf(w.stdout, "  %-16s %s\n", c.name, c.summary)
	}
	topics, err := cli.Topics()
	if err != nil {
		fmt.Fprintf(w.stderr, "muniment: %v\n", err)
		return 1
	}
	fmt.Fprintf(w.stdout, "\nThe API, over the network\n\n")
	for _, t := range topics {
		fmt.Fprintf(w.stdout, "  %-16s %s\n", t.Name, t.Summary)
	}
	fmt.Fprintf(w.stdout, "\nmuniment COMMAND --help says more.\n")
	return 0
}

// failed prints an error as one line and returns the exit code.
func failed(w world, err error) int {
	fmt.Fprintf(w.stderr, "muniment: %v\n", err)
	if fault.Is(err, fault.Invalid) {
		return 2
	}
	return 1
}

// flags parses a command's own flags; ok is false if the command is over.
func flags(w world, name, args string, set func(*flag.FlagSet), given []string) (rest []string, code int, ok bool) {
	f := flag.NewFlagSet("muniment "+name, flag.ContinueOnError)
	f.SetOutput(w.stderr)
	f.Usage = func() {
		fmt.Fprintf(w.stderr, "Usage: muniment %s %s\n", name, args)
		f.PrintDefaults()
	}
	set(f)
	err := f.Parse(given)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, 0, false
	case err != nil:
		return nil, 2, false
	}
	return f.Args(), 0, true
}

func runDemo(ctx context.Context, w world, args []string) int {
	o := demo.Options{Stdout: w.stdout}
	rest, code, ok := flags(w, "demo", "[--keep DIR] [--listen ADDRESS] [--sample ADDRESS]", func(f *flag.FlagSet) {
		f.StringVar(&o.Keep, "keep", "", "keep the data in this `directory`; otherwise it goes when the demo stops")
		f.StringVar(&o.Listen, "listen", "127.0.0.1:8300", "`address` of the console; a taken port means the next one")
		f.StringVar(&o.Sample, "sample", "127.0.0.1:8400", "`address` of the sample application")
	}, args)
	if !ok {
		return code
	}
	if len(rest) > 0 {
		return failed(w, fault.Field(rest[0], "is not expected here"))
	}
	if err := demo.Run(ctx, o); err != nil {
		return failed(w, err)
	}
	return 0
}

// settings reads the configuration and says what is wrong with it.
func settings(w world, name string, args []string) (server.Config, []server.Effective, int, bool) {
	if slices.ContainsFunc(args, func(a string) bool { return a == "--help" || a == "-h" }) {
		fmt.Fprintf(w.stdout, "Usage: muniment %s [--config FILE] [--SETTING VALUE ...]\n\nSettings (also MUNIMENT_SETTING in the environment, and `setting = value` in the file):\n\n", name)
		for _, s := range server.Settings {
			fmt.Fprintf(w.stdout, "  --%-14s %s", s.Name, s.Help)
			if s.Default != "" {
				fmt.Fprintf(w.stdout, " (%s)", s.Default)
			}
			fmt.Fprintln(w.stdout)
		}
		return server.Config{}, nil, 0, false
	}
	c, all, rest, err := server.LoadConfig(args, w.getenv)
	if err == nil && len(rest) > 0 {
		err = fault.Field(rest[0], "is not expected here")
	}
	if err != nil {
		return c, nil, failed(w, err), false
	}
	return c, all, 0, true
}

func runServe(ctx context.Context, w world, args []string) int {
	c, _, code, ok := settings(w, "serve", args)
	if !ok {
		return code
	}
	logger, err := newLogger(w.stderr, c.LogLevel)
	if err == nil {
		err = server.Serve(ctx, c, w.stdout, logger)
	}
	if err != nil {
		return failed(w, err)
	}
	return 0
}

func newLogger(out io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fault.Field("log-level", "must be debug, info, warn or error")
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: l})), nil
}

func runConfig(_ context.Context, w world, args []string) int {
	c, all, code, ok := settings(w, "config", args)
	if !ok {
		return code
	}
	for _, e := range all {
		fmt.Fprintf(w.stdout, "%-14s = %-32s # %s\n", e.Name, e.Value, e.Source)
	}
	if err := c.Check(); err != nil {
		return failed(w, err)
	}
	fmt.Fprintf(w.stdout, "\nBrowsers reach it at %s\n", c.ExternalURL)
	return 0
}

func runSetupLink(ctx context.Context, w world, args []string) int {
	var email string
	if i := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") && strings.Contains(a, "@") }); i >= 0 {
		email = args[i]
		args = slices.Delete(slices.Clone(args), i, i+1)
	}
	c, _, code, ok := settings(w, "setup-link EMAIL", args)
	if !ok {
		return code
	}
	if email == "" {
		return failed(w, fault.Field("EMAIL", "say for whom: muniment setup-link ada@example.org --data DIR"))
	}
	s, err := server.New(ctx, c, server.Extra{})
	if err != nil {
		return failed(w, err)
	}
	defer s.Close()
	secret, expires, err := s.Core.NewSetupLink(ctx, email)
	if err != nil {
		return failed(w, err)
	}
	fmt.Fprintf(w.stdout, "%s%s/%s\n\nIt works once, until %s.\n", s.URL(), login.PathSetup, secret, expires.Format(time.RFC1123))
	return 0
}

func runVersion(_ context.Context, w world, _ []string) int {
	fmt.Fprintln(w.stdout, server.Version())
	return 0
}
