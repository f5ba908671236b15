package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

type backupCommand struct {
	Of       string `arg:"" name:"where" help:"The data directory, or postgres://... Servers may be running on it."`
	To       string `required:"" help:"Where the log goes: a file that does not exist, or a folder, in which it gets a name by itself." type:"path" placeholder:"FILE|DIR"`
	KeysTo   string `help:"Where the keys go: another file or folder, kept elsewhere and for a shorter time. Without it the keys are left out." type:"path" placeholder:"FILE|DIR"`
	Since    string `help:"An earlier backup of the log: only what came after it is written." type:"path" placeholder:"FILE"`
	KeysFrom string `help:"Where the keys are; the same as --keys-db." placeholder:"PLACE"`
	NoVerify bool   `help:"Do not verify the log's records before they are written. What is written is read again in any case."`
	JSON     bool   `name:"json" help:"Write the result as JSON."`
	against
	where
}

// against is what a log is held against, in commands that verify on the way.
type against struct {
	Key        string `help:"The log's public key, or a file that holds it, to verify with." placeholder:"KEY|FILE"`
	Checkpoint string `help:"A signed checkpoint that you kept: the log must continue it." type:"path" placeholder:"FILE"`
	Quiet      bool   `help:"Do not show progress."`
}

func (c *against) options(s streams) (o VerifyOptions, moved Moved, err error) {
	if o.Key, err = keyOf(c.Key); err != nil {
		return o, nil, err
	}
	if c.Checkpoint != "" {
		if o.Checkpoint, err = os.ReadFile(c.Checkpoint); err != nil {
			return o, nil, &fault.Error{Kind: fault.NotFound, Field: "checkpoint", Msg: "the file cannot be read", Err: err}
		}
	}
	if !c.Quiet {
		o.Progress, moved = progressTo(s.err), movedTo(s.err)
	}
	return o, moved, nil
}

func (c *backupCommand) run(ctx context.Context, s streams) (int, error) {
	if c.KeysFrom != "" {
		c.KeysDB = c.KeysFrom
	}
	l, err := c.layoutAt(c.Of)
	if err != nil {
		return ExitUnchecked, err
	}
	if c.KeysTo != "" && l.Keys == "" {
		return ExitUnchecked, fault.Field("keys-from", "say where the keys are that are to be written")
	}
	o := BackupOptions{To: c.To, KeysTo: c.KeysTo, Since: c.Since, Verify: !c.NoVerify}
	if o.VerifyOptions, o.Moved, err = c.options(s); err != nil {
		return ExitUnchecked, err
	}
	if o.Register, err = heldRegister(ctx, register(l.Register)); err != nil {
		return ExitUnchecked, err
	}
	b, err := Backup(ctx, l, o)
	if err != nil {
		if b != nil && b.Verified != nil && len(b.Verified.Findings) > 0 {
			b.Verified.WriteText(s.out)
			return ExitFound, err
		}
		return ExitUnchecked, err
	}
	if c.JSON {
		return ExitOK, writeJSON(s.out, b)
	}
	c.write(writer{s.out}, b, l)
	return ExitOK, nil
}

func (c *backupCommand) write(w writer, b *Backedup, l Layout) {
	w.line("The backup is whole, and was read again from where it lies.\n")
	w.item("log", "%s, %s, root %s", b.Manifest.Log, count(uint64(b.Size), "record", "records"), b.Root)
	if b.After > 0 {
		w.item("of it", "%s, what came after %s", count(uint64(b.Size-b.After), "record", "records"), c.Since)
	}
	w.item("verified", "%s", verdictText(b.Verified))
	w.item("file", "%s", b.Log)
	switch {
	case b.Keys == "":
		w.line("\nThe keys are in no backup of this run (--keys-to FILE). Without them nobody can read the\npersonal fields, and no server can start on the log.")
	case filepath.Dir(b.Keys) == filepath.Dir(b.Log):
		w.item("keys", "%s", b.Keys)
		w.line("\nTake the keys to another place than the log: who has both, and the root key, can read\neverything. And keep them for a shorter time: they bring back who was erased.")
	default:
		w.item("keys", "%s", b.Keys)
	}
	root := ""
	if l.Root != "" {
		root = " (" + l.Root + ")"
	}
	w.line("\nThe root key%s is in neither. It never changes: keep a copy of it, apart from both.", root)
}

