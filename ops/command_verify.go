package ops

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/pgdb"
)

// where says which data directory, and what of it lies elsewhere.
type where struct {
	Database string `help:"The database that holds the log, if it is not in the data directory: postgres://." env:"MUNIMENT_DATABASE" placeholder:"URL"`
	Register string `help:"Where the register is, if it is not in the data directory: a file, or postgres:// or etcd://." env:"MUNIMENT_REGISTER" placeholder:"PLACE"`
	KeysDB   string `name:"keys-db" help:"Key database, if it is not in the data directory: a file, or postgres://." env:"MUNIMENT_KEYS" placeholder:"PLACE"`
	RootKey  string `name:"root-key" help:"Root key file, if it is not in the data directory." type:"path" placeholder:"FILE"`
}

func (w where) layout(dir string) (Layout, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return Layout{}, &fault.Error{Kind: fault.NotFound, Msg: "there is no data directory " + dir, Err: err}
	case !info.IsDir():
		return Layout{}, fault.New(fault.Invalid, "%s is not a data directory", dir)
	}
	return w.in(DefaultLayout(dir)), nil
}

// layoutAt is layout for a place that may also be the database itself.
func (w where) layoutAt(place string) (Layout, error) {
	if !pgdb.Is(place) {
		return w.layout(kong.ExpandPath(place))
	}
	if w.Database != "" && w.Database != place {
		return Layout{}, fault.Field("database", "the log is in one database; say which")
	}
	w.Database = place
	return w.in(Layout{Dir: shown(place)}), nil
}

// in puts what was said into a layout.
func (w where) in(l Layout) Layout {
	for _, o := range []struct {
		to   *string
		from string
	}{{&l.Log, w.Database}, {&l.Views, w.Database}, {&l.Register, w.Register}, {&l.Keys, w.KeysDB}, {&l.Root, w.RootKey}} {
		if o.from != "" {
			*o.to = o.from
		}
	}
	return l
}

type verifyCommand struct {
	Of         string   `arg:"" name:"where" help:"The data directory, or postgres://..., or a backup file."`
	Then       []string `arg:"" optional:"" help:"Behind a backup file: what goes on from it (muniment backup --since), in order." type:"path"`
	Key        string   `help:"The log's public key, or a file that holds it. Get it from elsewhere than from the log." placeholder:"KEY|FILE"`
	Checkpoint string   `help:"A signed checkpoint that you kept: the log must continue it." type:"path" placeholder:"FILE"`
	Open       bool     `help:"Also open sealed fields with the key database, and recompute what the records commit to."`
	JSON       bool     `name:"json" help:"Write the report as JSON."`
	Quiet      bool     `help:"Do not show progress."`
	where
}

func (c *verifyCommand) run(ctx context.Context, s streams) (int, error) {
	var o VerifyOptions
	var err error
	if o.Key, err = keyOf(c.Key); err != nil {
		return ExitUnchecked, err
	}
	if c.Checkpoint != "" {
		if o.Checkpoint, err = os.ReadFile(c.Checkpoint); err != nil {
			return ExitUnchecked, &fault.Error{Kind: fault.NotFound, Field: "checkpoint", Msg: "the file cannot be read", Err: err}
		}
	}
	if !c.Quiet {
		o.Progress = progressTo(s.err)
	}
	r, err := c.verify(ctx, s, o)
	if r != nil {
		if err := c.write(s.out, r); err != nil {
			return ExitUnchecked, err
		}
	}
	switch {
	case r != nil && len(r.Findings) > 0:
		return ExitFound, err
	case err != nil:
		return ExitUnchecked, err
	}
	return ExitOK, nil
}

// verify verifies what was named.
func (c *verifyCommand) verify(ctx context.Context, s streams, o VerifyOptions) (*Report, error) {
	file := kong.ExpandPath(c.Of)
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
		return c.files(ctx, s, o, file)
	}
	if len(c.Then) > 0 {
		return nil, fault.New(fault.Invalid, "%s is no backup file, so nothing goes on from it", shown(c.Of))
	}
	l, err := c.layoutAt(c.Of)
	if err != nil {
		return nil, err
	}
	o.Register = register(l.Register)
	if c.Open {
		if o.Keys, err = openKeys(ctx, l); err != nil {
			return nil, err
		}
		defer o.Keys.Close()
	}
	return verifyDir(ctx, l, o)
}

