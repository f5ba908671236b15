package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/user"
)

// The ways of appending, each one step nearer to the whole.
const (
	bare   = "bare"   // finished records written to the engine
	logged = "log"    // sealed beforehand; condition, keys, leaf, chains, hash, tree, index
	sealed = "sealed" // the same with sealing, keys drawn from the pool
	whole  = "whole"  // the same with idempotency, facts, authority and decision

	embedded = "embedded" // the whole on the embedded engine, beside one on PostgreSQL
)

// AppendReport is what appending costs, by number of committers.
type AppendReport struct {
	Engine  string        `json:"engine"`
	Records uint64        `json:"records"` // in the log when measuring began
	Levels  []AppendLevel `json:"levels"`
}

// AppendLevel is one number of committers.
type AppendLevel struct {
	Committers int            `json:"committers"`
	Paths      []AppendResult `json:"paths"`
	// On PostgreSQL: processor time of the whole in this process, to that on the
	// embedded engine in the same round.
	CPUToEmbedded float64 `json:"cpu_to_embedded,omitempty"`
	CPULowest     float64 `json:"cpu_to_embedded_lowest,omitempty"`
	CPUHighest    float64 `json:"cpu_to_embedded_highest,omitempty"`
}

// AppendResult is one way of appending: medians over the rounds. Ratio is to
// the bare writes of the same round.
type AppendResult struct {
	Path      string   `json:"path"`
	PerSecond float64  `json:"events_per_second"`
	Ratio     float64  `json:"ratio,omitempty"`
	Lowest    float64  `json:"ratio_lowest,omitempty"` // of the rounds
	Highest   float64  `json:"ratio_highest,omitempty"`
	P50       Duration `json:"p50"`
	P99       Duration `json:"p99"`
	CPU       Duration `json:"cpu,omitempty"` // per event, all of the process
	CPURatio  float64  `json:"cpu_ratio,omitempty"`
}

