// Command muniment is Muniment: the server, the demo, what an operator does to
// a data directory, and the command line of the API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"muniment.dev/bench"
	"muniment.dev/cli"
	"muniment.dev/fault"
	"muniment.dev/ops"
	"muniment.dev/server"
)

func main() {
	private()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
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

// command is one word that the program understands. Its group is the heading
// under which help shows it.
type command struct {
	group, name, summary string
	run                  func(ctx context.Context, w world, args []string) int
}

// The groups of commands, as help shows them.
const (
	groupServer = "The server"
	groupLog    = "The log, on the machine that holds it; receipts, anywhere"
	groupAPI    = "The API, over the network"
)

// run runs the command that args name and returns the exit code: 0 done, 1 not
// done (or, for verify, something is wrong), 2 not understood.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	w := world{getenv, stdin, stdout, stderr}
	args = asked(args)
	if len(args) == 0 {
		return usage(w)
	}
	own := commands()
	if i := slices.IndexFunc(own, func(c command) bool { return c.name == args[0] }); i >= 0 {
		return own[i].run(ctx, w, args[1:])
	}
	if hint := unknown(args[0]); hint != "" {
		fmt.Fprintf(stderr, "muniment: %s\n", hint)
		return 2
	}
	err := cli.Run(ctx, cli.Env{Getenv: getenv, Stdin: stdin, Stdout: stdout, Stderr: stderr, Browse: browser(getenv)}, args)
	if err != nil {
		fmt.Fprintf(stderr, "muniment: %v\n", err)
	}
	return cli.ExitCode(err)
}

// commands are those that open a data directory or a server themselves; all
// others are the API's.
func commands() []command {
	all := []command{
		{groupServer, "demo", "Try it: a server with a month of history, and a sample application.", runDemo},
		{groupServer, "serve", "Run the server on a data directory.", runServe},
		{groupServer, "config", "Print the effective settings and where each comes from.", runConfig},
		{groupServer, "doctor", "Look at settings, files and machine for what bites later; --json for programs.", runDoctor},
		{groupServer, "setup-link", "Make a one-time link to choose a password, for a server that is stopped.", runSetupLink},
		{groupServer, "version", "Print the version.", runVersion},
	}
	own := slices.Concat(ops.Commands(), ops.ProgramCommands(server.Program()), []ops.Command{bench.Command()})
	slices.SortStableFunc(own, func(a, b ops.Command) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range own {
		all = append(all, command{groupLog, c.Name, c.Summary, func(ctx context.Context, w world, args []string) int {
			return c.Run(ctx, args, w.stdout, w.stderr)
		}})
	}
	return all
}

// failed prints an error as one line and returns the exit code.
func failed(w world, err error) int {
	fmt.Fprintf(w.stderr, "muniment: %v\n", err)
	if fault.Is(err, fault.Invalid) {
		return 2
	}
	return 1
}

// stopped reports whether an error says only that the user stopped the command
// before it was ready.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}

func runVersion(_ context.Context, w world, args []string) int {
	if len(args) > 0 && !isHelp(args[0]) {
		return failed(w, fault.Field(args[0], "is not expected here"))
	}
	fmt.Fprintf(w.stdout, "muniment %s %s %s/%s\n", server.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return 0
}
