package bench

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"
)

// Report is what one run measured. What was not measured is nil.
type Report struct {
	Cores    int            `json:"cores"`
	Memory   uint64         `json:"memory_bytes,omitempty"`
	Rounds   int            `json:"rounds"`
	Duration Duration       `json:"duration"` // of one measurement
	Append   *AppendReport  `json:"append,omitempty"`
	Nodes    *NodesReport   `json:"nodes,omitempty"`
	Views    *ViewsReport   `json:"views,omitempty"`
	Rebuild  *RebuildReport `json:"rebuild,omitempty"`
	Verify   *VerifyReport  `json:"verify,omitempty"`
	HTTP     *HTTPReport    `json:"http,omitempty"`
	Publish  *PublishReport `json:"publish,omitempty"`
	Size     *SizeReport    `json:"size,omitempty"`
	Serve    *ServeReport   `json:"serve,omitempty"`
}

// Duration is a time.Duration that JSON shows as text, such as "1.5ms".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// String rounds to three digits.
func (d Duration) String() string {
	t, unit := time.Duration(d), time.Duration(1)
	for unit*1000 <= t {
		unit *= 10
	}
	return t.Round(unit).String()
}

func newReport(o *options) *Report {
	return &Report{Cores: runtime.GOMAXPROCS(0), Memory: memory(), Rounds: o.Rounds, Duration: Duration(o.Duration)}
}

// The least ratios that we want to keep.
const (
	appendTarget   = 0.5 // from 64 committers on
	verifyTarget   = 0.5
	embeddedTarget = 2.0 // at most, of processor time
)

func (r *Report) writeText(w io.Writer) {
	fmt.Fprintf(w, "%d cores", r.Cores)
	if r.Memory > 0 {
		fmt.Fprintf(w, ", %.0f GiB of memory", float64(r.Memory)/(1<<30))
	}
	fmt.Fprintf(w, "; medians of %d rounds\n", r.Rounds)
	if r.Append != nil {
		r.Append.writeText(w)
	}
	if r.Nodes != nil {
		r.Nodes.writeText(w)
	}
	if r.Views != nil {
		r.Views.writeText(w)
	}
	if r.Rebuild != nil {
		r.Rebuild.writeText(w)
	}
	if r.Verify != nil {
		r.Verify.writeText(w)
	}
	if r.HTTP != nil {
		r.HTTP.writeText(w)
	}
	if r.Publish != nil {
		r.Publish.writeText(w)
	}
	if r.Size != nil {
		r.Size.writeText(w)
	}
	if r.Serve != nil {
		r.Serve.writeText(w)
	}
}

func (r *AppendReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nProvable append on %s, one event per command, on a log of %d records\n\n", r.Engine, r.Records)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "committers\tpath\tevents/s\tratio\tlowest\thighest\tp50\tp99\tCPU/event\tCPU ratio\t")
	for _, l := range r.Levels {
		for _, p := range l.Paths {
			fmt.Fprintf(t, "%d\t%s\t%.0f\t%.2f\t%.2f\t%.2f\t%s\t%s\t%s\t%.2f\t\n", l.Committers, p.Path, p.PerSecond, p.Ratio, p.Lowest, p.Highest, p.P50, p.P99, p.CPU, p.CPURatio)
		}
	}
	t.Flush()
	fmt.Fprintf(w, "\nratio: to bare writes of the same records in the same round; wanted: whole >= %.1f from 64 committers on\n", appendTarget)
	for _, l := range r.Levels {
		if l.CPUToEmbedded > 0 {
			fmt.Fprintf(w, "%d committers: processor time of the whole in this process %.2f times that of the embedded engine (%.2f to %.2f); wanted: <= %.0f\n",
				l.Committers, l.CPUToEmbedded, l.CPULowest, l.CPUHighest, embeddedTarget)
		}
	}
}
