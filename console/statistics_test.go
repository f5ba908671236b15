package console

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// Each period has its bar, those in which nothing happened an empty one; what
// is least is still seen, and nothing is higher than the picture.
func TestDraw(t *testing.T) {
	at := func(h int) *timestamppb.Timestamp {
		return timestamppb.New(now.Truncate(time.Hour).Add(time.Duration(h) * time.Hour))
	}
	c := draw("x", []*munimentv1.PeriodCount{{Start: at(-100), Events: 9000}, {Start: at(-2), Events: 1, Failures: 1}, {Start: at(0), Events: 1000}}, now, time.Hour, 4, "15:04")
	if len(c.Bars) != 4 || c.Most != 1000 || c.Total != 1001 || c.First != "06:00" || c.Last != "09:00" {
		t.Fatalf("%+v", c)
	}
	if b := c.Bars[1]; b.H != "2.0" || b.FailH != "2.0" || b.Events != 1 {
		t.Errorf("the least is %+v", b)
	}
	if b := c.Bars[2]; b.Events != 0 || b.H != "0.0" {
		t.Errorf("nothing is %+v", b)
	}
	if b := c.Bars[3]; b.H != "176.0" || b.Y != "4.0" {
		t.Errorf("the most is %+v", b)
	}
}

// Sizes are said for people.
func TestBytesText(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1 << 62: "4194304.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
