package ops

import (
	"context"
	"os"

	"muniment.dev/fault"
)

type generationCommand struct {
	Show  generationShow  `cmd:"" help:"Say which generations the log has, and what its register knows."`
	Begin generationBegin `cmd:"" help:"Begin a new generation of a log that was restored from a backup and lacks records. No server may be running."`

	program Program
}

// AfterApply notes which of the two was chosen (kong calls it).
func (c *generationShow) AfterApply() error  { c.chosen = true; return nil }
func (c *generationBegin) AfterApply() error { c.chosen = true; return nil }

func (c *generationCommand) run(ctx context.Context, s streams) (int, error) {
	if c.Begin.chosen {
		return c.Begin.run(ctx, c.program, s)
	}
	return c.Show.run(ctx, s)
}

type generationShow struct {
	Dir  string `arg:"" optional:"" help:"The data directory, or postgres://..." default:"." env:"MUNIMENT_DATA"`
	JSON bool   `name:"json" help:"Write the result as JSON."`
	where
	chosen bool
}

func (c *generationShow) run(ctx context.Context, s streams) (int, error) {
	l, err := c.layoutAt(c.Dir)
	if err != nil {
		return ExitUnchecked, err
	}
	g, err := GenerationsOf(ctx, l)
	if g == nil {
		return ExitUnchecked, err
	}
	if c.JSON {
		return ExitOK, writeJSON(s.out, g)
	}
	w := writer{s.out}
	g.write(w)
	if err != nil {
		w.line("\nThe server will not write to this log: %s.", explain(err))
		return ExitFound, nil
	}
	return ExitOK, nil
}

type generationBegin struct {
	Dir        string `arg:"" optional:"" help:"The data directory, or postgres://..." default:"." env:"MUNIMENT_DATA"`
	Checkpoint string `help:"The newest signed checkpoint that anybody kept. The new generation names it, and so admits what is missing." type:"path" placeholder:"FILE"`
	Force      bool   `help:"Begin it. What is missing was acknowledged to somebody, and is given up."`
	JSON       bool   `name:"json" help:"Write the result as JSON."`
	where
	chosen bool
}

func (c *generationBegin) run(ctx context.Context, p Program, s streams) (int, error) {
	l, err := c.layoutAt(c.Dir)
	if err != nil {
		return ExitUnchecked, err
	}
	o := GenerationOptions{Force: c.Force}
	if c.Checkpoint != "" {
		if o.Checkpoint, err = os.ReadFile(c.Checkpoint); err != nil {
			return ExitUnchecked, &fault.Error{Kind: fault.NotFound, Field: "checkpoint", Msg: "the file cannot be read", Err: err}
		}
	}
	g, err := BeginGeneration(ctx, l, p, o)
	switch {
	case err != nil:
		return ExitUnchecked, err
	case c.JSON:
		err = writeJSON(s.out, g)
	default:
		g.writeBegun(writer{s.out})
	}
	if !g.Begun {
		return ExitFound, err
	}
	return ExitOK, err
}

// write says how the log stands.
func (g *Generations) write(w writer) {
	w.item("log in", "%s", g.Dir)
	for i, x := range g.List {
		end := g.Size
		if i+1 < len(g.List) {
			end = g.List[i+1].First - 1
		}
		w.item("generation", "%s, records %s to %s", x.ID, number(uint64(x.First)), number(uint64(end)))
	}
	showState(w, "register", g.Register)
}

// writeBegun says what was found, and what became of it.
func (g *Generations) writeBegun(w writer) {
	if g.Begun {
		w.line("The log goes on in a new generation. The server may be started.\n")
		g.write(w)
		w.line("\nFrom now on checkpoints are those of log %s. Whoever holds a newer one of the log before\nis told by `muniment verify --checkpoint FILE` that its records were lost. Make a backup now.", g.List[len(g.List)-1].ID)
		return
	}
	switch missing := g.Missing; {
	case g.Unfinished:
		w.line("The new generation was begun before, and the register was not told of it.")
	case g.Known == 0 || g.Register.IsZero() && missing == 0:
		w.line("The log has %s. No register survived, so nobody knows how many were\nacknowledged after the last of them.", count(uint64(g.Size), "record", "records"))
	default:
		w.line("The log has %s; it had %s: %s acknowledged to somebody and missing here,\nfrom position %s to %s.", count(uint64(g.Size), "record", "records"), number(uint64(g.Known)),
			count(uint64(missing), "record was", "records were"), number(uint64(g.Size+1)), number(uint64(g.Known)))
	}
	w.line("")
	g.write(w)
	w.line("\nNothing was changed. Look for a newer copy first: what is missing is given up for good. To begin\na new generation nevertheless, which admits the loss in the log, add --force:\n\n  muniment generation begin %s%s --force", g.place, g.register)
}

// lostIn says what a generation admits, for reports.
func lostIn(first, lost uint64) string {
	if lost == 0 {
		return ""
	}
	return ", which admits that records " + number(first) + " to " + number(first-1+lost) + " of the one before were lost"
}
