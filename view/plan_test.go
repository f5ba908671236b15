package view_test

import (
	"strings"
	"testing"
)

// What the tail asks for each batch is found by keys and indexes; a scan would
// cost more with every row.
func TestTailUsesIndexes(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	plans, err := set.TailPlans()
	if err != nil {
		t.Fatal(err)
	}
	if len(plans) < 10 {
		t.Fatal(plans)
	}
	for sql, plan := range plans {
		for _, line := range plan {
			if strings.Contains(line, "SCAN") && !strings.Contains(line, "CONSTANT ROWS") && !strings.Contains(line, "VALUES") {
				t.Errorf("%s\n%s", sql, strings.Join(plan, "\n"))
				break
			}
		}
	}
}
