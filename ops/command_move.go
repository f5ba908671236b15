package ops

import (
	"context"
	"io"
	"strconv"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/pgdb"
)

type moveCommand struct {
	From     string `required:"" help:"Where the log is: a data directory, or postgres://..." placeholder:"DIR|URL"`
	To       string `required:"" help:"Where it goes: a data directory, or postgres://..." placeholder:"DIR|URL"`
	KeysFrom string `help:"Where the keys are: a file or postgres://...; by default keys.db in the directory." placeholder:"FILE|URL"`
	KeysTo   string `help:"Where they go. Without it they stay where they are." placeholder:"FILE|URL"`
	JSON     bool   `name:"json" help:"Write the result as JSON."`
	Quiet    bool   `help:"Do not show progress."`
}

func (c *moveCommand) run(ctx context.Context, s streams) (int, error) {
	out, err := Move(ctx, MoveOptions{From: c.From, To: c.To, KeysFrom: c.KeysFrom, KeysTo: c.KeysTo, Progress: copiedTo(s.err, c.Quiet)})
	if err != nil {
		return ExitUnchecked, err
	}
	if c.JSON {
		return ExitOK, writeJSON(s.out, out)
	}
	w := writer{s.out}
	out.write(w)
	if c.KeysTo != "" {
		w.item("keys", "%s", count(out.Keys, "key", "keys"))
	}
	w.line("\nStart the server on the new place with the register that it had, and the same root key. Do not\nstart it on the old one again: the register refuses it, once the new one has recorded anything.")
	return ExitOK, nil
}

func (c *Copied) write(w writer) {
	w.line("The log is copied, and gives the same tree.\n")
	w.item("log", "%s, %s, root %s", c.Log, count(uint64(c.Size), "record", "records"), c.Root)
	w.item("took", "%s", c.Took.Round(time.Millisecond))
}

type dumpCommand struct {
	From  string `arg:"" help:"The data directory, on which a server may be running, or postgres://..."`
	To    string `required:"" help:"Where it goes: a file that does not exist, or a folder, in which it gets a name by itself." type:"path" placeholder:"FILE|DIR"`
	Since string `help:"An earlier dump or backup of the log: only what came after it is written." type:"path" placeholder:"FILE"`
	JSON  bool   `name:"json" help:"Write the result as JSON."`
	Quiet bool   `help:"Do not show progress."`
}

func (c *dumpCommand) run(ctx context.Context, s streams) (int, error) {
	d, err := WriteDumpFile(ctx, DumpOptions{From: c.From, To: c.To, Since: c.Since, Progress: copiedTo(s.err, c.Quiet)})
	if err != nil {
		return ExitUnchecked, err
	}
	if c.JSON {
		return ExitOK, writeJSON(s.out, d)
	}
	w := writer{s.out}
	w.line("The dump is whole, and was read again from where it lies.\n")
	w.item("log", "%s, root %s", d.Log, d.Root)
	w.item("records", "%s to %s", number(uint64(d.After)+1), number(uint64(d.Size)))
	w.item("file", "%s", d.File)
	w.line("\nThe keys are not in it. Without them nobody can read the personal fields.")
	return ExitOK, nil
}

type loadCommand struct {
	Files []string `arg:"" help:"A dump of a whole log, then those that go on from it, in order." type:"path"`
	To    string   `required:"" help:"Where the log goes: a data directory, or postgres://..." placeholder:"DIR|URL"`
	JSON  bool     `name:"json" help:"Write the result as JSON."`
	Quiet bool     `help:"Do not show progress."`
}

func (c *loadCommand) run(ctx context.Context, s streams) (int, error) {
	out, err := Load(ctx, c.To, copiedTo(s.err, c.Quiet), c.Files...)
	if err != nil {
		return ExitUnchecked, err
	}
	if c.JSON {
		return ExitOK, writeJSON(s.out, out)
	}
	w := writer{s.out}
	out.write(w)
	if !pgdb.Is(c.To) {
		w.line("\nVerify it with the key: muniment verify %s --key KEY", c.To)
	}
	return ExitOK, nil
}

// copiedTo shows how far a copy is, as progressTo does.
func copiedTo(w io.Writer, quiet bool) func(eventlog.CopyProgress) {
	if quiet {
		return nil
	}
	show, began := progressTo(w), time.Now()
	return func(p eventlog.CopyProgress) {
		show(Progress{Done: uint64(p.Done), Of: uint64(p.Of), Elapsed: time.Since(began)})
	}
}

// digits writes a position in decimal digits.
func digits(p event.Position) string { return strconv.FormatUint(uint64(p), 10) }
