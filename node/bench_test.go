package node

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
)

// BenchmarkForward appends over a node that follows, whose store is memory: what
// is left is what forwarding and following cost.
func BenchmarkForward(b *testing.B) {
	for name, node := range map[string]int{"holder": 0, "follower": 1} {
		b.Run(name, func(b *testing.B) {
			var messages atomic.Int64
			store, id := memlog.New(), event.LogID{ID: event.NewID()}
			c := NewClient(ClientOptions{})
			defer c.Close()
			var logs []*eventlog.Log
			for range 2 {
				s := NewServer(time.Now)
				address := listen(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { messages.Add(1); s.ServeHTTP(w, r) }))
				l, err := eventlog.Open(b.Context(), slow{store}, id, eventlog.Options{Lease: time.Hour, Address: address, Forward: c.Forward(id, ours), Hear: c.Hear(id, ours)})
				if err != nil {
					b.Fatal(err)
				}
				s.Serve(id, l, key)
				logs = append(logs, l)
				defer l.Close()
			}
			requests := make(chan eventlog.Request, b.N)
			for range b.N {
				subject := logtest.NewSubject()
				requests <- logtest.Request(logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(subject, logtest.NewKey(), "name", "email", "given"), logtest.Blind(subject, "email", logtest.RandomHash())))
			}
			close(requests)
			b.ResetTimer()
			var wg sync.WaitGroup
			for range 32 {
				wg.Go(func() {
					for r := range requests {
						if _, err := logs[node].Append(b.Context(), r); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(messages.Load())/float64(b.N), "messages/op")
		})
	}
}

// slow is a store whose commits take as long as those of a database.
type slow struct{ *memlog.Store }

func (s slow) Commit(ctx context.Context, b *eventlog.Batch) error {
	time.Sleep(5 * time.Millisecond)
	return s.Store.Commit(ctx, b)
}
