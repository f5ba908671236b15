package pglog

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/internal/postgres"
)

// testOptions report what the store says.
func testOptions(t testing.TB, dsn string) Options {
	return Options{DSN: dsn, Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

type testWriter struct{ testing.TB }

func (w testWriter) Write(b []byte) (int, error) { w.Logf("%s", b); return len(b), nil }

var schemas atomic.Int64

// newSchema is a name: a schema is made much faster than a database.
func newSchema() string { return fmt.Sprintf("schema_%d", schemas.Add(1)) }

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	versions := postgres.Versions()
	if len(versions) == 0 {
		postgres.Shared(t) // says why
	}
	for _, v := range versions {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			dsn := postgres.SharedVersion(t, v).NewDatabase(t)
			logtest.Run(t, func(t *testing.T) (eventlog.Store, func() eventlog.Store) {
				o := testOptions(t, dsn)
				o.Schema = newSchema()
				s := mustOpen(t, o)
				return s, func() eventlog.Store {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = mustOpen(t, o)
					return s
				}
			})
		})
	}
}
