package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/decide"
	"muniment.dev/fault"
	"muniment.dev/server"
	"muniment.dev/user"
)

// ViewsReport is what is left of the rate when views follow the log, and how
// far they are behind it.
type ViewsReport struct {
	Committers int      `json:"committers"`
	Duration   Duration `json:"duration"`
	Events     uint64   `json:"events"`
	PerSecond  float64  `json:"events_per_second"`
	Slowest    float64  `json:"events_per_second_slowest"` // of the seconds
	P50        Duration `json:"p50"`
	P99        Duration `json:"p99"`
	LagP50     Duration `json:"lag_p50"`
	LagP99     Duration `json:"lag_p99"`
	LagMax     Duration `json:"lag_max"`
	Bound      Duration `json:"lag_bound"` // behind which appends are slowed down
	CatchUp    Duration `json:"catch_up"`  // from the last append until the views had it
}

// sustained is how many clients append while views follow.
const sustained = 64

// views runs a whole instance, as a server does, and lets clients register
// people for a while.
func (b *bench) views(ctx context.Context) (err error) {
	in, err := b.prepare(ctx, "views", b.Preload)
	if err != nil {
		return err
	}
	if err := in.close(); err != nil {
		return err
	}
	b.say("views: %d committers for %s with all views running", sustained, b.Sustain)
	core, err := openCore(ctx, in.engine, in.layout.Dir)
	if err != nil {
		return fault.Wrap("open the server's core", err)
	}
	defer func() { err = errors.Join(err, core.Close()) }()
	if err := core.Views.Fresh(ctx, core.Log.Mark().Size); err != nil {
		return err
	}
	r, err := b.sustain(ctx, core, in)
	b.report.Views = r
	return err
}

// sustain lets clients append for a while and watches the views.
func (b *bench) sustain(ctx context.Context, core *server.Core, in *instance) (*ViewsReport, error) {
	until, cancel := context.WithTimeout(ctx, b.Sustain)
	defer cancel()
	var lags []time.Duration
	var seconds []float64
	var done atomic.Int64
	var watching sync.WaitGroup
	watching.Go(func() { lags, seconds = b.watch(until, core, &done) })
	latencies := make([][]time.Duration, sustained)
	errs := make([]error, sustained)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range sustained {
		wg.Go(func() {
			for until.Err() == nil && errs[i] == nil {
				start := time.Now()
				r := in.registration()
				_, errs[i] = decide.Run(ctx, core.Runner, user.Registering, r.envelope, r.command)
				latencies[i] = append(latencies[i], time.Since(start))
				done.Add(1)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	watching.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	ended := time.Now()
	if err := core.Views.Fresh(ctx, core.Log.Mark().Size); err != nil {
		return nil, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	slices.Sort(lags)
	r := &ViewsReport{Committers: sustained, Duration: Duration(elapsed), Events: uint64(len(all)), PerSecond: float64(len(all)) / elapsed.Seconds(),
		P50: Duration(quantile(all, 0.5)), P99: Duration(quantile(all, 0.99)), LagP50: Duration(quantile(lags, 0.5)), LagP99: Duration(quantile(lags, 0.99)),
		LagMax: Duration(quantile(lags, 1)), Bound: Duration(lagBound), CatchUp: Duration(time.Since(ended))}
	if len(seconds) > 0 {
		r.Slowest = slices.Min(seconds)
	}
	return r, nil
}

// lagBound is server.Options.MaxLag as the server has it by itself.
const lagBound = 100 * time.Millisecond

// watch samples how far the views are behind, and the rate of each second,
// until the context ends.
func (b *bench) watch(until context.Context, core *server.Core, done *atomic.Int64) (lags []time.Duration, seconds []float64) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	second, before := time.Now(), done.Load()
	for {
		select {
		case <-until.Done():
			return lags, seconds
		case <-tick.C:
		}
		lags = append(lags, core.Views.Lag())
		if since := time.Since(second); since >= time.Second {
			now := done.Load()
			seconds = append(seconds, float64(now-before)/since.Seconds())
			if len(seconds)%5 == 0 {
				b.say("views: %d s, %.0f events/s, lag %s", len(seconds), seconds[len(seconds)-1], Duration(lags[len(lags)-1]))
			}
			second, before = time.Now(), now
		}
	}
}

func (r *ViewsReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nSustained, all views running: %d committers, %s\n\n", r.Committers, r.Duration)
	fmt.Fprintf(w, "  %.0f events/s (slowest second %.0f), p50 %s, p99 %s\n", r.PerSecond, r.Slowest, r.P50, r.P99)
	fmt.Fprintf(w, "  lag of views: p50 %s, p99 %s, max %s (appends slow down beyond %s); caught up %s after the last append\n", r.LagP50, r.LagP99, r.LagMax, r.Bound, r.CatchUp)
}
