package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/server"
	"muniment.dev/view"
)

// RebuildReport is how fast the views are made again from the log, beside what
// one core needs to read and open the same records and do nothing with them.
// All records register people: each of them becomes a row with three indexes.
type RebuildReport struct {
	Records uint64  `json:"records"`
	Floor   float64 `json:"read_and_open_records_per_second"` // one core
	Rebuild float64 `json:"rebuild_records_per_second"`       // muniment views rebuild
	Check   float64 `json:"check_records_per_second"`         // muniment views check
	Ratio   float64 `json:"ratio"`                            // of Rebuild to Floor in the same round
	Lowest  float64 `json:"ratio_lowest"`
	Highest float64 `json:"ratio_highest"`
}

// rebuild rebuilds the views of a whole instance.
func (b *bench) rebuild(ctx context.Context) (err error) {
	in, err := b.prepare(ctx, "rebuild", b.Records)
	if err != nil {
		return err
	}
	if err := in.close(); err != nil {
		return err
	}
	core, err := openCore(ctx, in.engine, in.layout.Dir)
	if err != nil {
		return fault.Wrap("open the server's core", err)
	}
	defer func() { err = errors.Join(err, core.Close()) }()
	if err := core.Views.Fresh(ctx, core.Log.Mark().Size); err != nil {
		return err
	}
	n := float64(core.Log.Mark().Size)
	var floors, rebuilds, checks, ratios []float64
	for round := range b.Rounds + 1 {
		floor, _, err := timing(func() error { return readAndOpen(ctx, core) })
		if err != nil {
			return err
		}
		rebuild, _, err := timing(func() error { return core.Views.Rebuild(ctx, nil) })
		if err != nil {
			return err
		}
		check, _, err := timing(func() error { return checkViews(ctx, core.Views) })
		if err != nil {
			return err
		}
		if round == 0 { // for warming up
			continue
		}
		b.say("rebuild, round %d of %d: read and open %.0f/s, rebuild %.0f/s, check %.0f/s", round, b.Rounds, n/floor, n/rebuild, n/check)
		floors, rebuilds, checks, ratios = append(floors, n/floor), append(rebuilds, n/rebuild), append(checks, n/check), append(ratios, floor/rebuild)
	}
	b.report.Rebuild = &RebuildReport{Records: uint64(n), Floor: median(floors), Rebuild: median(rebuilds), Check: median(checks),
		Ratio: median(ratios), Lowest: slices.Min(ratios), Highest: slices.Max(ratios)}
	return nil
}

func readAndOpen(ctx context.Context, core *server.Core) error {
	for r, err := range core.Log.Read(ctx, event.Everything(), 0) {
		if err != nil {
			return err
		}
		if _, err := core.Sealer.Decode(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func checkViews(ctx context.Context, set *view.Set) error {
	differences := 0
	_, err := set.Check(ctx, nil, func(view.Difference) { differences++ })
	if err == nil && differences > 0 {
		err = fault.New(fault.Corrupt, "%d rows of the views are not what the log says", differences)
	}
	return err
}

// rebuildTarget is the rate that we want, or the reason why not.
const rebuildTarget = 50_000

func (r *RebuildReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nRebuilding all views from %d records, each a person registered\n\n", r.Records)
	fmt.Fprintf(w, "  read and open %.0f/s on one core; rebuild %.0f/s (%.2f of that, %.2f to %.2f), check %.0f/s\n", r.Floor, r.Rebuild, r.Ratio, r.Lowest, r.Highest, r.Check)
	fmt.Fprintf(w, "  wanted: %d/s; a million records take %s\n", rebuildTarget, time.Duration(1e6/r.Rebuild*float64(time.Second)).Round(time.Second))
}