// verdictText is a report's verdict in words.
func verdictText(r *Report) string {
	switch {
	case r == nil:
		return "no (--no-verify)"
	case r.KeyName == "":
		return "consistent with itself; held against no key (--key KEY)"
	}
	return "yes, with the key " + printable(r.KeyName)
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type restoreCommand struct {
	From     string   `arg:"" help:"The backup of the log: its file, or a dump of all of it." type:"path"`
	Then     []string `arg:"" optional:"" help:"What came after it (muniment backup --since), in order." type:"path"`
	To       string   `required:"" help:"The new data directory: a folder that does not exist, or is empty. Or postgres://..., a database that holds no log." placeholder:"DIR|URL"`
	KeysTo   string   `help:"With a database: where the keys go, which must hold none: a file, or postgres://..." placeholder:"PLACE"`
	KeysFrom string   `help:"The backup file of the keys." type:"path" placeholder:"FILE"`
	RootKey  string   `help:"The file of the root key. It is copied into the new directory; leave it out if you keep it elsewhere (serve --root-key)." type:"path" placeholder:"FILE"`
	Register string   `help:"The register that survived, if there is one: it knows how long the log was last. A file, or postgres:// or etcd://." env:"MUNIMENT_REGISTER" placeholder:"PLACE"`
	Erasures string   `help:"Where the list of erasures is that survived; by default beside the register (the file's name and .erased)." placeholder:"PLACE"`
	OldKeys  bool     `help:"Restore even though the keys are older than the log, and what the missing ones sealed cannot be read."`
	JSON     bool     `name:"json" help:"Write the result as JSON."`

	NewGeneration bool `help:"If records are missing, go on in a new generation of the log, which admits the loss. Says what is missing first; needs --force."`
	Force         bool `help:"With --new-generation: begin it. What is missing was acknowledged to somebody, and is given up."`
	against
	program Program
}

func (c *restoreCommand) run(ctx context.Context, s streams) (int, error) {
	o := RestoreOptions{From: c.From, Then: c.Then, KeysFrom: c.KeysFrom, RootKey: c.RootKey, To: c.To, KeysTo: c.KeysTo, Register: c.Register, Erasures: c.Erasures, OldKeys: c.OldKeys}
	if !pgdb.Is(o.To) {
		o.To = kong.ExpandPath(o.To)
	}
	var err error
	if o.VerifyOptions, o.Moved, err = c.options(s); err != nil {
		return ExitUnchecked, err
	}
	if c.NewGeneration {
		o.Checkpoint = nil // of more records than there are, it may well be
	}
	r, err := Restore(ctx, o)
	if err != nil {
		if r != nil && r.Verified != nil && len(r.Verified.Findings) > 0 {
			r.Verified.WriteText(s.out)
			return ExitFound, err
		}
		return ExitUnchecked, err
	}
	if c.NewGeneration {
		return c.begin(ctx, s, r)
	}
	if c.JSON {
		return ExitOK, writeJSON(s.out, r)
	}
	r.write(writer{s.out})
	return ExitOK, nil
}

// begin begins a new generation of what was restored, if anything is missing.
func (c *restoreCommand) begin(ctx context.Context, s streams, r *Restored) (int, error) {
	w := writer{s.out}
	if r.Refused == "" {
		r.write(w)
		w.line("\nNo new generation was begun: nothing is missing.")
		return ExitOK, nil
	}
	w.line("%s is restored.\n", r.Dir)
	l := DefaultLayout(r.Dir)
	if pgdb.Is(c.To) {
		l = Layout{Dir: r.Dir, Log: c.To, Views: c.To, Keys: c.KeysTo, Root: c.RootKey}
	}
	if c.Register != "" {
		l.Register = c.Register
	}
	o := GenerationOptions{Force: c.Force}
	if c.Checkpoint != "" {
		var err error
		if o.Checkpoint, err = os.ReadFile(c.Checkpoint); err != nil {
			return ExitUnchecked, err
		}
	}
	g, err := BeginGeneration(ctx, l, c.program, o)
	if err != nil {
		return ExitUnchecked, err
	}
	g.writeBegun(w)
	if !g.Begun {
		return ExitFound, nil
	}
	return ExitOK, nil
}

func (r *Restored) write(w writer) {
	w.line("%s is restored.\n", r.Dir)
	w.item("log", "%s, %s, root %s", r.Manifest.Log, count(uint64(r.Manifest.Size), "record", "records"), r.Manifest.Root)
	w.item("backup of", "%s", r.Manifest.Made.Format(clock))
	w.item("verified", "%s", verdictText(r.Verified))
	w.item("keys", "%s", r.Keys)
	if r.Erased > 0 {
		w.item("", "%s of people who were erased destroyed again", count(r.Erased, "key", "keys"))
	}
	w.item("register", "%s", saidBy(r.Register, nil))
	if r.Refused == "" {
		w.line("\nThe log is all that the register knows of. The server may be started.")
		return
	}
	w.line("\nA server will not write to it: %s.", strings.TrimSuffix(r.Refused, "."))
	w.line("\nIt can be read: muniment verify, receipt, status, views. Whatever was acknowledged after\nthe backup is missing in it, and if the log went on from here under the same id, there would\nbe two histories, each with signed checkpoints. If no newer copy is to be had, go on in a new\ngeneration, which admits the loss: muniment generation begin %s. See docs/how-to/backup.md.", r.place())
}

// place is what was restored as it is said to commands.
func (r *Restored) place() string {
	if r.Dir == inDatabase {
		return "postgres://..."
	}
	return r.Dir
}

// movedTo shows how far a file has come, as progressTo does for records.
func movedTo(w io.Writer) Moved {
	end, every := pace(w)
	began, last, passes := time.Now(), time.Duration(0), int64(0)
	return func(done, of int64) {
		now := time.Since(began)
		if done < passes {
			last = 0
		}
		passes = done
		if now-last < every && (done < of || end == "\n") {
			return
		}
		last = now
		text := fmt.Sprintf("%.1f of %.1f MB", float64(done)/1e6, float64(of)/1e6)
		if end == "\r" && done >= of {
			text += "\n"
		}
		fmt.Fprintf(w, "%-78s%s", text, end)
	}
}
