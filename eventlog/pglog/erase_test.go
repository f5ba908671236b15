package pglog

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muniment.dev/event"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/fault"
	"muniment.dev/internal/postgres"
)

// Requirement P01, as far as PostgreSQL goes: when Erase returns, the bytes of
// ciphertexts and blind tags stand in no file of the server, with the settings
// that docs/how-to/postgresql.md asks for. Those of others are there.
func TestEraseLeavesNoBytes(t *testing.T) {
	t.Parallel()
	for _, v := range postgres.Versions() {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			t.Parallel()
			c := postgres.Start(t, postgres.Options{Version: v, Settings: map[string]string{"wal_recycle": "off", "wal_keep_size": "0", "min_wal_size": "'32MB'"}})
			o, _ := withRoles(t, c)
			s := mustOpen(t, o)
			id := event.LogID{ID: event.NewID()}
			l := openTestLog(t, s, id)
			gone, goneKey, kept, keptKey := logtest.NewSubject(), logtest.NewKey(), logtest.NewSubject(), logtest.NewKey()
			var secrets, others [][]byte
			for i := range 300 {
				subject, key, list := gone, goneKey, &secrets
				if i%3 != 0 {
					subject, key, list = kept, keptKey, &others
				}
				d := logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(subject, key, "/a", "/b"), logtest.Blind(subject, "a", logtest.RandomHash()))
				b := d.Blind[0]
				term := event.BlindTerm(b.Name, b.Version, b.Value).Digest()
				*list = append(*list, d.Ciphertexts[0], b.Value[:], term[:])
				if _, err := l.Append(t.Context(), logtest.Request(d)); err != nil {
					t.Fatal(err)
				}
				if i == 150 {
					c.Exec(t, nameOf(t, o.DSN), `CHECKPOINT`, `ANALYZE`)
				}
			}
			c.Exec(t, nameOf(t, o.DSN), `ANALYZE`, `CHECKPOINT`)
			if n := found(t, c.Data(), secrets); n != len(secrets) {
				t.Fatalf("%d of %d are in the files before; the test is blind", n, len(secrets))
			}
			if _, err := l.Append(t.Context(), logtest.Request(logtest.Erasure(gone, goneKey))); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := l.Erase(t.Context(), gone, nil); err != nil {
				t.Fatal(err)
			}
			t.Logf("erased in %s", time.Since(start).Round(time.Millisecond))
			if n := found(t, c.Data(), secrets); n != 0 {
				t.Errorf("%d of %d erased values are still in files", n, len(secrets))
			}
			if n := found(t, c.Data(), others); n != len(others) {
				t.Errorf("only %d of %d values of others are in the files", n, len(others))
			}
			if err := l.Erase(t.Context(), gone, nil); err != nil { // repeating it is harmless
				t.Fatal(err)
			}
			if err := logtest.Check(t.Context(), s, id); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// found counts the values that stand in any file below a folder.
func found(t *testing.T, dir string, values [][]byte) int {
	t.Helper()
	there := make([]bool, len(values))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) || err == nil && !d.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		for i, v := range values {
			if !there[i] && bytes.Contains(body, v) {
				there[i] = true
				if testing.Verbose() {
					t.Logf("value %d is in %s", i, path)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, ok := range there {
		if ok {
			n++
		}
	}
	return n
}

// Records of one subject in several tables of sealed blocks, one of which is
// made by the batch that needs it, are erased in all of them; and a reader in
// the way is waited for.
func TestEraseAcrossSegments(t *testing.T) {
	t.Parallel()
	o, exec := fresh(t)
	s := mustOpen(t, o)
	id := event.LogID{ID: event.NewID()}
	subject, key := logtest.NewSubject(), logtest.NewKey()
	// The tables that were made ahead are taken away, and the boundary is put
	// where a few records reach it.
	exec(`DROP TABLE sealed_1`)
	skipTo(t, s, id, segmentSize-3)
	draft := func() *event.Draft {
		return logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(subject, key, "/a"))
	}
	commitAfter(t, s, id, draft(), draft(), draft(), draft(), draft())
	reader := connectAs(t, o, o.DSN)
	tx, err := reader.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `SELECT count(*) FROM sealed_1`)
	}
	if err != nil {
		t.Fatal(err)
	}
	erased := make(chan error, 1)
	go func() { erased <- s.Erase(t.Context(), id, subject, nil) }()
	select {
	case err := <-erased:
		t.Fatalf("it did not wait for the reader: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	// A transaction that is older than the deletion, and reads nothing, keeps the
	// bytes as well.
	older := connectAs(t, o, o.DSN)
	snapshot, err := older.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err == nil {
		_, err = snapshot.Exec(t.Context(), `SELECT 1 FROM log_head`)
	}
	if err == nil {
		err = tx.Rollback(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	more, other := logtest.NewSubject(), logtest.NewKey()
	commitAfter(t, s, id, logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(more, other, "/a")))
	if err := <-erased; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Erase(ctx, id, more, nil); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "a transaction is open that is older") {
		t.Fatalf("beside an older transaction: %v", err)
	}
	if err := snapshot.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(t.Context(), id, more, nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range s.Records(t.Context(), id, segmentSize-2, segmentSize+2) {
		if err != nil || r.Ciphertexts[0] != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		n++
	}
	if n != 5 {
		t.Errorf("%d records, want 5", n)
	}
}