// append measures the ways of appending in turns.
func (b *bench) append(ctx context.Context) (err error) {
	in, err := b.prepareOn(ctx, "append", b.Preload, &instance{engine: b.engine()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	beside, paths := in, b.Paths
	if b.Database != "" {
		if beside, err = b.prepare(ctx, "append-embedded", b.Preload); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, beside.close()) }()
		paths = append(slices.Clone(paths), embedded)
	}
	w, err := b.bare(ctx, in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	report := &AppendReport{Engine: "the embedded engine", Records: uint64(in.log.Mark().Size)}
	if b.Database != "" {
		report.Engine = "PostgreSQL"
	}
	for _, n := range b.Committers {
		l := level{bench: b, in: in, beside: beside, paths: paths, bare: w, clients: n, rates: map[string]float64{}, runs: map[string][]timed{}}
		if err := l.measure(ctx); err != nil {
			return fmt.Errorf("%d committers: %w", n, err)
		}
		report.Levels = append(report.Levels, l.result())
	}
	b.report.Append = report
	return nil
}

// level measures one number of clients.
type level struct {
	*bench
	in      *instance
	beside  *instance // on the embedded engine
	paths   []string
	bare    *bareWriter
	clients int
	rates   map[string]float64 // as far as is known, to choose how many operations to prepare
	runs    map[string][]timed // by path, one of each round
}

// maxPrepared bounds the operations that wait in memory.
const maxPrepared = 60_000

func (l *level) measure(ctx context.Context) error {
	for round := range l.Rounds + 1 {
		order := slices.Clone(l.paths)
		if round%2 == 1 {
			slices.Reverse(order) // what one leaves to be compacted is not always the same one's burden
		}
		for _, path := range order {
			n := max(4*l.clients, min(200, l.Preload))
			if round > 0 {
				n = max(4*l.clients, min(int(l.rates[path]*l.Duration.Seconds()), maxPrepared))
			}
			t, err := l.once(ctx, path, n)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			l.rates[path] = t.rate()
			if round > 0 { // the first is for warming up
				l.runs[path] = append(l.runs[path], t)
			}
		}
		if round > 0 {
			l.say("append, %d committers, round %d of %d:%s", l.clients, round, l.Rounds, l.line())
		}
	}
	return nil
}

// line says how the last round went.
func (l *level) line() (text string) {
	for _, path := range l.paths {
		runs := l.runs[path]
		text += fmt.Sprintf("  %s %.0f/s", path, runs[len(runs)-1].rate())
	}
	return text
}

// once prepares n operations and lets the clients share them.
func (l *level) once(ctx context.Context, path string, n int) (timed, error) {
	ops := make([]operation, n)
	in := l.in
	if path == embedded {
		in, path = l.beside, whole
	}
	for i := range ops {
		op, err := l.prepare(ctx, in, path)
		if err != nil {
			return timed{}, err
		}
		ops[i] = op
	}
	return together(ctx, l.clients, ops)
}

// prepare does what of an append is not measured on a path.
func (l *level) prepare(ctx context.Context, in *instance, path string) (operation, error) {
	r := in.registration()
	switch path {
	case whole:
		return func(ctx context.Context) error {
			_, err := decide.Run(ctx, in.runner, user.Registering, r.envelope, r.command)
			return err
		}, nil
	case sealed:
		query, err := in.facts(ctx, r)
		return func(ctx context.Context) error {
			drafts, err := in.seal(ctx, r)
			if err != nil {
				return err
			}
			return in.append(ctx, r, query, drafts)
		}, err
	}
	drafts, err := in.seal(ctx, r)
	if err != nil {
		return nil, err
	}
	if path == bare {
		return l.bare.prepare(in.log.ID(), r, drafts[0], []eventlog.KeyUse{freshKey(drafts[0], r.command.User)}), nil
	}
	query, err := in.facts(ctx, r)
	return func(ctx context.Context) error { return in.append(ctx, r, query, drafts) }, err
}

// freshKey is the key that a registration gives to the person.
func freshKey(d *event.Draft, person event.ID) eventlog.KeyUse {
	i := slices.IndexFunc(d.Blocks, func(b event.Block) bool { return b.Subject.ID == person })
	return eventlog.KeyUse{Subject: d.Blocks[i].Subject, Key: d.Blocks[i].Key}
}

// facts is the query of the condition under which package decide appends a
// registration.
func (in *instance) facts(ctx context.Context, r registration) (event.Query, error) {
	var q event.Query
	for _, f := range user.Registering.Query(r.command) {
		it := event.Item{Types: f.Types}
		if !f.Stream.IsZero() {
			it.All = append(it.All, event.StreamTerm(f.Stream))
		}
		if f.Blind != nil {
			t, err := in.sealer.BlindTerm(ctx, f.Blind.Name, f.Blind.Value, f.Blind.Fold)
			if err != nil {
				return nil, err
			}
			it.All = append(it.All, t)
		}
		q = append(q, it)
	}
	return q.Or(authz.Query(r.envelope.Actor)), nil
}

func (in *instance) append(ctx context.Context, r registration, q event.Query, drafts []*event.Draft) error {
	_, err := in.log.Append(ctx, in.request(r, q, drafts))
	return err
}

func (in *instance) request(r registration, q event.Query, drafts []*event.Draft) eventlog.Request {
	return eventlog.Request{Actor: r.envelope.Actor, Command: r.envelope.Command, Events: drafts,
		If: event.Condition{Query: q, After: in.log.Mark().Size}}
}

// result takes the medians.
func (l *level) result() AppendLevel {
	out := AppendLevel{Committers: l.clients}
	for _, path := range l.paths {
		var rates, ratios, cpuRatios []float64
		var p50, p99, cpu []time.Duration
		for i, t := range l.runs[path] {
			rates, p50, p99, cpu = append(rates, t.rate()), append(p50, t.quantile(0.5)), append(p99, t.quantile(0.99)), append(cpu, t.cpuEach())
			if base := l.runs[bare]; len(base) > 0 {
				ratios = append(ratios, t.rate()/base[i].rate())
				if t.cpu > 0 {
					cpuRatios = append(cpuRatios, float64(base[i].cpuEach())/float64(t.cpuEach()))
				}
			}
		}
		r := AppendResult{Path: path, PerSecond: median(rates), Ratio: median(ratios), CPURatio: median(cpuRatios),
			P50: Duration(median(p50)), P99: Duration(median(p99)), CPU: Duration(median(cpu))}
		if len(ratios) > 0 {
			r.Lowest, r.Highest = slices.Min(ratios), slices.Max(ratios)
		}
		out.Paths = append(out.Paths, r)
	}
	var ratios []float64
	for i := range min(len(l.runs[whole]), len(l.runs[embedded])) {
		if e := l.runs[embedded][i].cpuEach(); e > 0 {
			ratios = append(ratios, float64(l.runs[whole][i].cpuEach())/float64(e))
		}
	}
	if len(ratios) > 0 {
		out.CPUToEmbedded, out.CPULowest, out.CPUHighest = median(ratios), slices.Min(ratios), slices.Max(ratios)
	}
	return out
}
