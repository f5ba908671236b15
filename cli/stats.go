package cli

import (
	"context"
	"errors"
	stdflag "flag"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit/auditapi"
	"muniment.dev/audit/stats"
	"muniment.dev/fault"
)

// words are the commands that are written for people: they ask the same API as
// the others, or read a data directory, and say what they found in sentences.
func words() []word {
	return []word{
		{"inspect", "Show one event: what happened, its context, its proof.", inspect},
		{"stats", "How much is in the log, by type, and how fast it grows.", statistics},
		{"timeline", "What happened, event by event, oldest first.", timeline},
	}
}

// word is one of them.
type word struct {
	name, summary string
	run           func(context.Context, Env, []string) error
}

// asked are the flags that all of them have.
type asked struct {
	*stdflag.FlagSet
	url  string
	json bool
}

func ask(name, args, about string) *asked {
	a := &asked{FlagSet: stdflag.NewFlagSet("muniment "+name, stdflag.ContinueOnError)}
	a.StringVar(&a.url, "url", "", "address of the server; MUNIMENT_URL, or that of the last login, if left out")
	a.BoolVar(&a.json, "json", false, "write JSON")
	a.SetOutput(io.Discard)
	a.Usage = func() {}
	a.Init(strings.TrimSpace("muniment "+name+" "+args)+"\n\n"+wrap(about, ""), stdflag.ContinueOnError)
	return a
}

// parse reads the command line; flags may stand before and behind what they
// are about. help reports that help was asked for, and given.
func (a *asked) parse(env Env, args []string) (rest []string, help bool, err error) {
	for {
		err := a.Parse(args)
		if errors.Is(err, stdflag.ErrHelp) {
			fmt.Fprintf(env.Stdout, "%s\n\n", a.Name())
			a.VisitAll(func(f *stdflag.Flag) { entry(env.Stdout, "--"+f.Name, strings.ToUpper(f.Usage[:1])+f.Usage[1:]+".") })
			return nil, true, nil
		}
		if err != nil {
			return nil, false, &Usage{clean(err.Error())}
		}
		if a.NArg() == 0 {
			return rest, false, nil
		}
		rest, args = append(rest, a.Arg(0)), a.Args()[1:]
	}
}

// clients call the server that was asked for.
func (a *asked) clients(ctx context.Context, env Env) (*api.Clients, error) {
	if a.url == "" {
		a.url = env.Getenv("MUNIMENT_URL")
	}
	server, token, err := whereAndWho(ctx, env, a.url)
	if err != nil {
		return nil, err
	}
	return api.NewClients(bearer{env.client(), token}, server, connect.WithReadMaxBytes(64<<20)), nil
}

// answered is what the server said, as an error for people.
func answered(err error) error {
	if err == nil {
		return nil
	}
	if f := api.Explain(err); f.GetMessage() != "" {
		return &failure{msg: clean(f.GetMessage())}
	}
	return &failure{msg: "the server cannot be reached, or did not understand"}
}

func statistics(ctx context.Context, env Env, args []string) error {
	a := ask("stats", "[flags]", "How much is in the log, by type, and how fast it grows: sums that the server keeps, for those who may read the events of the whole instance. Or with --data counted in the directory of a server that is stopped, which is not changed.")
	dir := a.String("data", "", "data directory to read, instead of asking a server")
	rest, help, err := a.parse(env, args)
	if err != nil || help {
		return err
	}
	if len(rest) > 0 {
		return &Usage{clean(rest[0]) + " is not expected here"}
	}
	got, err := a.statistics(ctx, env, *dir)
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(env.Stdout, proto.Message(got), "")
	}
	writeStatistics(env.Stdout, got)
	return nil
}

// statistics are the sums that the server keeps, or those of a directory.
func (a *asked) statistics(ctx context.Context, env Env, dir string) (*munimentv1.GetStatisticsResponse, error) {
	if dir != "" {
		r, err := openDirectory(ctx, dir, false)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		st, err := stats.Of(r.Records(ctx), time.Now())
		if err != nil {
			return nil, &failure{msg: clean(fault.Public(err))}
		}
		return auditapi.Answer(st, time.Now()), nil
	}
	c, err := a.clients(ctx, env)
	if err != nil {
		return nil, err
	}
	got, err := c.Event.GetStatistics(ctx, &munimentv1.GetStatisticsRequest{})
	return got, answered(err)
}

func writeStatistics(w io.Writer, s *munimentv1.GetStatisticsResponse) {
	if s.GetCounted() < s.GetTotalEvents() {
		fmt.Fprintf(w, "The log is being counted: %d of %d so far.\n\n", s.GetCounted(), s.GetTotalEvents())
	}
	fmt.Fprintf(w, "events                 %d\n", s.GetTotalEvents())
	fmt.Fprintf(w, "per second, last min.  %.2f\n", s.GetEventsPerSecond())
	fmt.Fprintf(w, "per second, ever       %.4f\n", s.GetAverageEventsPerSecond())
	fmt.Fprintf(w, "average record         %.0f bytes\n", s.GetAverageRecordBytes())
	fmt.Fprintf(w, "all records            %d bytes\n", s.GetRecordBytes())
	fmt.Fprintf(w, "streams                %d\n", s.GetStreams())
	fmt.Fprintf(w, "tree depth             %d\n", s.GetTreeDepth())
	fmt.Fprintf(w, "failed sign-ins        %d\n", s.GetFailedSignIns())
	fmt.Fprintf(w, "refusals               %d\n\n", s.GetRefusals())
	for _, t := range s.GetTypes() {
		share := 100 * float64(t.GetEvents()) / float64(max(1, s.GetCounted()))
		fmt.Fprintf(w, "%10d  %5.1f %%  %s\n", t.GetEvents(), share, clean(t.GetType()))
	}
}

// moment reads a time, or how long ago it was.
func moment(field, s string, now time.Time) (*timestamppb.Timestamp, error) {
	if s == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return timestamppb.New(now.Add(-d)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return timestamppb.New(t), nil
		}
	}
	return nil, &Usage{"--" + field + " must be a time such as 2026-01-31, 2026-01-31T15:04 or 2026-01-31T15:04:05Z, in UTC, or how long ago it was, such as 36h"}
}
