package instancetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/internal/postgres"
	"muniment.dev/ledger/verify"
	"muniment.dev/ops"
	"muniment.dev/server"
	"muniment.dev/view"
)

// goldens holds a data directory of each version, with what a server answers
// from it. Old ones are never changed.
const goldens = "../../ops/testdata/golden"

var (
	makeGolden = flag.String("golden", "", "make the golden data directory of this `version`, instead of testing those that are there")
	replaceIt  = flag.Bool("golden-replace", false, "make it although it is there: only before the version is released")
)

// golden is what a data directory is known to hold.
type golden struct {
	Key    string                     `json:"key"` // that verifies its log
	Size   uint64                     `json:"size"`
	Root   string                     `json:"root"`
	Clock  time.Time                  `json:"clock"` // at which the answers were given
	Owner  string                     `json:"owner"`
	Erased []string                   `json:"erased"`  // people
	Types  map[string]int             `json:"types"`   // how many events of each
	Answer map[string]json.RawMessage `json:"answers"` // of the API, to the owner
	Events []json.RawMessage          `json:"events"`  // all, with their fields
}

// The data directory of every version opens in this one: its log verifies, with
// every seal opened; its views are what the log says; and the API answers what
// it answered then, and maybe more.
//
// To add that of a version, run once, and commit what it made:
//
//	go test ./internal/instancetest -run TestGoldenDirectories -golden VERSION
func TestGoldenDirectories(t *testing.T) {
	postgres.SkipIfChosen(t)
	if *makeGolden != "" {
		newGolden(t, filepath.Join(goldens, *makeGolden))
		return
	}
	versions, err := os.ReadDir(goldens)
	if err != nil || len(versions) == 0 {
		t.Fatalf("there is none: %v", err)
	}
	for _, v := range versions {
		t.Run(v.Name(), func(t *testing.T) {
			t.Parallel()
			opensGolden(t, filepath.Join(goldens, v.Name()))
		})
	}
}

// newGolden makes an instance in which everything happened that can, with a
// clock and a root key that are always the same.
func newGolden(t *testing.T, to string) {
	if _, err := os.Stat(to); err == nil && !*replaceIt {
		t.Fatalf("%s is there already, and what was released is never changed", to)
	}
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "root.key"), []byte(strings.Repeat("5a", 32)+"\n"), 0o600))
	var ticks atomic.Int64 // nothing here waits for the time to pass
	s := openIn(t, dir, func() time.Time {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(ticks.Add(1)) * time.Millisecond)
	})
	i := setUp(t, s)
	var g golden
	for _, c := range changes {
		req := c.request(i, i.Organization())
		Must(i.call(i.AsOwner(), req))
		if e, ok := req.(*munimentv1.EraseUserRequest); ok {
			g.Erased = append(g.Erased, e.GetUserId())
		}
		i.Settled(req)
	}
	i.furnish()
	check(t, s.Core.Views.Fresh(t.Context(), s.Core.Log.Mark().Size))
	g.Key, g.Owner = s.Core.Instance.CheckpointKey, i.Owner
	check(t, s.Close())
	r, err := ops.VerifyDir(t.Context(), ops.DefaultLayout(dir), ops.VerifyOptions{Key: g.Key})
	check(t, err)
	g.Size, g.Root, g.Clock = r.Size, r.Root.String(), r.Until.Add(time.Minute)
	check(t, os.RemoveAll(to))
	check(t, os.MkdirAll(to, 0o755))
	check(t, pack(dir, filepath.Join(to, "data.tar.gz")))
	again := reopen(t, dir, &g) // packed before: reading is recorded
	g.answers(t, again)
	check(t, again.Close())
	b, err := json.MarshalIndent(g, "", " ")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(to, "state.json"), append(b, '\n'), 0o644))
	dumpGolden(t, to)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reopen(t testing.TB, dir string, g *golden) *Instance {
	t.Helper()
	return &Instance{Server: openIn(t, dir, func() time.Time { return g.Clock }), Owner: g.Owner, t: t}
}

// opensGolden opens a copy of a golden directory.
func opensGolden(t *testing.T, from string) {
	var want golden
	b, err := os.ReadFile(filepath.Join(from, "state.json"))
	check(t, err)
	check(t, json.Unmarshal(b, &want))
	dir := filepath.Join(t.TempDir(), "data")
	check(t, unpack(filepath.Join(from, "data.tar.gz"), dir))
	verifies(t, dir, &want)
	i := reopen(t, dir, &want)
	defer func() { check(t, i.Close()) }()
	want.standsIn(t, i)
}

