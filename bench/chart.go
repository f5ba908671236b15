package bench

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// The chart's measures, in user units.
const (
	chartWidth   = 760
	chartLeft    = 56
	chartTop     = 64
	plotHeight   = 240
	chartBottom  = 56
	chartHeight  = chartTop + plotHeight + chartBottom
	barGap       = 3
	groupPadding = 28
)

// shades are the classes of the ways of appending, and what they are called.
var shades = []struct{ path, label string }{
	{bare, "bare: records and index written, nothing else"},
	{logged, "log: hashed, chained, conditions"},
	{sealed, "sealed: and encrypted"},
	{whole, "whole: and decided"},
}

// style works on light and dark pages: the text takes the colour of its
// surroundings where the page includes the file, and follows the reader's
// scheme where it is shown as an image.
const style = `
	svg { color: #1f2933; font: 13px system-ui, sans-serif; }
	text { fill: currentColor; }
	.grid { stroke: currentColor; stroke-opacity: .18; }
	.bare { fill: #9aa5b1; } .log { fill: #6fb1d6; } .sealed { fill: #3d82b8; } .whole { fill: #12558f; }
	.half { stroke: #c2410c; stroke-width: 2; stroke-dasharray: 5 4; }
	.small { font-size: 11px; fill-opacity: .8; }
	.on { font-size: 11px; fill: #fff; } .on-log { fill: #0b2239; }
	@media (prefers-color-scheme: dark) {
		svg { color: #e4e7eb; }
		.bare { fill: #7b8794; } .log { fill: #8fcbe8; } .sealed { fill: #55a3da; } .whole { fill: #2b7fc4; }
		.half { stroke: #fb923c; }
	}
`

// chart draws the rates of appending, a group of bars for each number of
// committers, with a mark at half of the bare rate.
func chart(r *AppendReport) []byte {
	var b bytes.Buffer
	top := ceiling(r)
	y := func(rate float64) float64 { return chartTop + plotHeight*(1-rate/top) }
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, "<title id=\"t\">Events appended per second</title>\n<desc id=\"d\">%s</desc>\n<style>%s</style>\n", describe(r), style)
	for i := range 5 {
		rate := top * float64(i) / 4
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="small" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			chartLeft, chartWidth-8, y(rate), y(rate), chartLeft-6, y(rate)+4, thousands(rate))
	}
	group := float64(chartWidth-8-chartLeft) / float64(len(r.Levels))
	for i, l := range r.Levels {
		left := chartLeft + group*float64(i) + groupPadding/2
		width := (group - groupPadding) / float64(len(l.Paths))
		for j, p := range l.Paths {
			x, h := left+width*float64(j), chartTop+plotHeight-y(p.PerSecond)
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%d committers, %s: %.0f events/s</title></rect>`+"\n",
				p.Path, x, y(p.PerSecond), width-barGap, h, l.Committers, p.Path, p.PerSecond)
			if p.Ratio > 0 && p.Path != bare {
				fmt.Fprintf(&b, `<text class="on on-%s" x="%.1f" y="%d" text-anchor="middle">%.2f</text>`+"\n", p.Path, x+(width-barGap)/2, chartTop+plotHeight-4, p.Ratio)
			}
			if p.Path == bare {
				fmt.Fprintf(&b, `<line class="half" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", left, left+group-groupPadding-barGap, y(p.PerSecond/2), y(p.PerSecond/2))
			}
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", left+(group-groupPadding)/2, chartTop+plotHeight+20, l.Committers)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">committers at once</text>`+"\n", (chartWidth+chartLeft)/2, chartTop+plotHeight+42)
	legend(&b, r)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// legend names the bars, two in a line.
func legend(b *bytes.Buffer, r *AppendReport) {
	n := 0
	for _, s := range shades {
		if !slices.ContainsFunc(r.Levels, func(l AppendLevel) bool {
			return slices.ContainsFunc(l.Paths, func(p AppendResult) bool { return p.Path == s.path })
		}) {
			continue
		}
		x, y := chartLeft+n%2*340, 12+n/2*20
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="12" height="12" rx="2"/><text x="%d" y="%d">%s</text>`+"\n", s.path, x, y, x+18, y+11, s.label)
		n++
	}
	fmt.Fprintf(b, `<line class="half" x1="%d" x2="%d" y1="56" y2="56"/><text class="small" x="%d" y="60">half of bare</text>`+"\n", chartLeft, chartLeft+24, chartLeft+30)
}

// ceiling is a round number above all rates.
func ceiling(r *AppendReport) float64 {
	most := 1.0
	for _, l := range r.Levels {
		for _, p := range l.Paths {
			most = max(most, p.PerSecond)
		}
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, by := range []float64{1, 2, 4, 6, 8, 10} {
		if by*step >= most*1.04 {
			return by * step
		}
	}
	return 20 * step
}

// describe says in words what the chart shows.
func describe(r *AppendReport) (text string) {
	for _, l := range r.Levels {
		for _, p := range l.Paths {
			text += fmt.Sprintf("%d committers, %s: %.0f per second. ", l.Committers, p.Path, p.PerSecond)
		}
	}
	return text
}

func thousands(rate float64) string {
	if rate < 1000 {
		return fmt.Sprintf("%.0f", rate)
	}
	return fmt.Sprintf("%gk", rate/1000)
}
