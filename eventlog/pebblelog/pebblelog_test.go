package pebblelog

import (
	"log/slog"
	"testing"

	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
)

// testOptions report what Pebble says and keep the disk check out.
func testOptions(t testing.TB) Options {
	return Options{Reserve: -1, Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

type testWriter struct{ testing.TB }

func (w testWriter) Write(b []byte) (int, error) { w.Logf("%s", b); return len(b), nil }

func TestConformance(t *testing.T) {
	t.Run("plain", func(t *testing.T) { conform(t, testOptions) })
	t.Run("with filters", func(t *testing.T) {
		conform(t, func(t testing.TB) Options {
			opts := testOptions(t)
			opts.filterAfter, opts.filterRoom = 1, 8
			return opts
		})
	})
}

func conform(t *testing.T, options func(testing.TB) Options) {
	logtest.Run(t, func(t *testing.T) (eventlog.Store, func() eventlog.Store) {
		dir := t.TempDir()
		s := mustOpen(t, dir, options(t))
		return s, func() eventlog.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, dir, options(t))
			return s
		}
	})
}

func mustOpen(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
