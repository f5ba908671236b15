// Package doctor looks at a server's settings, files and machine for what bites
// operators later, and says of each what to do.
//
// It changes nothing, and needs no server to run. What it cannot find out it
// says: a check that could not be made is not one that passed.
package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"muniment.dev/ops"
)

// Level is how much a finding matters.
type Level string

// The levels.
const (
	OK      Level = "ok"      // looked at, nothing to say
	Warning Level = "warning" // works today
	Problem Level = "problem" // will lose data, people's trust or the night's sleep
	Unknown Level = "unknown" // could not be looked at
)

// Finding is what one look found. Do is empty if there is nothing to do.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"` // what was looked at, such as "root key"
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"`
}

// Patient is what is looked at.
type Patient struct {
	Layout      ops.Layout
	Program     ops.Program
	Listen      string // address:port
	ExternalURL string
	TLS         bool
	Private     map[string]string // files that nobody else may read, by what they are
	Now         func() time.Time  // default time.Now
	// More are checks of parts that are kept elsewhere.
	More []Check
}

// Check looks at one thing.
type Check func(ctx context.Context, p *Patient) []Finding

// Look makes all checks and returns what they found, in their order.
func Look(ctx context.Context, p Patient) []Finding {
	if p.Now == nil {
		p.Now = time.Now
	}
	var all []Finding
	for _, check := range append([]Check{network, private, apart, disk, files, clocks, status}, p.More...) {
		all = append(all, check(ctx, &p)...)
	}
	return all
}

// Worst is the worst level among findings.
func Worst(all []Finding) Level {
	worst, order := OK, []Level{OK, Unknown, Warning, Problem}
	rank := func(l Level) int {
		for i, o := range order {
			if o == l {
				return i
			}
		}
		return 0
	}
	for _, f := range all {
		if rank(f.Level) > rank(worst) {
			worst = f.Level
		}
	}
	return worst
}

// Write writes findings for a person: those that need somebody first.
func Write(out io.Writer, all []Finding) {
	n := map[Level]int{}
	for _, level := range []Level{Problem, Warning, Unknown, OK} {
		for _, f := range all {
			if f.Level != level {
				continue
			}
			n[level]++
			fmt.Fprintf(out, "%-8s %-12s %s\n", strings.ToUpper(string(level)), f.About, f.Says)
			if f.Do != "" {
				fmt.Fprintf(out, "%-21s → %s\n", "", f.Do)
			}
		}
	}
	fmt.Fprintf(out, "\n%s, %s, %d not looked at, %d fine.\n", count(n[Problem], "problem"), count(n[Warning], "warning"), n[Unknown], n[OK])
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func ok(about, format string, args ...any) []Finding {
	return []Finding{{Level: OK, About: about, Says: fmt.Sprintf(format, args...)}}
}

func found(level Level, about, do, format string, args ...any) []Finding {
	return []Finding{{Level: level, About: about, Says: fmt.Sprintf(format, args...), Do: do}}
}
