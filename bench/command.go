// Package bench is `muniment bench`: how fast this machine appends, verifies
// and idles, always beside what the same machine does without us. Every ratio
// compares two things that were measured in turns within one run, so that it
// stands on a busy or a slow machine too; a rate by itself says little.
//
// What is measured is the product itself: the real deciders, the real sealing
// with keys from the durable pool, the default engine on a real disk.
// docs/benchmarks.md says what the numbers mean and what they do not.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"

	"github.com/alecthomas/kong"

	"muniment.dev/fault"
	"muniment.dev/ops"
)

// The exit codes of the command.
const (
	exitOK       = 0
	exitFailed   = 1
	exitMistaken = 2
)

const summary = "Measure appending, verifying and idling, each beside what the machine can do."

// Command is `muniment bench`. It exits with 0 if everything was measured, 1 if
// not, 2 if the command line was not understood.
func Command() ops.Command { return ops.Command{Name: "bench", Summary: summary, Run: run} }

// options of a run, as the command line has them.
type options struct {
	What       string        `arg:"" optional:"" enum:"append,nodes,views,rebuild,verify,http,publish,size,serve,all" default:"all" help:"What to measure: append, nodes, views, rebuild, verify, http, publish, size, serve; or all, but for nodes, which needs a database, and size, which takes minutes and gigabytes."`
	Duration   time.Duration `default:"500ms" help:"How long each measurement of one round takes."`
	Rounds     int           `default:"5" help:"How many rounds; medians are reported."`
	Paths      []string      `default:"bare,log,sealed,whole" enum:"bare,log,sealed,whole" help:"Which ways of appending: bare, log, sealed, whole. Ratios need bare."`
	Committers []int         `default:"1,16,64,256" help:"How many clients append at once."`
	Preload    int           `default:"20000" help:"How many people are registered before anything is measured."`
	Small      int           `default:"10000" help:"How many events the small log of size has."`
	Size       int           `default:"1000000" help:"How many events the large log of size has."`
	Records    int           `default:"50000" help:"How many records are verified."`
	Events     int           `default:"100000" help:"How many events the entity of publish has."`
	Sustain    time.Duration `default:"20s" help:"How long to append with views running, and to watch a server idle (half as long)."`
	Binary     string        `type:"path" help:"The program whose server is watched; by default this one." placeholder:"FILE"`
	Database   string        `help:"PostgreSQL on which append, nodes and size measure, in schemas of their own that are dropped afterwards." placeholder:"DSN"`
	Lease      time.Duration `default:"5s" help:"The lease of the node that is cut off by nodes."`
	Dir        string        `type:"existingdir" help:"Where to make the temporary data directories; choose the disk that you mean." placeholder:"DIR"`
	Requests   []string      `default:"get user,userinfo,introspection,create user,client credentials" help:"Which kinds of requests http measures; publish without --beside: publish event, publish 100 events."`
	Beside     bool          `default:"true" negatable:"" help:"Measure the bare handlers of http and publish, too. Without them a CPU profile shows the server and its clients alone, and nothing is reported but what is said meanwhile."`
	JSON       bool          `name:"json" help:"Write the results as JSON."`
	SVG        string        `name:"svg" type:"path" help:"Also write a chart of appending to this file." placeholder:"FILE"`
	CPUProfile string        `name:"cpuprofile" type:"path" help:"Write a CPU profile of the run; choose with --paths what is in it." placeholder:"FILE"`
	Quiet      bool          `help:"Do not show progress."`
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	code := -1
	parser, err := kong.New(&o, kong.Name("muniment bench"), kong.Description(summary), kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { code = c }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the grammar is the programmer's
	}
	_, err = parser.Parse(args)
	if code >= 0 { // help was asked for
		return code
	}
	if err == nil {
		err = o.check()
	}
	if err != nil {
		fmt.Fprintf(stderr, "muniment bench: %v\nRun `muniment bench --help` to see what it takes.\n", err)
		return exitMistaken
	}
	if err := o.measure(ctx, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "muniment bench: %v\n", err)
		return exitFailed
	}
	return exitOK
}

