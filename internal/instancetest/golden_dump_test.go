package instancetest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/eventlog/pglog"
	"muniment.dev/internal/postgres"
	"muniment.dev/ledger/verify"
	"muniment.dev/ops"
	"muniment.dev/server"
	"muniment.dev/user/password"
)

// goldenPieces are the log of a golden directory as a dump, and as one that goes
// on from it.
var goldenPieces = []string{"whole.jsonl.gz", "after.jsonl.gz"}

// The dumps of every version load in this one, into a directory and into
// PostgreSQL: each verifies, and a server answers from it, with the keys of the
// golden directory, what it answered then.
//
// They are made with the golden directory. To make them alone, from one that is
// there:
//
//	go test ./internal/instancetest -run TestGoldenDumps -golden VERSION
func TestGoldenDumps(t *testing.T) {
	postgres.SkipIfChosen(t)
	if *makeGolden != "" {
		dumpGolden(t, filepath.Join(goldens, *makeGolden))
		return
	}
	versions, err := os.ReadDir(goldens)
	if err != nil || len(versions) == 0 {
		t.Fatalf("there is none: %v", err)
	}
	for _, v := range versions {
		from := filepath.Join(goldens, v.Name())
		t.Run(v.Name()+"/directory", func(t *testing.T) { t.Parallel(); loadsGolden(t, from, "") })
		t.Run(v.Name()+"/postgres", func(t *testing.T) {
			t.Parallel()
			loadsGolden(t, from, postgres.Shared(t).NewDatabase(t))
		})
	}
}

// dumpGolden writes the dumps of a golden directory.
func dumpGolden(t *testing.T, in string) {
	if exists(filepath.Join(in, goldenPieces[0])) && !*replaceIt {
		t.Fatalf("%s has dumps already, and what was released is never changed", in)
	}
	dir := filepath.Join(t.TempDir(), "data")
	check(t, unpack(filepath.Join(in, "data.tar.gz"), dir))
	s, err := pebblelog.OpenReadOnly(filepath.Join(dir, "log"), pebblelog.Options{})
	check(t, err)
	defer s.Close()
	logs, err := s.Logs(t.Context())
	check(t, err)
	log := logs[0]
	head, err := s.Head(t.Context(), log)
	check(t, err)
	middle := head.Size / 2
	frontier, err := eventlog.FrontierAt(t.Context(), s, log, middle)
	check(t, err)
	for n, piece := range []struct {
		after, size event.Position
		before      []event.Hash
	}{{0, middle, nil}, {middle, head.Size, frontier}} {
		src, err := eventlog.SourceUpTo(t.Context(), s, log, piece.size)
		check(t, err)
		var out bytes.Buffer
		z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
		_, err = ops.WriteDump(t.Context(), z, log, src, piece.after, piece.before, nil)
		check(t, err)
		check(t, z.Close())
		check(t, os.WriteFile(filepath.Join(in, goldenPieces[n]), out.Bytes(), 0o644))
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// loadsGolden loads golden dumps into a database, or into a directory, and puts
// the rest of the golden directory beside.
func loadsGolden(t *testing.T, from, database string) {
	var want golden
	b, err := os.ReadFile(filepath.Join(from, "state.json"))
	check(t, err)
	check(t, json.Unmarshal(b, &want))
	tmp := t.TempDir()
	dir := filepath.Join(tmp, "data")
	check(t, unpack(filepath.Join(from, "data.tar.gz"), dir))
	for _, name := range []string{"log", "views.db"} { // those the dumps must bring
		check(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	var pieces []string
	for _, name := range goldenPieces {
		pieces = append(pieces, filepath.Join(tmp, name[:len(name)-3]))
		check(t, gunzip(filepath.Join(from, name), pieces[len(pieces)-1]))
	}
	to := database
	if to == "" {
		to = dir
	}
	_, err = ops.Load(t.Context(), to, nil, pieces...)
	check(t, err)
	if database == "" {
		verifies(t, dir, &want)
	} else {
		verifiesIn(t, database, &want)
	}
	c := server.Config{Data: dir, Database: database, Keys: filepath.Join(dir, "keys.db"), Register: filepath.Join(dir, "register.json"), Listen: "127.0.0.1:8300", ExternalURL: "https://id.example.org", Name: "Test"}
	s, err := server.New(t.Context(), c, server.Extra{Clock: func() time.Time { return want.Clock }, Passwords: password.Params{Memory: 64, Time: 1, Threads: 1}})
	check(t, err)
	defer func() { check(t, s.Close()) }()
	want.standsIn(t, &Instance{Server: s, Owner: want.Owner, t: t})
}

// verifiesIn is verifies for a log in a database.
func verifiesIn(t *testing.T, database string, want *golden) {
	t.Helper()
	s, err := pglog.Open(t.Context(), pglog.Options{DSN: database})
	check(t, err)
	r, err := ops.Verify(t.Context(), s, ops.VerifyOptions{Key: want.Key})
	if err != nil || r.Verdict != verify.Verified || r.Size != want.Size || r.Root.String() != want.Root {
		t.Fatalf("verify: %v %+v", err, r)
	}
	check(t, s.Close())
}

func gunzip(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}
