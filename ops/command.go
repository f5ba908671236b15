package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"muniment.dev/fault"
)

// The exit codes of the commands here.
const (
	ExitOK        = 0 // verified, consistent, or done
	ExitFound     = 1 // something is wrong with what was checked
	ExitUnchecked = 2 // it could not be checked, or the command line is wrong
)

// Command is one command line of this package. Run returns the exit code.
type Command struct {
	Name, Summary string
	Run           func(ctx context.Context, args []string, stdout, stderr io.Writer) int
}

// Commands lists the commands, by name.
func Commands() []Command {
	return []Command{
		command[backupCommand]("backup", "Write a backup of a log and its keys, in a directory or in databases, beside running servers or without."),
		command[dumpCommand]("dump", "Write a log, or what came after an earlier dump or backup of it, as lines of JSON."),
		command[keysCommand]("keys", "Move the keys of people to another database, or prepare one on PostgreSQL."),
		command[loadCommand]("load", "Make a log out of a dump and those that go on from it, in a directory or a database."),
		command[moveCommand]("move", "Copy a log between a directory and a database, and its keys."),
		command[receiptCommand]("receipt", "Make the receipt of a record, with which anybody can check it offline."),
		command[registerCommand]("register", "Show what the register knows of the log, or adopt the log as it is; prepare one on PostgreSQL."),
		command[tamperCommand]("tamper", "Copy a log and change one bit in the copy, to see verify find it."),
		command[verifyCommand]("verify", "Verify the log in a data directory, on PostgreSQL, or in backup files; offline or beside running servers."),
		command[verifyReceiptCommand]("verify-receipt", "Check a receipt."),
	}
}

// streams is where a command writes.
type streams struct{ out, err io.Writer }

type runner interface {
	run(ctx context.Context, s streams) (int, error)
}

// command makes a Command of a grammar.
func command[T any, P interface {
	*T
	runner
}](name, summary string) Command {
	var grammar T
	return commandOf[T, P](name, summary, grammar)
}

// commandOf is command for a grammar that begins with something in it.
func commandOf[T any, P interface {
	*T
	runner
}](name, summary string, grammar T) Command {
	return Command{name, summary, func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
		grammar := grammar // a fresh one
		code := -1
		parser, err := kong.New(&grammar, kong.Name("muniment "+name), kong.Description(summary), kong.Writers(stdout, stderr),
			kong.Exit(func(c int) { code = c }), kong.UsageOnError(), kong.Bind(&grammar), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
		if err != nil {
			panic(err) // the grammar is the programmer's
		}
		_, err = parser.Parse(args)
		switch {
		case code >= 0: // help was asked for
			return code
		case err != nil:
			fmt.Fprintf(stderr, "muniment %s: %v\nRun `muniment %s --help` to see what it takes.\n", name, err, name)
			return ExitUnchecked
		}
		code, err = P(&grammar).run(ctx, streams{stdout, stderr})
		if err != nil {
			fmt.Fprintf(stderr, "muniment %s: %s\n", name, explain(err))
		}
		return code
	}}
}

// explain writes an error for whoever runs the command: it is their machine, so
// nothing is hidden.
func explain(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) || f.Msg == "" {
		return err.Error()
	}
	text := f.Msg
	if f.Field != "" {
		text = "--" + f.Field + ": " + text
	}
	if cause := err.Error(); !strings.HasSuffix(cause, f.Msg) {
		text += "\n  (" + cause + ")"
	}
	return text
}
