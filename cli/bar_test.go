package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// The bar is as full as what is done, and never wider or narrower, so that it
// leaves nothing behind; where there is no terminal, nothing is written.
func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, of uint64
		took     time.Duration
		full     int
		says     string
	}{{0, 10, 0, 0, "  0 %"}, {5, 10, 10 * time.Second, 16, " 50 %  10s left"}, {10, 10, time.Minute, 32, "100 %"}, {12, 10, 0, 32, "100 %"}, {1, 1 << 40, time.Second, 0, "  0 %"}} {
		got := picture(c.done, c.of, c.took)
		if strings.Count(got, "#") != c.full || !strings.Contains(got, c.says) || len(got) < barWidth {
			t.Errorf("%d of %d: %q", c.done, c.of, got)
		}
		if c.took < time.Hour && c.of < 1<<40 && len(got) != barWidth {
			t.Errorf("%d of %d: %d wide", c.done, c.of, len(got))
		}
	}
	var out bytes.Buffer
	b := newBar(&out)
	b.draw(1, 2)
	b.clear()
	if out.Len() > 0 {
		t.Errorf("not on a terminal: %q", out.String())
	}
	b = &bar{w: &out, began: time.Now()}
	b.draw(1, 2)
	b.draw(2, 2) // too soon
	b.clear()
	b.clear()
	if got := out.String(); strings.Count(got, "[") != 1 || !strings.HasSuffix(got, "\r"+strings.Repeat(" ", barWidth)+"\r") {
		t.Errorf("on one: %q", got)
	}
}
