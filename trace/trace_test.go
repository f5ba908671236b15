package trace

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

type kept []Span

func (k *kept) Record(s Span) { *k = append(*k, s) }

// W3C Trace Context §3.2: what is a traceparent, and what is none.
func TestParse(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if p := Parse(good); p.Trace.String() != "4bf92f3577b34da6a3ce929d0e0e4736" || p.Span.String() != "00f067aa0ba902b7" {
		t.Errorf("%v", p)
	}
	if Parse("cc" + good[2:] + "-what-comes-later").IsZero() {
		t.Error("a later version's is not read (§3.2.4)")
	}
	for _, bad := range []string{"", "x", good + "-more", "ff" + good[2:], strings.ToUpper(good), good[:54], " " + good,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"} {
		if p := Parse(bad); !p.IsZero() {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}

// FuzzParse: what is read as a place writes the same ids again.
func FuzzParse(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Fuzz(func(t *testing.T, header string) {
		if p := Parse(header); !p.IsZero() && header[3:52] != p.Trace.String()+"-"+p.Span.String() {
			t.Errorf("%q is read as %v", header, p)
		}
	})
}

// Where nobody records, spans are nothing and cost no allocation.
func TestNobodyRecords(t *testing.T) {
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		_, s := Start(ctx, "x")
		s.Set("k", "v")
		s.Name("y")
		s.End("")
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if !Of(ctx).IsZero() {
		t.Error("there is a place where nobody records")
	}
}

// What is logged in a trace says in which.
func TestLogs(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(Logs(slog.NewTextHandler(&out, nil))).With("a", 1).WithGroup("g")
	ctx, s := Begin(context.Background(), &kept{}, "x", Place{})
	log.InfoContext(ctx, "in")
	log.Info("out")
	s.End("")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "trace="+Of(ctx).Trace.String()) || strings.Contains(lines[1], "trace=") {
		t.Errorf("logged:\n%s", out.String())
	}
}