func (o *options) check() error {
	switch {
	case o.Duration < time.Millisecond || o.Duration > time.Minute:
		return fault.Field("duration", "must be between 1ms and 1m")
	case o.Rounds < 1 || o.Rounds > 1000:
		return fault.Field("rounds", "must be between 1 and 1000")
	case o.Preload < 1 || o.Preload > 10_000_000:
		return fault.Field("preload", "must be between 1 and 10000000")
	case o.Records < 1 || o.Records > 1_000_000:
		return fault.Field("records", "must be between 1 and 1000000")
	case o.Small < 100 || o.Size < 2*o.Small || o.Size > 100_000_000:
		return fault.Field("size", "must be at least twice as large as small, which is at least 100, and at most 100000000")
	case o.Events < 1 || o.Events > 10_000_000:
		return fault.Field("events", "must be between 1 and 10000000")
	case o.Sustain < time.Millisecond:
		return fault.Field("sustain", "must be at least 1ms")
	case o.Lease < 500*time.Millisecond || o.Lease > time.Minute:
		return fault.Field("lease", "must be between 500ms and 1m")
	case o.What == "nodes" && o.Database == "":
		return fault.Field("database", "is needed: nodes share a PostgreSQL database")
	case o.Database != "" && o.What != "nodes" && o.What != "append" && o.What != "size":
		return fault.Field("database", "is for append, nodes and size")
	case len(o.Committers) == 0:
		return fault.Field("committers", "name at least one number of clients")
	}
	for _, n := range o.Committers {
		if n < 1 || n > 4096 {
			return fault.Field("committers", "must be between 1 and 4096")
		}
	}
	return nil
}

// measure measures what was asked for and writes the results.
func (o *options) measure(ctx context.Context, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp(o.Dir, "muniment-bench-*")
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: "make a data directory", Msg: "the directory cannot be made; choose another with --dir", Err: err}
	}
	defer os.RemoveAll(dir)
	stop, err := profile(o.CPUProfile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	b := &bench{options: *o, dir: dir, report: newReport(o), say: func(string, ...any) {}}
	if !o.Quiet {
		b.say = func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	}
	if err := errors.Join(b.all(ctx), b.drop(ctx)); err != nil {
		return err
	}
	if o.SVG != "" && b.report.Append != nil {
		if err := os.WriteFile(o.SVG, chart(b.report.Append), 0o644); err != nil {
			return fault.Wrap("write the chart", err)
		}
	}
	if !o.JSON {
		b.report.writeText(stdout)
		return nil
	}
	e := json.NewEncoder(stdout)
	e.SetIndent("", "  ")
	return e.Encode(b.report)
}

// bench is one run of the command.
type bench struct {
	options
	dir     string
	schemas []engine // made in the database
	report  *Report
	say     func(format string, args ...any)
}

// all measures what was asked for.
func (b *bench) all(ctx context.Context) error {
	for _, m := range []struct {
		name, doing string
		run         func(context.Context) error
	}{
		{"append", "measure appending", b.append},
		{"nodes", "measure several nodes", b.nodes},
		{"views", "measure views", b.views},
		{"rebuild", "measure rebuilding views", b.rebuild},
		{"verify", "measure verifying", b.verify},
		{"http", "measure requests over HTTP", b.http},
		{"publish", "measure publishing", b.publish},
		{"size", "measure a large log", b.size},
		{"serve", "watch a server", b.serve},
	} {
		if b.What != m.name && (b.What != "all" || m.name == "size" || m.name == "nodes") {
			continue
		}
		if err := m.run(ctx); err != nil {
			return fault.Wrap(m.doing, err)
		}
	}
	return nil
}

// profile writes a CPU profile of the whole run to a file until stop is called.
// Without a path it does nothing.
func profile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fault.Wrap("make the profile's file", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}
