package console

import (
	"fmt"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// statisticsPage is the data of statistics.html.
type statisticsPage struct {
	S        *munimentv1.GetStatisticsResponse
	Size     string
	Rate     string
	Average  string
	Hours    chart
	Days     chart
	Types    []typeBar
	More     int // types that are not shown
	Counting bool
	Percent  uint64 // counted so far
	Curl     same
}

// The chart's measures, in the units of its picture.
const (
	chartWidth  = 960
	chartHeight = 180
)

// chart is a bar for each period, the picture made here: the page runs no
// script and has no styles of its own.
type chart struct {
	Name          string
	Bars          []bar
	Most          uint64
	Total         uint64
	First, Last   string
	Width, Height int
}

// bar is one period. Failures are drawn over the rest.
type bar struct {
	X, Y, W, H       string
	FailY, FailH     string
	Label            string
	Events, Failures uint64
}

// typeBar is how many events there are of a type, beside the most frequent.
type typeBar struct {
	Type   string
	Events uint64
	Width  int // of 100
	Share  string
}

// maxBars is how many types are shown.
const maxBars = 15

func (v *visit) statistics() error {
	got, err := v.c.API.Event.GetStatistics(v.ctx, &munimentv1.GetStatisticsRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	last := instant(got.GetLast())
	p := statisticsPage{S: got, Size: bytesText(got.GetRecordBytes()), Rate: rate(got.GetEventsPerSecond()), Average: rate(got.GetAverageEventsPerSecond()),
		Hours: draw("Events by hour", got.GetHours(), last, time.Hour, 48, "Mon 15:04"), Days: draw("Events by day", got.GetDays(), last, 24*time.Hour, 30, "2 Jan"),
		Counting: got.GetCounted() < got.GetTotalEvents(), Curl: v.same("event get-statistics", "/v1/statistics")}
	if p.Counting {
		p.Percent = 100 * got.GetCounted() / got.GetTotalEvents()
	}
	for i, t := range got.GetTypes() {
		if i == maxBars {
			p.More = len(got.GetTypes()) - maxBars
			break
		}
		most := max(1, got.GetTypes()[0].GetEvents())
		p.Types = append(p.Types, typeBar{t.GetType(), t.GetEvents(), int(max(1, 100*t.GetEvents()/most)),
			fmt.Sprintf("%.1f %%", 100*float64(t.GetEvents())/float64(max(1, got.GetCounted())))})
	}
	return v.show("statistics", "events", "Statistics", p)
}

// draw draws the last n periods up to the one that holds last; those in which
// nothing happened are empty.
func draw(name string, periods []*munimentv1.PeriodCount, last time.Time, length time.Duration, n int, layout string) chart {
	c := chart{Name: name, Width: chartWidth, Height: chartHeight}
	counts := map[time.Time]*munimentv1.PeriodCount{}
	for _, p := range periods {
		counts[instant(p.GetStart()).UTC()] = p
	}
	end := last.UTC().Truncate(length)
	for i := range n {
		p := counts[end.Add(-time.Duration(n-1-i)*length)]
		c.Most = max(c.Most, p.GetEvents())
		c.Total += p.GetEvents()
	}
	step := float64(chartWidth) / float64(n)
	high := func(events uint64) float64 { return float64(events) / float64(max(1, c.Most)) * (chartHeight - 4) }
	for i := range n {
		start := end.Add(-time.Duration(n-1-i) * length)
		p := counts[start]
		h, f := high(p.GetEvents()), high(p.GetFailures())
		if p.GetEvents() > 0 {
			h = max(h, 2) // one event is seen, too
		}
		if p.GetFailures() > 0 {
			f = max(f, 2)
		}
		c.Bars = append(c.Bars, bar{X: units(float64(i)*step + step*.1), W: units(step * .8), Y: units(chartHeight - h), H: units(h),
			FailY: units(chartHeight - f), FailH: units(f), Label: start.Format(layout), Events: p.GetEvents(), Failures: p.GetFailures()})
	}
	c.First, c.Last = c.Bars[0].Label, c.Bars[n-1].Label
	return c
}

func units(f float64) string { return fmt.Sprintf("%.1f", f) }

func rate(f float64) string {
	if f > 0 && f < 0.01 {
		return "< 0.01"
	}
	return fmt.Sprintf("%.2f", f)
}

// bytesText says a size for people.
func bytesText(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, names := float64(n), []string{"KiB", "MiB", "GiB", "TiB"}
	i := -1
	for f >= unit && i < len(names)-1 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.1f %s", f, names[i])
}
