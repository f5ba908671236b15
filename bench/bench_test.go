package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muniment.dev/internal/postgres"
)

// The test binary is also the server that the bench watches, and one that says
// why it cannot start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(pretendToServe(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// pretendToServe answers at the address it is given until it is interrupted. In
// a directory named "broken" it fails.
func pretendToServe(args []string) int {
	value := func(name string) string { return args[slices.Index(args, name)+1] }
	if _, err := os.Stat(filepath.Join(value("--data"), "broken")); err == nil {
		fmt.Println("the data directory is broken")
		return 1
	}
	l, err := net.Listen("tcp", value("--listen"))
	if err != nil {
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	go http.Serve(l, http.NotFoundHandler())
	<-stop
	return 0
}

// measured runs the command on very little and returns what it reports.
func measured(t *testing.T, args ...string) Report {
	t.Helper()
	args = append(args, "--json", "--quiet", "--dir", t.TempDir(), "--duration", "5ms", "--rounds", "2", "--preload", "20", "--records", "30", "--sustain", "100ms")
	var stdout, stderr bytes.Buffer
	if code := Command().Run(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	var r Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, &stdout)
	}
	return r
}

// Every way of appending is measured at every number of committers, and held
// against the bare writes.
func TestAppend(t *testing.T) {
	svg := filepath.Join(t.TempDir(), "chart.svg")
	r := measured(t, "append", "--committers", "1,3", "--svg", svg)
	if r.Append == nil || len(r.Append.Levels) != 2 || r.Verify != nil || r.Serve != nil || r.Views != nil {
		t.Fatalf("measured %+v", r)
	}
	if r.Append.Records < 20 {
		t.Errorf("the log had %d records, 20 people were to be registered", r.Append.Records)
	}
	for i, l := range r.Append.Levels {
		var paths []string
		for _, p := range l.Paths {
			paths = append(paths, p.Path)
			if p.PerSecond <= 0 || p.Ratio <= 0 || p.Lowest > p.Ratio || p.Ratio > p.Highest || p.P50 <= 0 || p.P99 < p.P50 {
				t.Errorf("%d committers: %+v", l.Committers, p)
			}
		}
		if l.Committers != []int{1, 3}[i] || !slices.Equal(paths, []string{bare, logged, sealed, whole}) || l.Paths[0].Ratio != 1 {
			t.Errorf("%d committers, paths %v, bare to bare %v", l.Committers, paths, l.Paths[0].Ratio)
		}
	}
	checkChart(t, svg, 8)
}

// Every kind of request is measured beside a handler that does the least.
func TestHTTP(t *testing.T) {
	r := measured(t, "http")
	if r.HTTP == nil || len(r.HTTP.Kinds) != 5 || r.HTTP.Clients != httpClients || r.Append != nil {
		t.Fatalf("measured %+v", r)
	}
	for _, k := range r.HTTP.Kinds {
		if k.PerSecond <= 0 || k.Bare <= 0 || k.Lowest > k.Ratio || k.Ratio > k.Highest || k.P50 <= 0 || k.P99 < k.P50 || k.BareP99 < k.BareP50 {
			t.Errorf("%+v", k)
		}
	}
}

// Publishing is measured over HTTP and in process, together and one at a time,
// and so is reading an entity with many events.
func TestPublish(t *testing.T) {
	r := measured(t, "publish", "--events", "600")
	p := r.Publish
	if p == nil || p.HTTP <= 0 || p.Process <= 0 || p.Lowest > p.Ratio || p.Ratio > p.Highest || p.Single.PerSecond <= 0 || p.Single.Bare <= 0 || p.Validated <= 0 {
		t.Fatalf("measured %+v", p)
	}
	if e := p.Entity; e.Events != 600 || e.Now <= 0 || e.NowP99 < e.Now || e.Past <= 0 || e.PastP99 < e.Past {
		t.Errorf("reading: %+v", e)
	}
}

// A large log is opened and measured beside a small one.
func TestSize(t *testing.T) {
	r := measured(t, "size", "--small", "100", "--size", "400")
	if r.Size == nil || r.Size.Small < 100 || r.Size.Large < 400 || len(r.Size.Open) != 2 || len(r.Size.Compare) != 3 {
		t.Fatalf("measured %+v", r.Size)
	}
	for _, o := range r.Size.Open {
		if o.Open <= 0 || o.Answer < o.Open || o.Bytes <= 0 {
			t.Errorf("%+v", o)
		}
	}
	for _, g := range r.Size.Compare {
		if g.Small <= 0 || g.Large <= 0 || g.Ratio <= 0 || g.LargeP99 < g.Large {
			t.Errorf("%+v", g)
		}
	}
}

