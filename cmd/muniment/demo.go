package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"muniment.dev/demo"
	"muniment.dev/fault"
)

func runDemo(ctx context.Context, w world, args []string) int {
	o := demo.Options{Stdout: w.stdout}
	rest, code, ok := flags(w, "demo", "[--keep DIR] [--listen ADDRESS] [--sample ADDRESS]", func(f *flag.FlagSet) {
		f.StringVar(&o.Keep, "keep", "", "directory that keeps the data; otherwise it goes when the demo stops")
		f.StringVar(&o.Listen, "listen", "127.0.0.1:8300", "address of the console; a taken port means the next one")
		f.StringVar(&o.Sample, "sample", "127.0.0.1:8400", "address of the sample application")
	}, args)
	if !ok {
		return code
	}
	if len(rest) > 0 {
		return failed(w, fault.Field(rest[0], "is not expected here"))
	}
	if err := demo.Run(ctx, o); err != nil && !stopped(ctx, err) {
		return failed(w, err)
	}
	return 0
}

// flags parses a command's own flags; ok is false if the command is over.
func flags(w world, name, args string, set func(*flag.FlagSet), given []string) (rest []string, code int, ok bool) {
	f := flag.NewFlagSet("muniment "+name, flag.ContinueOnError)
	f.SetOutput(w.stderr)
	f.Usage = func() {}
	set(f)
	err := f.Parse(given)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(w.stdout, "Usage: muniment %s %s\n\n", name, args)
		f.VisitAll(func(f *flag.Flag) { line(w.stdout, "--"+f.Name, f.Usage, f.DefValue) })
		return nil, 0, false
	case err != nil:
		fmt.Fprintf(w.stderr, "Run `muniment %s --help` to see what it takes.\n", name)
		return nil, 2, false
	}
	return f.Args(), 0, true
}
