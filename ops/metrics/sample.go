package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Source is something whose state is asked for whenever metrics are read: an
// instance.
type Source struct{ Read func() Sample }

// Sample is the state of a source.
type Sample struct {
	Size              uint64 // records in the log
	Waiting           int    // appends that wait for their turn
	Retries           uint64 // commands that were decided again
	Views             []View
	CheckpointSize    uint64
	CheckpointTime    time.Time // zero: none yet
	CheckpointFailing bool
	Erasures          int // not complete yet
	Hashing, Queued   int // passwords

	// Of a log that several nodes share.
	Shared, Leads         bool
	Left                  time.Duration // of the holder's lease
	Forwarded, Unanswered uint64        // appends; Unanswered of them got no answer of the holder
	Subscriptions         []Subscription
	Adapters              []Adapter
	CredentialEnd         time.Time // when the next secret or key ends; zero: none does
}

// View is the state of a view.
type View struct {
	Name     string
	Position uint64
	Lag      time.Duration
	Stopped  bool
}

// Add has a source asked from now on, until remove is called.
func (m *Metrics) Add(read func() Sample) (remove func()) {
	s := &Source{read}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources[s] = struct{}{}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.sources, s)
	}
}

// samples asks all sources.
func (m *Metrics) samples() []Sample {
	m.mu.Lock()
	reads := make([]func() Sample, 0, len(m.sources))
	for s := range m.sources {
		reads = append(reads, s.Read)
	}
	m.mu.Unlock()
	all := make([]Sample, len(reads))
	for i, read := range reads {
		all[i] = read()
	}
	return all
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("muniment_"+name, help, labels, nil)
}

// The descriptions of what is sampled.
var (
	descInstances  = desc("instances", "Instances that are served.")
	descSize       = desc("log_size_events", "Records in the log.")
	descWaiting    = desc("log_queue_appends", "Appends that wait for their turn.")
	descRetries    = desc("command_retries_total", "Commands that were decided again, because facts had changed.")
	descPosition   = desc("view_position", "Position in the log that a view has reached.", "view")
	descLag        = desc("view_lag_seconds", "For how long a view has been behind the log.", "view")
	descStopped    = desc("view_stopped", "1 if a view has stopped at an event and needs an operator.", "view")
	descCheckpoint = desc("checkpoint_size_events", "Records that the last signed checkpoint covers.")
	descUncovered  = desc("checkpoint_behind_events", "Records that no signed checkpoint covers yet.")
	descSigned     = desc("checkpoint_timestamp_seconds", "When the last checkpoint was signed; 0 if none was since the start.")
	descFailing    = desc("checkpoint_failing", "1 if checkpoints cannot be signed at the moment.")
	descErasures   = desc("erasures_pending", "Erasures that were begun and are not complete.")
	descHashing    = desc("password_pool_working", "Passwords that are being hashed.")
	descCredential = desc("credential_next_end_timestamp_seconds", "When the next secret or key of an application or a machine user in use ends; 0 if none does.")
	descQueued     = desc("password_pool_waiting", "Passwords that wait to be hashed.")
	descLeads      = desc("node_leads", "Logs that this node appends to, of those that it shares with other nodes.")
	descFollows    = desc("node_follows", "Logs that another node appends to, or none at the moment.")
	descLease      = desc("node_lease_seconds", "For how long the holder's lease lasts, as far as is known; the least of all shared logs.")
	descForwards   = desc("node_forwards_total", "Appends that were forwarded to the node that holds the log.")
	descUnanswered = desc("node_forward_failures_total", "Forwarded appends that the holder did not answer, or that reached one who holds the log no more.")
)

// sampler collects what is sampled.
type sampler struct{ m *Metrics }

