package ops

import (
	"context"
	"io"
	"time"

	"muniment.dev/view"
)

// ProgramCommands lists the commands that must know what the server declares.
func ProgramCommands(p Program) []Command {
	return []Command{
		commandOf("generation", "Show the generations of a log, or begin a new one after a restore that lost records.", generationCommand{program: p}),
		commandOf("restore", "Make a data directory out of a backup.", restoreCommand{program: p}),
		commandOf("status", "Say how a data directory is, with a server running on it or without.", statusCommand{program: p}),
		commandOf("views", "Look at the views of a data directory, check them against the log, or rebuild them.", viewsCommand{program: p}),
	}
}

type statusCommand struct {
	Dir  string `arg:"" optional:"" help:"The data directory." type:"path" default:"." env:"MUNIMENT_DATA"`
	JSON bool   `name:"json" help:"Write the status as JSON."`
	where
	program Program
}

func (c *statusCommand) run(ctx context.Context, s streams) (int, error) {
	l, err := c.layout(c.Dir)
	if err != nil {
		return ExitUnchecked, err
	}
	st, err := StatusOf(ctx, l, c.program)
	if err != nil {
		return ExitUnchecked, err
	}
	if c.JSON {
		err = writeJSON(s.out, st)
	} else {
		st.WriteText(s.out)
	}
	if len(st.Problems) > 0 {
		return ExitFound, err
	}
	return ExitOK, err
}

type viewsCommand struct {
	Status  viewsStatusCommand  `cmd:"" help:"Say how far the views are."`
	Check   viewsCheckCommand   `cmd:"" help:"Build the views again beside those that serve, and compare. Changes nothing."`
	Rebuild viewsRebuildCommand `cmd:"" help:"Build the views again and put them in the place of the old ones, which serve meanwhile. If it is interrupted, the old ones stay."`
	program Program
	chosen  func(ctx context.Context, s streams) (int, error)
}

// viewsOn is what the three commands about views have in common.
type viewsOn struct {
	Dir   string `arg:"" optional:"" help:"The data directory. A server may be running on it." type:"path" default:"." env:"MUNIMENT_DATA"`
	JSON  bool   `name:"json" help:"Write the result as JSON."`
	Quiet bool   `help:"Do not show progress."`
	where
}

type (
	viewsStatusCommand  struct{ viewsOn }
	viewsCheckCommand   struct{ viewsOn }
	viewsRebuildCommand struct{ viewsOn }
)

// AfterApply notes which of the three was chosen (kong calls it).
func (c *viewsStatusCommand) AfterApply(all *viewsCommand) error {
	all.chosen = func(ctx context.Context, s streams) (int, error) { return c.status(ctx, s, all.program) }
	return nil
}

// AfterApply is that of viewsStatusCommand.
func (c *viewsCheckCommand) AfterApply(all *viewsCommand) error {
	all.chosen = func(ctx context.Context, s streams) (int, error) {
		return c.work(ctx, s, all.program, AskViewsCheck, CheckViews)
	}
	return nil
}

// AfterApply is that of viewsStatusCommand.
func (c *viewsRebuildCommand) AfterApply(all *viewsCommand) error {
	all.chosen = func(ctx context.Context, s streams) (int, error) {
		return c.work(ctx, s, all.program, AskViewsRebuild, RebuildViews)
	}
	return nil
}

func (c *viewsCommand) run(ctx context.Context, s streams) (int, error) { return c.chosen(ctx, s) }

func (c *viewsOn) status(ctx context.Context, s streams, p Program) (int, error) {
	l, err := c.layout(c.Dir)
	if err != nil {
		return ExitUnchecked, err
	}
	st, err := StatusOf(ctx, l, p)
	if err != nil {
		return ExitUnchecked, err
	}
	code := ExitOK
	if st.Views.Error != "" || st.Running && len(st.Views.Missing) > 0 {
		code = ExitFound
	}
	if c.JSON {
		return code, writeJSON(s.out, st.Views)
	}
	w := writer{s.out}
	if st.Views.Error != "" {
		w.line("LOOK: %s\n", printable(st.Views.Error))
	}
	st.writeViews(w)
	for _, name := range st.Views.Names {
		w.item("", "%s", name)
	}
	return code, nil
}

// work checks or rebuilds.
func (c *viewsOn) work(ctx context.Context, s streams, p Program, ask string, do viewsWork) (int, error) {
	l, err := c.layout(c.Dir)
	if err != nil {
		return ExitUnchecked, err
	}
	progress := func(view.Progress) {}
	if !c.Quiet {
		progress = viewsProgress(s.err)
	}
	r, err := work(ctx, l, p, ask, do, progress)
	if err != nil {
		return ExitUnchecked, err
	}
	code := ExitOK
	if len(r.Differences) > 0 {
		code = ExitFound
	}
	if c.JSON {
		return code, writeJSON(s.out, r)
	}
	r.write(writer{s.out}, ask == AskViewsRebuild)
	return code, nil
}

func (r *ViewsResult) write(w writer, rebuilt bool) {
	n, took := count(uint64(r.Position), "event", "events"), r.Took.Round(time.Millisecond)
	switch {
	case rebuilt:
		w.line("The views were rebuilt from %s in %s.", n, took)
	case len(r.Differences) == 0:
		w.line("The views are what the log says, up to %s; it took %s.", n, took)
	default:
		w.line("The views DIFFER from what the log says, in %s:\n", count(len(r.Differences)+r.More, "row", "rows"))
		for _, d := range r.Differences {
			w.line("  %s", printable(d))
		}
		if r.More > 0 {
			w.line("  and %s more", number(r.More))
		}
		w.line("\nThe log is right. Keep the file if you want to find out why, then run: muniment views rebuild.")
	}
}

// viewsProgress shows how far the views are as verifying does.
func viewsProgress(out io.Writer) func(view.Progress) {
	show, began := progressTo(out), time.Now()
	return func(p view.Progress) {
		show(Progress{Done: uint64(p.Done), Of: uint64(p.Total), Elapsed: time.Since(began)})
	}
}