// checkChart reads the chart as XML and counts its bars.
func checkChart(t *testing.T, path string, bars int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	seen := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the chart is not XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "height" && a.Value != "12" { // those of the legend are squares
					seen++
				}
			}
		}
	}
	if seen != bars {
		t.Errorf("%d bars for %d measurements", seen, bars)
	}
	if !bytes.Contains(b, []byte("prefers-color-scheme: dark")) || bytes.Contains(b, []byte("<script")) {
		t.Error("the chart does not mind dark pages, or has a script")
	}
}

// The paths that are not asked for are not measured; without the bare one
// there are no ratios.
func TestPaths(t *testing.T) {
	r := measured(t, "append", "--committers", "2", "--paths", "whole")
	if l := r.Append.Levels; len(l) != 1 || len(l[0].Paths) != 1 || l[0].Paths[0].Path != whole || l[0].Paths[0].Ratio != 0 || l[0].Paths[0].PerSecond <= 0 {
		t.Fatalf("measured %+v", l)
	}
}

// The log that is verified is the one that was made, and it is sound.
func TestVerify(t *testing.T) {
	v := measured(t, "verify").Verify
	if v == nil || v.Records < 30 || v.Floor <= 0 || v.Directory <= 0 || v.Memory <= 0 || v.Ratio <= 0 || v.InMemory <= 0 {
		t.Fatalf("measured %+v", v)
	}
}

// On PostgreSQL the same is measured, and the embedded engine beside it. Nothing
// is left in the database.
func TestDatabase(t *testing.T) {
	db := postgres.Shared(t)
	dsn := db.NewDatabase(t)
	r := measured(t, "append", "--committers", "2", "--database", dsn).Append
	if r == nil || r.Engine != "PostgreSQL" || len(r.Levels) != 1 || r.Levels[0].CPUToEmbedded <= 0 {
		t.Fatalf("measured %+v", r)
	}
	for _, p := range r.Levels[0].Paths {
		if p.PerSecond <= 0 || p.Ratio <= 0 {
			t.Errorf("%+v", p)
		}
	}
	n := measured(t, "nodes", "--committers", "4", "--lease", "500ms", "--database", dsn).Nodes
	if n == nil || len(n.Levels) != 2 || n.Levels[0].Ratio <= 0 || n.Levels[0].Forwarded == 0 || n.Levels[0].TwoP99 <= 0 {
		t.Fatalf("measured %+v", n)
	}
	if f := n.FailOver; f.FailOvers != 2 || f.Writes <= 0 || f.WritesLongest < f.Writes || f.Reads <= 0 {
		t.Errorf("%+v", f)
	}
	if s := measured(t, "size", "--small", "100", "--size", "200", "--database", dsn).Size; s == nil || s.Large < 200 || len(s.Compare) != 3 {
		t.Errorf("measured %+v", s)
	}
	conn := postgres.Connect(t, dsn)
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'muniment%'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d schemas are left (%v)", left, err)
	}
}

// Views follow while clients append.
func TestViews(t *testing.T) {
	v := measured(t, "views").Views
	if v == nil || v.Events == 0 || v.PerSecond <= 0 || v.P99 < v.P50 || v.LagMax < v.LagP99 || v.CatchUp < 0 {
		t.Fatalf("measured %+v", v)
	}
}

// A server is started, watched and stopped.
func TestServe(t *testing.T) {
	s := measured(t, "serve").Serve
	if s == nil || s.Start <= 0 || s.Restart <= 0 || time.Duration(s.Idle) != 50*time.Millisecond || s.Resident == 0 {
		t.Fatalf("measured %+v", s)
	}
}

// Why a server did not start is told in its own words.
func TestServeFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "broken"), 0o700); err != nil {
		t.Fatal(err)
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := startServer(t.Context(), binary, dir); err == nil || !strings.Contains(err.Error(), "the data directory is broken") {
		t.Fatalf("told %v", err)
	}
}

// What cannot be measured is refused with its name.
func TestMistakes(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"--duration", "0s"}, {"--rounds", "0"}, {"--committers", "0"}, {"--committers", "99999"},
		{"--paths", "half"}, {"--preload", "-1"}, {"--records", "0"}, {"--sustain", "0s"}, {"--dir", "/no/such/directory"}, {"nodes"}, {"verify", "--database", "postgres://x"}, {"--lease", "1ms"}, {"append", "verify"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != exitMistaken {
			t.Errorf("%v: exit code %d", args, code)
		}
		if !strings.Contains(stderr.String(), "muniment bench --help") {
			t.Errorf("%v: said %q", args, &stderr)
		}
	}
}

// Durations are told with three digits, for people.
func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 999: "999ns", 1234: "1.23µs", 12345: "12.3µs", 123456: "123µs", 1234567890: "1.23s", -5: "-5ns"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%d: %s, not %s", d, got, want)
		}
	}
}