// Describe implements prometheus.Collector.
func (*sampler) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descInstances, descSize, descWaiting, descRetries, descPosition, descLag, descStopped, descCheckpoint,
		descUncovered, descSigned, descFailing, descErasures, descHashing, descQueued, descCredential,
		descBehind, descEventLag, descInFlight, descRetrying, descDead, descSubscribed,
		descAdapter, descAdapterFailed, descAdapterSucceeded, descAdapterBehind, descAdapterLag, descAdapterDead, descAdapterRefused,
		descLeads, descFollows, descLease, descForwards, descUnanswered} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *sampler) Collect(out chan<- prometheus.Metric) {
	all := c.m.samples()
	t := total(all)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descInstances, float64(len(all)))
	gauge(descSize, float64(t.Size))
	gauge(descWaiting, float64(t.Waiting))
	out <- prometheus.MustNewConstMetric(descRetries, prometheus.CounterValue, float64(t.Retries))
	for _, v := range t.Views {
		gauge(descPosition, float64(v.Position), v.Name)
		gauge(descLag, v.Lag.Seconds(), v.Name)
		gauge(descStopped, bit(v.Stopped), v.Name)
	}
	gauge(descCheckpoint, float64(t.CheckpointSize))
	gauge(descUncovered, float64(max(t.Size, t.CheckpointSize)-t.CheckpointSize))
	gauge(descSigned, stamp(t.CheckpointTime))
	gauge(descCredential, stamp(t.CredentialEnd))
	gauge(descFailing, bit(t.CheckpointFailing))
	gauge(descErasures, float64(t.Erasures))
	gauge(descHashing, float64(t.Hashing))
	gauge(descQueued, float64(t.Queued))
	c.nodes(out, all)
	subscriptions(out, all)
	adapters(out, all)
}

// nodes collects what concerns logs that several nodes share, if there are any.
func (*sampler) nodes(out chan<- prometheus.Metric, all []Sample) {
	var leads, follows, forwarded, unanswered float64
	left := time.Duration(-1)
	for _, s := range all {
		if !s.Shared {
			continue
		}
		leads, follows = leads+bit(s.Leads), follows+bit(!s.Leads)
		forwarded, unanswered = forwarded+float64(s.Forwarded), unanswered+float64(s.Unanswered)
		if left < 0 || s.Left < left {
			left = s.Left
		}
	}
	if left < 0 {
		return
	}
	out <- prometheus.MustNewConstMetric(descLeads, prometheus.GaugeValue, leads)
	out <- prometheus.MustNewConstMetric(descFollows, prometheus.GaugeValue, follows)
	out <- prometheus.MustNewConstMetric(descLease, prometheus.GaugeValue, left.Seconds())
	out <- prometheus.MustNewConstMetric(descForwards, prometheus.CounterValue, forwarded)
	out <- prometheus.MustNewConstMetric(descUnanswered, prometheus.CounterValue, unanswered)
}

// stamp is a time in seconds since 1970; 0 for none.
func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// total adds samples up; of lags and ages the worst is kept.
func total(all []Sample) Sample {
	var t Sample
	at := map[string]int{}
	for i, s := range all {
		t.Size += s.Size
		t.Waiting += s.Waiting
		t.Retries += s.Retries
		t.CheckpointSize += s.CheckpointSize
		if i == 0 || s.CheckpointTime.Before(t.CheckpointTime) {
			t.CheckpointTime = s.CheckpointTime
		}
		t.CheckpointFailing = t.CheckpointFailing || s.CheckpointFailing
		t.Erasures += s.Erasures
		if t.CredentialEnd.IsZero() || !s.CredentialEnd.IsZero() && s.CredentialEnd.Before(t.CredentialEnd) {
			t.CredentialEnd = s.CredentialEnd
		}
		t.Hashing += s.Hashing
		t.Queued += s.Queued
		for _, v := range s.Views {
			j, ok := at[v.Name]
			if !ok {
				at[v.Name] = len(t.Views)
				t.Views = append(t.Views, v)
				continue
			}
			sum := &t.Views[j]
			sum.Position += v.Position
			sum.Lag = max(sum.Lag, v.Lag)
			sum.Stopped = sum.Stopped || v.Stopped
		}
	}
	return t
}
