package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Subscription is how far a subscription is.
type Subscription struct {
	ID, State string
	Behind    uint64        // records since the first event that is not settled
	Lag       time.Duration // for how long that has been there
	InFlight  int
	Retrying  int
	Dead      int
}

var (
	descSubscribed = desc("subscription_active", "1 if a subscription delivers; 0 if it is paused or stopped.", "subscription")
	descBehind     = desc("subscription_behind_events", "Records in the log since the first event that a subscription has not settled.", "subscription")
	descEventLag   = desc("subscription_lag_seconds", "Age of the first event that a subscription has not settled.", "subscription")
	descInFlight   = desc("subscription_in_flight_events", "Events that are with a subscriber.", "subscription")
	descRetrying   = desc("subscription_retrying_streams", "Streams of which an event waits for another attempt.", "subscription")
	descDead       = desc("subscription_dead_letters", "Events that are not delivered any more until somebody redrives or discards them.", "subscription")
)

// subscriptions collects what concerns subscriptions, by their ids: names would
// be the customers' own words.
func subscriptions(out chan<- prometheus.Metric, all []Sample) {
	gauge := func(d *prometheus.Desc, v float64, id string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, id)
	}
	for _, s := range all {
		for _, x := range s.Subscriptions {
			gauge(descSubscribed, bit(x.State == "active"), x.ID)
			gauge(descBehind, float64(x.Behind), x.ID)
			gauge(descEventLag, x.Lag.Seconds(), x.ID)
			gauge(descInFlight, float64(x.InFlight), x.ID)
			gauge(descRetrying, float64(x.Retrying), x.ID)
			gauge(descDead, float64(x.Dead), x.ID)
		}
	}
}
