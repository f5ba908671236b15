package memlog_test

import (
	"sync/atomic"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
)

func TestShared(t *testing.T) {
	logtest.RunShared(t, func(*testing.T) logtest.SharedEngine {
		s := memlog.New()
		var ahead atomic.Int64
		s.SetClock(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
		return logtest.SharedEngine{
			Store: s, Lease: 100 * time.Millisecond,
			Another: func(*testing.T) eventlog.Shared { return s },
			Pass:    func(d time.Duration) { ahead.Add(int64(d)) },
			Lose:    func(_ *testing.T, id event.LogID) { s.LoseMark(id) },
		}
	})
}
