package pglog

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
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

// The engine keeps what it promises to several nodes. Its clock passes by
// setting back what it has noted.
func TestConformanceShared(t *testing.T) {
	dsn := postgres.Shared(t).NewDatabase(t)
	logtest.RunShared(t, func(t *testing.T) logtest.SharedEngine {
		o := testOptions(t, dsn)
		o.Schema = newSchema()
		s := mustOpen(t, o)
		exec := func(sql string, args ...any) {
			if _, err := s.writes.Exec(context.Background(), sql, args...); err != nil {
				t.Fatal(err)
			}
		}
		return logtest.SharedEngine{
			Store:   s,
			Another: func(t *testing.T) eventlog.Shared { return mustOpen(t, o) },
			Lease:   time.Second,
			Pass: func(d time.Duration) {
				exec(`UPDATE standing SET until = until - $1::bigint * interval '1 microsecond'`, d.Microseconds())
				exec(`UPDATE node SET until = until - $1::bigint * interval '1 microsecond'`, d.Microseconds())
			},
			Lose: func(t *testing.T, _ event.LogID) { exec(`TRUNCATE standing`) },
		}
	})
}
