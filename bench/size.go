package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/seal"
	"muniment.dev/session"
	"muniment.dev/session/signin"
	"muniment.dev/user"
)

// SizeReport is what a large log costs, beside a small one. What it was when it
// was measured last, and why: docs/benchmarks.md, "A large log".
type SizeReport struct {
	Small   uint64    `json:"small_events"`
	Large   uint64    `json:"large_events"`
	Open    []Opening `json:"open"`
	Compare []Growth  `json:"operations"`
}

// Opening is how long a server takes from its start to its first answer.
type Opening struct {
	Events uint64   `json:"events"`
	Bytes  int64    `json:"bytes"` // of the data directory; a log on PostgreSQL is not in it
	Open   Duration `json:"open"`  // until it is assembled
	Answer Duration `json:"first_answer"`
}

// Growth is what an operation costs in the large log, beside the small one.
type Growth struct {
	Name     string   `json:"name"`
	Small    Duration `json:"small"` // median time of one
	Large    Duration `json:"large"`
	Ratio    float64  `json:"ratio"`
	SmallP99 Duration `json:"small_p99"`
	LargeP99 Duration `json:"large_p99"`
	SmallCPU Duration `json:"small_cpu"` // processor time of one
	LargeCPU Duration `json:"large_cpu"`
	CPURatio float64  `json:"cpu_ratio"` // suffers less from what else the machine does
}

// What a large log may cost.
const (
	openTarget   = time.Second
	growthTarget = 1.2
)

// perPerson is how many tokens each person got, besides being registered.
const perPerson = 9

// size builds a small and a large log and measures the same on both in turns.
func (b *bench) size(ctx context.Context) error {
	r := &SizeReport{}
	var webs []*web
	defer func() {
		for _, w := range webs {
			w.close()
		}
	}()
	for i, events := range []int{b.Small, b.Size} {
		w, opened, err := b.grown(ctx, fmt.Sprintf("size-%d", i), events)
		if err != nil {
			return err
		}
		webs, r.Open = append(webs, w), append(r.Open, opened)
	}
	r.Small, r.Large = r.Open[0].Events, r.Open[1].Events
	for _, o := range sizeOperations {
		g, err := b.growth(ctx, o, webs)
		if err != nil {
			return fault.Wrap(o.name, err)
		}
		r.Compare = append(r.Compare, g)
	}
	b.report.Size = r
	return nil
}

// grown makes a directory with so many events, opens it as a server does that
// starts, and leaves it open.
func (b *bench) grown(ctx context.Context, name string, events int) (*web, Opening, error) {
	var o Opening
	dir := filepath.Join(b.dir, name)
	e := b.engine()
	w, err := b.newWeb(ctx, e, name, httpClients)
	if err != nil {
		return nil, o, err
	}
	b.say("size: %d events", events)
	if err := fill(ctx, w, events); err != nil {
		return nil, o, errors.Join(fault.Wrap("fill the log", err), w.close())
	}
	began := time.Now()
	size := w.Core.Log.Mark().Size
	if err := errors.Join(w.Core.Views.Fresh(ctx, size), w.Core.Stats.Wait(ctx, size)); err != nil {
		return nil, o, errors.Join(err, w.close())
	}
	b.say("size: views were ready %s after the last append", time.Since(began).Round(time.Millisecond))
	owner, organization := w.owner, w.organization
	if err := w.close(); err != nil {
		return nil, o, err
	}
	began = time.Now()
	if w, err = startWeb(ctx, e, dir, httpClients); err != nil {
		return nil, o, err
	}
	o.Open = Duration(time.Since(began))
	w.owner, w.organization = owner, organization
	_, err = w.API.User.GetUser(w.as(ctx), &munimentv1.GetUserRequest{UserId: owner.String()})
	o.Answer, o.Events, o.Bytes = Duration(time.Since(began)), uint64(w.Core.Log.Mark().Size), folderSize(dir)
	b.say("size: %d events: open after %s, the first answer after %s", o.Events, o.Open, o.Answer)
	if err != nil {
		return nil, o, errors.Join(err, w.close())
	}
	return w, o, nil
}

// fill appends through the real log: people with their tokens, many at a time.
func fill(ctx context.Context, w *web, events int) error {
	in := &instance{log: w.Core.Log, sealer: w.Core.Sealer, runner: w.Core.Runner, owner: w.owner, organization: event.MustID(w.organization)}
	for size := int(in.log.Mark().Size); size < events; size = int(in.log.Mark().Size) {
		if err := w.Core.Runner.Slow(ctx); err != nil {
			return err
		}
		if err := in.people(ctx, min(100, (events-size+perPerson)/(1+perPerson))); err != nil {
			return err
		}
	}
	return nil
}

// people appends n people with the tokens that each got.
func (in *instance) people(ctx context.Context, n int) error {
	application, envelope := event.NewID(), in.registration().envelope
	var drafts []*event.Draft
	for range n {
		r := in.registration()
		d, err := in.seal(ctx, r)
		if err != nil {
			return err
		}
		drafts = append(drafts, d...)
		var tokens []event.New
		for range perPerson {
			a := event.NewID()
			tokens = append(tokens, event.New{Stream: session.AuthorizationStream(a), Payload: session.TokenIssued{Authorization: a, Token: event.NewID(),
				Session: event.NewID(), User: r.command.User, Organization: in.organization, Application: application, Expires: event.Instant(time.Now().UnixMicro())}})
		}
		if d, err = in.sealer.Seal(ctx, event.System, tokens, seal.Context{}); err != nil {
			return err
		}
		drafts = append(drafts, d...)
	}
	_, err := in.log.Append(ctx, eventlog.Request{Actor: envelope.Actor, Command: envelope.Command, Events: drafts})
	return err
}