// files verifies a backup and what goes on from it.
func (c *verifyCommand) files(ctx context.Context, s streams, o VerifyOptions, file string) (*Report, error) {
	if c.Open {
		if c.KeysDB == "" || c.RootKey == "" {
			return nil, fault.Field("open", "say with --keys-db and --root-key where the keys are that open what a backup file holds")
		}
		var err error
		if o.Keys, err = openKeys(ctx, c.in(Layout{})); err != nil {
			return nil, err
		}
		defer o.Keys.Close()
	}
	var moved Moved
	if !c.Quiet {
		moved = movedTo(s.err)
	}
	return VerifyFiles(ctx, o, moved, append([]string{file}, c.Then...)...)
}
func (c *verifyCommand) write(out io.Writer, r *Report) error {
	if !c.JSON {
		r.WriteText(out)
		return nil
	}
	return writeJSON(out, r)
}

// VerifyDir verifies the log in a data directory, offline or beside a running
// server.
func VerifyDir(ctx context.Context, l Layout, o VerifyOptions) (*Report, error) {
	if o.Register == nil {
		o.Register = register(l.Register)
	}
	return verifyDir(ctx, l, o)
}

// verifyDir repeats once what an erasure beside it may have disturbed.
func verifyDir(ctx context.Context, l Layout, o VerifyOptions) (*Report, error) {
	for attempt := 1; ; attempt++ {
		// The register first: a running server moves it on, always behind the log.
		held, err := heldRegister(ctx, o.Register)
		if err != nil {
			return nil, err
		}
		o := o
		o.Register = held
		store, err := openLog(ctx, l)
		if err != nil {
			return nil, err
		}
		r, err := Verify(ctx, store, o)
		disturbed := store.live && (store.withdrawn() || r != nil && lostKeys(r))
		store.close()
		switch {
		case !disturbed || attempt == 3:
			return r, err
		case ctx.Err() != nil:
			return r, ctx.Err()
		}
	}
}

// lostKeys reports whether keys were missing: beside a running server they may
// have been destroyed after the snapshot was made.
func lostKeys(r *Report) bool {
	for _, f := range r.Findings {
		if f.Code == verify.KeyLost {
			return true
		}
	}
	return false
}

// heldRegister reads a register and holds on to what it said, or to why it
// could not be read.
func heldRegister(ctx context.Context, reg ledger.Register) (ledger.Register, error) {
	s, err := reg.Load(ctx)
	if err != nil && !fault.Is(err, fault.Corrupt) {
		return nil, fault.Wrap("read the register", err)
	}
	return said{s, err}, nil
}

// said is a register as it was read once.
type said struct {
	state ledger.State
	err   error
}

// Load implements ledger.Register.
func (s said) Load(context.Context) (ledger.State, error) { return s.state, s.err }

// CompareAndSwap implements ledger.Register; it refuses.
func (s said) CompareAndSwap(context.Context, ledger.State, ledger.State) error {
	return fault.New(fault.Refused, "verifying changes nothing")
}

// keyOf takes a public key, or the name of a file that holds one.
func keyOf(s string) (string, error) {
	if s == "" || strings.Count(s, "+") >= 2 {
		return s, nil
	}
	b, err := os.ReadFile(s)
	if err != nil {
		return "", &fault.Error{Kind: fault.Invalid, Field: "key", Msg: "neither a public key (<host>/<log id>+<hash>+<key>) nor a file that can be read", Err: err}
	}
	if len(b) > 4096 {
		return "", fault.Field("key", "the file is too long to hold a public key")
	}
	return strings.TrimSpace(string(b)), nil
}

// progressTo writes a line now and then, in place if it is a terminal.
func progressTo(w io.Writer) func(Progress) {
	end, every := pace(w)
	last := time.Duration(0)
	return func(p Progress) {
		if p.Elapsed-last < every && (p.Done < p.Of || last == 0) {
			return
		}
		last = p.Elapsed
		text := fmt.Sprintf("%s of %s records", number(p.Done), number(p.Of))
		if rate := float64(p.Done) / p.Elapsed.Seconds(); rate > 0 {
			left := time.Duration(float64(p.Of-min(p.Done, p.Of)) / rate * float64(time.Second))
			text += fmt.Sprintf(", %s/s, %s left", number(uint64(rate)), left.Round(time.Second))
		}
		if p.Findings > 0 {
			text += ", " + count(p.Findings, "finding", "findings")
		}
		if end == "\r" && p.Done >= p.Of {
			text += "\n"
		}
		fmt.Fprintf(w, "%-78s%s", text, end)
	}
}

// pace is how progress is written: in place, several times a second, if it is a
// terminal; else a line now and then.
func pace(w io.Writer) (end string, every time.Duration) {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return "\r", time.Second / 4
		}
	}
	return "\n", 10 * time.Second
}
