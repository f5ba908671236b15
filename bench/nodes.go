package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"text/tabwriter"
	"time"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/ledger"
	"muniment.dev/node"
	"muniment.dev/seal"
	"muniment.dev/server"
	"muniment.dev/user"
)

// NodesReport is what two nodes over one database append, beside one alone on
// the same cores, and how long a fail-over stops them.
type NodesReport struct {
	Levels   []NodesLevel   `json:"levels"`
	FailOver FailOverReport `json:"fail_over"`
}

// NodesLevel is one number of committers, half of them over each node. What is
// measured is the whole, or the log alone: drafts that were sealed before, whose
// facts were looked up before.
type NodesLevel struct {
	Path       string   `json:"path"`
	Committers int      `json:"committers"`
	One        float64  `json:"one_events_per_second"`
	Two        float64  `json:"two_events_per_second"`
	Ratio      float64  `json:"ratio"` // of Two to One, median of the rounds
	Lowest     float64  `json:"ratio_lowest"`
	Highest    float64  `json:"ratio_highest"`
	CPURatio   float64  `json:"cpu_ratio"` // of processor time of this process per event, One's to Two's
	OneP50     Duration `json:"one_p50"`
	TwoP50     Duration `json:"two_p50"`
	OneP99     Duration `json:"one_p99"`
	TwoP99     Duration `json:"two_p99"`
	Forwarded  uint64   `json:"forwarded"`
}

// nodesTarget is the least ratio that we want to keep.
const nodesTarget = 0.8

// member is one of the nodes, each with its store, its log and its runner. They
// are in this process, and speak to each other over loopback as servers do.
type member struct {
	log    *eventlog.Log
	runner *decide.Runner
	close  func() error
}

// post is where a node takes what others forward, and from where it forwards.
type post struct {
	address string
	server  *node.Server
	client  *node.Client
	key     []byte
	close   func() error
}

func newPost(key []byte) (*post, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &post{address: "http://" + ln.Addr().String(), server: node.NewServer(time.Now), client: node.NewClient(node.ClientOptions{}), key: key}
	end := node.Serve(ln, p.server, nil, slog.New(slog.DiscardHandler))
	p.close = func() error { p.client.Close(); return end() }
	return p, nil
}

// options are those of the log of a node that is reached here.
func (p *post) options(log event.LogID, lease time.Duration) eventlog.Options {
	key := func() []byte { return p.key }
	return eventlog.Options{Lease: lease, Address: p.address, Forward: p.client.Forward(log, key), Hear: p.client.Hear(log, key)}
}

