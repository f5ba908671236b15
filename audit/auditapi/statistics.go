package auditapi

import (
	"cmp"
	"context"
	"slices"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit/stats"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
)

// maxDays is how many days an answer holds at most.
const maxDays = 90

// The types of events that say that something was not done.
const (
	typeFailed  = "signin.failed"
	typeRefused = "access.refused"
)

// GetStatistics implements the EventService. What is counted is of the whole
// instance, and so only for those who may read all of it.
func (s *Service) GetStatistics(ctx context.Context, _ *munimentv1.GetStatisticsRequest) (*munimentv1.GetStatisticsResponse, error) {
	sight, err := s.sight(ctx)
	if err != nil {
		return nil, err
	}
	if !sight.All {
		return nil, s.refused(ctx, readStatistics, authz.Denied(readStatistics))
	}
	return Answer(s.Statistics.Statistics(), s.Runner.Log.Now()), nil
}

// Answer is what the API says of statistics at a time.
func Answer(st *stats.Statistics, now time.Time) *munimentv1.GetStatisticsResponse {
	out := &munimentv1.GetStatisticsResponse{TotalEvents: st.Events, Counted: uint64(st.Counted), EventsPerSecond: float64(st.Minute) / 60,
		AverageEventsPerSecond: st.PerSecond(now), RecordBytes: st.Bytes, Streams: st.Streams, TreeDepth: uint32(st.TreeDepth()),
		FailedSignIns: st.Types[typeFailed], Refusals: st.Types[typeRefused]}
	if st.Counted > 0 {
		out.AverageRecordBytes = float64(st.Bytes) / float64(st.Counted)
		out.First, out.Last = timestamp(st.First), timestamp(st.Last)
	}
	for typ, n := range st.Types {
		out.Types = append(out.Types, &munimentv1.TypeCount{Type: typ, Events: n})
	}
	slices.SortFunc(out.Types, func(a, b *munimentv1.TypeCount) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Type, b.Type))
	})
	out.Hours = periods(st.Hours)
	out.Days = periods(st.Days[max(0, len(st.Days)-maxDays):])
	return out
}

const readStatistics = "read the statistics of the whole instance"

// refused records that somebody was refused to read something.
func (s *Service) refused(ctx context.Context, what string, why error) error {
	c, err := call.CallerOf(ctx)
	if err != nil {
		return err
	}
	f, _ := call.FactsOf(ctx)
	s.Runner.Refused(ctx, what, decide.Envelope{Actor: c.Actor(), Context: call.Context(f, c),
		Names: func(event.ID) bool { return true }}, why) // of what is in the filter
	return why
}

func periods(all []stats.Period) []*munimentv1.PeriodCount {
	out := make([]*munimentv1.PeriodCount, len(all))
	for i, p := range all {
		out[i] = &munimentv1.PeriodCount{Start: timestamp(p.Start), Events: p.Events, Failures: p.Types[typeFailed] + p.Types[typeRefused]}
	}
	return out
}
