package metrics

import (
	"strings"
	"testing"
	"time"
)

// How far each subscription is, is found by its id.
func TestSubscriptionMetrics(t *testing.T) {
	m := New("1.2.3")
	defer m.Add(func() Sample {
		return Sample{Subscriptions: []Subscription{{ID: "0a", State: "active", Behind: 7, Lag: 1500 * time.Millisecond, InFlight: 3, Retrying: 2, Dead: 1}, {ID: "0b", State: "stopped"}}}
	})()
	_, text := scrape(t, m.Handler(), "")
	for _, line := range []string{
		`muniment_subscription_active{subscription="0a"} 1`,
		`muniment_subscription_active{subscription="0b"} 0`,
		`muniment_subscription_behind_events{subscription="0a"} 7`,
		`muniment_subscription_lag_seconds{subscription="0a"} 1.5`,
		`muniment_subscription_in_flight_events{subscription="0a"} 3`,
		`muniment_subscription_retrying_streams{subscription="0a"} 2`,
		`muniment_subscription_dead_letters{subscription="0a"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
}