// sizeOperations are what must not cost more in a large log.
var sizeOperations = []struct {
	name string
	make func(ctx context.Context, w *web) (operation, error)
}{
	{"append (register a person)", func(_ context.Context, w *web) (operation, error) {
		in := &instance{owner: w.owner, organization: event.MustID(w.organization)}
		return func(ctx context.Context) error {
			r := in.registration()
			_, err := decide.Run(ctx, w.Core.Runner, user.Registering, r.envelope, r.command)
			return err
		}, nil
	}},
	{"sign in with a password", func(ctx context.Context, w *web) (operation, error) {
		// Other people from elsewhere each time: nobody signs in that often.
		people, err := w.people(ctx, sizeOnce)
		var n atomic.Uint32
		return func(ctx context.Context) error {
			i := n.Add(1) - 1
			from := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
			_, err := w.SignIn.SignIn(call.WithFacts(ctx, call.Facts{IP: from}), signin.Attempt{Email: people[i], Password: webPassword})
			return err
		}, err
	}},
	{"first page of events", func(_ context.Context, w *web) (operation, error) {
		return func(ctx context.Context) error {
			_, err := w.API.Event.ListEvents(w.as(ctx), &munimentv1.ListEventsRequest{Descending: true, PageSize: 50})
			return err
		}, nil
	}},
}

// sizeOnce is how many operations one round has.
const sizeOnce = 100

// people makes people with passwords and returns their addresses.
func (w *web) people(ctx context.Context, n int) (emails []string, err error) {
	for range n {
		email, pass := "signs-in-"+event.NewID().String()+"@bench.example", webPassword
		if _, err := w.API.User.CreateUser(w.as(ctx), &munimentv1.CreateUserRequest{Email: email, GivenName: "X", OrganizationId: w.organization, Password: &pass}); err != nil {
			return nil, err
		}
		emails = append(emails, email)
	}
	return emails, nil
}

// growth measures an operation on both logs in turns, one at a time: what one
// costs shows best where nothing waits for anything else.
func (b *bench) growth(ctx context.Context, o struct {
	name string
	make func(ctx context.Context, w *web) (operation, error)
}, webs []*web) (Growth, error) {
	g := Growth{Name: o.name}
	var medians [2][]time.Duration
	var p99, cpu [2][]time.Duration
	var ratios, cpus []float64
	for round := range b.Rounds + 1 {
		var now, used [2]time.Duration
		for i, w := range webs {
			op, err := o.make(ctx, w)
			if err != nil {
				return g, err
			}
			ops := make([]operation, sizeOnce)
			for j := range ops {
				ops[j] = op
			}
			t, err := together(ctx, 1, ops)
			if err != nil {
				return g, err
			}
			now[i], used[i] = t.quantile(.5), t.cpuEach()
			if round > 0 {
				cpu[i] = append(cpu[i], used[i])
				medians[i], p99[i] = append(medians[i], now[i]), append(p99[i], t.quantile(.99))
			}
		}
		if round > 0 {
			ratios = append(ratios, float64(now[1])/float64(now[0]))
			cpus = append(cpus, float64(used[1])/float64(max(used[0], 1)))
			b.say("size, %s, round %d of %d: %s and %s, of processor time %s and %s", o.name, round, b.Rounds, now[0], now[1], used[0], used[1])
		}
	}
	g.Small, g.Large, g.Ratio = Duration(median(medians[0])), Duration(median(medians[1])), median(ratios)
	g.SmallP99, g.LargeP99 = Duration(median(p99[0])), Duration(median(p99[1]))
	g.SmallCPU, g.LargeCPU, g.CPURatio = Duration(median(cpu[0])), Duration(median(cpu[1])), median(cpus)
	return g, nil
}

// folderSize is how many bytes the files of a folder have.
func folderSize(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if i, err := d.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil
	})
	return n
}

func (r *SizeReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nA log of %d events beside one of %d\n\n", r.Large, r.Small)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "events\tdirectory\topen\tfirst answer\t")
	for _, o := range r.Open {
		fmt.Fprintf(t, "%d\t%.0f MiB\t%s\t%s\t\n", o.Events, float64(o.Bytes)/(1<<20), o.Open, o.Answer)
	}
	t.Flush()
	fmt.Fprintf(w, "wanted: the first answer within %s\n\n", openTarget)
	fmt.Fprintln(t, "one at a time\tsmall\tlarge\tratio\tsmall p99\tlarge p99\tsmall CPU\tlarge CPU\tCPU ratio\t")
	for _, g := range r.Compare {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%s\t%s\t%s\t%s\t%.2f\t\n", g.Name, g.Small, g.Large, g.Ratio, g.SmallP99, g.LargeP99, g.SmallCPU, g.LargeCPU, g.CPURatio)
	}
	t.Flush()
	fmt.Fprintf(w, "wanted: a ratio <= %.1f\n", growthTarget)
}