// standsIn holds what is known against what an instance says.
func (want *golden) standsIn(t *testing.T, i *Instance) {
	t.Helper()
	if _, err := i.Core.Views.Check(t.Context(), nil, func(d view.Difference) { t.Errorf("views: %s", d) }); err != nil {
		t.Error(err)
	}
	got := golden{Size: want.Size}
	got.answers(t, i)
	for name, then := range want.Answer {
		if same, why := holds(got.Answer[name], then); !same {
			t.Errorf("%s answers something else than then: %s", name, why)
		}
	}
	if len(got.Events) != len(want.Events) {
		t.Fatalf("%d events, had %d", len(got.Events), len(want.Events))
	}
	for n, then := range want.Events {
		if same, why := holds(got.Events[n], then); !same {
			t.Errorf("event %d reads other than then: %s", n+1, why)
		}
	}
	if !reflect.DeepEqual(got.Types, want.Types) {
		t.Errorf("types %v, had %v", got.Types, want.Types)
	}
	for _, user := range want.Erased {
		e := Must(i.API.User.GetUser(i.AsOwner(), &munimentv1.GetUserRequest{UserId: user})).GetUser().GetEmail()
		if e.GetValue() != "" {
			t.Errorf("%s was erased, and has the address %q", user, e.GetValue())
		}
	}
}

// verifies verifies a golden directory with its key, opening everything.
func verifies(t *testing.T, dir string, want *golden) {
	t.Helper()
	l := ops.DefaultLayout(dir)
	s, err := ops.OpenStopped(t.Context(), l, server.Program(), true)
	check(t, err)
	for r, err := range s.Log.Read(t.Context(), event.Everything(), 0) {
		if err == nil {
			_, err = s.Sealer.Decode(t.Context(), r)
		}
		if err != nil {
			t.Errorf("event %d: %v", r.Position, err)
		}
	}
	check(t, s.Close())
	r, err := ops.VerifyDir(t.Context(), l, ops.VerifyOptions{Key: want.Key})
	if err != nil || r.Verdict != verify.Verified || r.Size != want.Size || r.Root.String() != want.Root {
		t.Fatalf("verify: %v %+v", err, r)
	}
}

// answers asks for everything that the owner can list, and for all events.
func (g *golden) answers(t testing.TB, i *Instance) {
	t.Helper()
	g.Answer, g.Types = map[string]json.RawMessage{}, map[string]int{}
	print := func(m proto.Message) json.RawMessage {
		b, err := protojson.MarshalOptions{}.Marshal(m)
		check(t, err)
		var flat bytes.Buffer // protojson puts spaces at random
		check(t, json.Compact(&flat, b))
		return flat.Bytes()
	}
	for _, req := range lists() {
		req.ProtoReflect().Set(req.ProtoReflect().Descriptor().Fields().ByName("page_size"), protoreflect.ValueOfInt32(500))
		m, err := i.call(i.AsOwner(), req)
		if l, ok := m.(*munimentv1.ListAdaptersResponse); ok {
			for _, a := range l.GetAdapters() {
				a.Progress = nil // when it runs next is nobody's history
			}
		}
		if err == nil { // types of entities may not be defined in old ones; an answer of then is missed
			g.Answer[strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request")] = print(m)
		}
	}
	for token := ""; ; {
		res := Must(i.API.Event.ListEvents(i.AsOwner(), &munimentv1.ListEventsRequest{PageSize: 100, PageToken: token, WithFields: true, Filter: &munimentv1.EventFilter{BeforePosition: g.Size + 1}}))
		for _, e := range res.GetEvents() {
			g.Types[e.GetType()]++
			e.Sentence = "" // words may be chosen better
			g.Events = append(g.Events, print(e))
		}
		if token = res.GetNextPageToken(); token == "" {
			return
		}
	}
}

// holds reports whether an answer has all that another has; if not, where.
func holds(now, then json.RawMessage) (ok bool, where string) {
	var a, b any
	if err := errors.Join(json.Unmarshal(now, &a), json.Unmarshal(then, &b)); err != nil {
		return false, err.Error()
	}
	where = lacks(a, b, "")
	return where == "", where
}

// lacks names the first thing of b that a has not, or has otherwise.
func lacks(a, b any, path string) string {
	switch b := b.(type) {
	case map[string]any:
		m, _ := a.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(b)) {
			if where := lacks(m[k], b[k], path+"/"+k); where != "" {
				return where
			}
		}
	case []any:
		l, _ := a.([]any)
		if len(l) != len(b) {
			return fmt.Sprintf("%s has %d entries, had %d", path, len(l), len(b))
		}
		for n := range b {
			if where := lacks(l[n], b[n], fmt.Sprintf("%s/%d", path, n)); where != "" {
				return where
			}
		}
	default:
		if !reflect.DeepEqual(a, b) {
			return fmt.Sprintf("%s is %v, was %v", path, a, b)
		}
	}
	return ""
}

// pack writes the files of a folder, without those that a running server has.
func pack(dir, to string) error {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	w := tar.NewWriter(z)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(name, ".lock") || d.Name() == "LOCK" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Size: int64(len(b)), Mode: 0o600, Format: tar.FormatPAX})
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
	if err = errors.Join(err, w.Close(), z.Close()); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

func unpack(from, dir string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	}
}
