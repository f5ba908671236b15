package pglog

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"muniment.dev/event"
)

// channel is on which the doorbell rings; the payload is the log's id.
const channel = "muniment_log"

// bell listens on a connection of its own, for all logs, once somebody wants to
// know. If the connection is lost it is made again; meanwhile nothing rings, and
// whoever waits looks by itself.
type bell struct {
	store *Store
	once  sync.Once

	mu      sync.Mutex
	waiting map[event.LogID]map[chan struct{}]bool
}

func newBell(s *Store) *bell {
	return &bell{store: s, waiting: map[event.LogID]map[chan struct{}]bool{}}
}

// Bell implements eventlog.Shared.
func (s *Store) Bell(ctx context.Context, log event.LogID) <-chan struct{} {
	b := s.bell
	b.once.Do(func() { s.beside(b.listen) })
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	if b.waiting[log] == nil {
		b.waiting[log] = map[chan struct{}]bool{}
	}
	b.waiting[log][ch] = true
	b.mu.Unlock()
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.waiting[log], ch)
		if len(b.waiting[log]) == 0 {
			delete(b.waiting, log)
		}
	})
	return ch
}

// ring signals those who wait for a log, without waiting for them.
func (b *bell) ring(log event.LogID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ch := range b.waiting[log] {
		select {
		case ch <- struct{}{}:
		default: // it has a signal already
		}
	}
}

// ringAll is for when something may have been missed.
func (b *bell) ringAll() {
	b.mu.Lock()
	logs := make([]event.LogID, 0, len(b.waiting))
	for log := range b.waiting {
		logs = append(logs, log)
	}
	b.mu.Unlock()
	for _, log := range logs {
		b.ring(log)
	}
}

// listen listens until the store is closed.
func (b *bell) listen() {
	ctx := b.store.life
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 2*time.Second) {
		heard, err := b.hear(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			wait = 50 * time.Millisecond
		}
		b.store.opts.Logger.Warn("the doorbell of the database is gone; nodes look by themselves until it is back", "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// hear listens until the connection is lost, and reports whether it ever did.
func (b *bell) hear(ctx context.Context) (bool, error) {
	conn, err := b.store.opts.connect(ctx, b.store.opts.DSN)
	if err != nil {
		return false, err
	}
	defer closeSoon(conn)
	if _, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{channel}.Sanitize()); err != nil {
		return false, readFault("listen for the doorbell", err)
	}
	b.ringAll()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, readFault("listen for the doorbell", err)
		}
		if log, err := event.ParseID(n.Payload); err == nil {
			b.ring(event.LogID{ID: log})
		}
	}
}
