package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/chromedp/chromedp"
)

// finding is one rule of axe-core that the page breaks.
type finding struct {
	ID     string `json:"id"`
	Impact string `json:"impact"` // minor, moderate, serious, critical
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// String names the rule and the first elements that break it.
func (f finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s", f.ID, f.Impact, f.Help)
	for i, n := range f.Nodes {
		if i == 3 {
			fmt.Fprintf(&b, "\n    and %d more", len(f.Nodes)-i)
			break
		}
		fmt.Fprintf(&b, "\n    %s\n      %s", n.HTML, strings.ReplaceAll(n.Summary, "\n", " "))
	}
	return b.String()
}

// Accessible has axe-core check the page against WCAG 2.2 A and AA and its best
// practices. Serious and critical findings fail the test, others are logged.
// Without axe-core (MUNIMENT_AXE) the test is skipped, or fails where
// MUNIMENT_REQUIRE_BROWSER=1.
func (p *Page) Accessible() {
	p.t.Helper()
	path := os.Getenv("MUNIMENT_AXE")
	if path == "" {
		missing(p.t, "axe-core is not there: npm install axe-core and name its axe.min.js in MUNIMENT_AXE")
	}
	axe, err := os.ReadFile(path)
	if err != nil {
		missing(p.t, "axe-core cannot be read: "+err.Error())
	}
	// Evaluated by the debugger, not loaded by the page: the page's own CSP stays in force.
	get(p, "load axe-core", chromedp.Evaluate[bool](string(axe)+"\n;typeof axe === 'object'"))
	const run = `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations))`
	out := get(p, "run axe-core", chromedp.Evaluate[string](run, chromedp.EvalAwaitPromise))
	var found []finding
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		p.t.Fatalf("read what axe-core found: %v", err)
	}
	for _, f := range found {
		if f.Impact == "serious" || f.Impact == "critical" {
			p.t.Errorf("%s (%s): %s", p.URL(), p.view.Name, f)
			continue
		}
		p.t.Logf("%s (%s): %s", p.URL(), p.view.Name, f)
	}
}