// nodes measures one node and two in turns, then fail-overs.
func (b *bench) nodes(ctx context.Context) (err error) {
	lone, err := b.prepareOn(ctx, "one-node", b.Preload, &instance{engine: b.engine()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lone.close()) }()
	key := make([]byte, 32)
	rand.Read(key)
	p, err := newPost(key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	in := &instance{engine: b.engine(), options: func(log event.LogID) eventlog.Options { return p.options(log, eventlog.DefaultLease) }}
	if _, err := b.prepareOn(ctx, "two-nodes", b.Preload, in); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	p.server.Serve(in.log.ID(), in.log, key)
	second, err := in.member(ctx, key, eventlog.DefaultLease, func(s eventlog.Shared) eventlog.Shared { return s })
	if err != nil {
		return err
	}
	r := &NodesReport{}
	for _, n := range b.Committers {
		for _, path := range []string{logged, whole} {
			if !slices.Contains(b.Paths, path) {
				continue
			}
			l, err := b.besideOne(ctx, path, n, lone, in, second)
			if err != nil {
				return errors.Join(fmt.Errorf("%s, %d committers: %w", path, n, err), second.close())
			}
			r.Levels = append(r.Levels, l)
		}
	}
	if err := second.close(); err != nil {
		return err
	}
	r.FailOver, err = b.failOver(ctx, in, key)
	b.report.Nodes = r
	return err
}

// member opens a further node of the instance's log, over a store of its own.
func (in *instance) member(ctx context.Context, key []byte, lease time.Duration, over func(eventlog.Shared) eventlog.Shared) (_ *member, err error) {
	p, err := newPost(key)
	if err != nil {
		return nil, err
	}
	store, err := in.engine.open(ctx, "")
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	id := in.log.ID()
	log, err := ledger.OpenLog(ctx, over(store.(eventlog.Shared)), id, ledger.NewFileRegister(in.layout.Register), p.options(id, lease))
	if err != nil {
		return nil, errors.Join(err, store.Close(), p.close())
	}
	p.server.Serve(id, log, key)
	sealer := &seal.Sealer{Log: id, Assigned: log, Keys: in.keys, Registry: server.Registry(), Instance: in.sealer.Instance}
	return &member{log: log, runner: &decide.Runner{Log: log, Sealer: sealer},
		close: func() error { return errors.Join(p.close(), log.Close(), store.Close()) }}, nil
}

// over is an append over a node.
func (in *instance) over(ctx context.Context, path string, node *decide.Runner) (operation, error) {
	if path == whole {
		return in.register(node), nil
	}
	r := in.registration()
	drafts, err := in.seal(ctx, r)
	if err != nil {
		return nil, err
	}
	q, err := in.facts(ctx, r)
	return func(ctx context.Context) error {
		_, err := node.Log.Append(ctx, in.request(r, q, drafts))
		return err
	}, err
}

// register is a registration through a runner.
func (in *instance) register(runner *decide.Runner) operation {
	r := in.registration()
	return func(ctx context.Context) error {
		_, err := decide.Run(ctx, runner, user.Registering, r.envelope, r.command)
		return err
	}
}

// besideOne measures a number of committers over two nodes and over one.
func (b *bench) besideOne(ctx context.Context, path string, n int, lone, in *instance, second *member) (NodesLevel, error) {
	l := NodesLevel{Path: path, Committers: n}
	sides := [2]func(i int) (operation, error){
		func(int) (operation, error) { return lone.over(ctx, path, lone.runner) },
		func(i int) (operation, error) {
			return in.over(ctx, path, []*decide.Runner{in.runner, second.runner}[i%2])
		},
	}
	var runs [2][]timed
	rates := [2]float64{}
	before := second.log.Role().Forwarded
	for round := range b.Rounds + 1 {
		for j := range sides {
			side := (j + round) % 2
			ops := make([]operation, max(4*n, min(int(rates[side]*b.Duration.Seconds()), maxPrepared)))
			for i := range ops {
				op, err := sides[side](i)
				if err != nil {
					return l, err
				}
				ops[i] = op
			}
			t, err := together(ctx, n, ops)
			if err != nil {
				return l, err
			}
			rates[side] = t.rate()
			if round > 0 { // the first is for warming up
				runs[side] = append(runs[side], t)
			}
		}
		b.say("nodes, %s, %d committers, round %d of %d: one %.0f/s, two %.0f/s", path, n, round, b.Rounds, rates[0], rates[1])
	}
	l.Forwarded = second.log.Role().Forwarded - before
	l.compare(runs)
	return l, nil
}

// compare takes the medians.
func (l *NodesLevel) compare(runs [2][]timed) {
	var ratios, cpus []float64
	for i, one := range runs[0] {
		two := runs[1][i]
		ratios = append(ratios, two.rate()/one.rate())
		cpus = append(cpus, float64(one.cpuEach())/float64(max(two.cpuEach(), 1)))
	}
	of := func(side int, f func(timed) float64) float64 {
		var all []float64
		for _, t := range runs[side] {
			all = append(all, f(t))
		}
		return median(all)
	}
	quantiles := func(side int, q float64) Duration {
		return Duration(of(side, func(t timed) float64 { return float64(t.quantile(q)) }))
	}
	l.One, l.Two = of(0, timed.rate), of(1, timed.rate)
	l.Ratio, l.Lowest, l.Highest, l.CPURatio = median(ratios), slices.Min(ratios), slices.Max(ratios), median(cpus)
	l.OneP50, l.TwoP50, l.OneP99, l.TwoP99 = quantiles(0, .5), quantiles(1, .5), quantiles(0, .99), quantiles(1, .99)
}

func (r *NodesReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nTwo nodes on one database, each with half of the committers, beside one on the same cores\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "committers\tpath\tone/s\ttwo/s\tratio\tlowest\thighest\tCPU ratio\tone p50\ttwo p50\tone p99\ttwo p99\tforwarded\t")
	for _, l := range r.Levels {
		fmt.Fprintf(t, "%d\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t%d\t\n", l.Committers, l.Path, l.One, l.Two, l.Ratio, l.Lowest, l.Highest, l.CPURatio, l.OneP50, l.TwoP50, l.OneP99, l.TwoP99, l.Forwarded)
	}
	t.Flush()
	fmt.Fprintf(w, "\nwanted: a ratio >= %.1f\n", nodesTarget)
	r.FailOver.writeText(w)
}
