package server

import (
	"context"
	"log/slog"
	"regexp"
)

// withoutAddress is a handler for what net/http says by itself: it takes the
// addresses of the people on the other side out of the text, and calls it an
// error only if a handler panicked. Broken connections are nothing to wake
// anybody for.
type withoutAddress struct{ slog.Handler }

var (
	peer     = regexp.MustCompile(`\b(from|serving) \S+:\d+`)
	panicked = regexp.MustCompile(`^http2?: panic`)
)

// Enabled implements slog.Handler. The level is known only in Handle.
func (withoutAddress) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h withoutAddress) Handle(ctx context.Context, r slog.Record) error {
	level := slog.LevelDebug
	if panicked.MatchString(r.Message) {
		level = slog.LevelError
	}
	if !h.Handler.Enabled(ctx, level) {
		return nil
	}
	return h.Handler.Handle(ctx, slog.NewRecord(r.Time, level, peer.ReplaceAllString(r.Message, "$1 a client"), 0))
}
