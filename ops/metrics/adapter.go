package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Adapter is how far an adapter to an external system is.
type Adapter struct {
	ID, State string
	Failed    int           // runs in a row
	Succeeded time.Time     // the last run that did not fail; zero: none
	Behind    uint64        // records since the first event that was not pushed
	Lag       time.Duration // for how long that has been there
	Dead      int
	Refused   int
}

var (
	descAdapter          = desc("adapter_active", "1 if an adapter runs; 0 if it is paused or stopped.", "adapter")
	descAdapterFailed    = desc("adapter_failed_runs", "Runs of an adapter in a row that have failed.", "adapter")
	descAdapterSucceeded = desc("adapter_last_success_timestamp_seconds", "When an adapter last ran without a failure; 0: never.", "adapter")
	descAdapterBehind    = desc("adapter_behind_events", "Records in the log since the first event that an adapter has not pushed.", "adapter")
	descAdapterLag       = desc("adapter_lag_seconds", "Age of the first event that an adapter has not pushed.", "adapter")
	descAdapterDead      = desc("adapter_dead_letters", "Events that an external system has refused.", "adapter")
	descAdapterRefused   = desc("adapter_refused_events", "Events of an external system that were not recorded.", "adapter")
)

// adapters collects what concerns adapters, by their ids: names would be the
// customers' own words.
func adapters(out chan<- prometheus.Metric, all []Sample) {
	gauge := func(d *prometheus.Desc, v float64, id string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, id)
	}
	for _, s := range all {
		for _, x := range s.Adapters {
			succeeded := 0.0
			if !x.Succeeded.IsZero() {
				succeeded = float64(x.Succeeded.UnixMilli()) / 1000
			}
			gauge(descAdapter, bit(x.State == "active"), x.ID)
			gauge(descAdapterFailed, float64(x.Failed), x.ID)
			gauge(descAdapterSucceeded, succeeded, x.ID)
			gauge(descAdapterBehind, float64(x.Behind), x.ID)
			gauge(descAdapterLag, x.Lag.Seconds(), x.ID)
			gauge(descAdapterDead, float64(x.Dead), x.ID)
			gauge(descAdapterRefused, float64(x.Refused), x.ID)
		}
	}
}
