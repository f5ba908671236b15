package memlog_test

import (
	"testing"

	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, func(*testing.T) (eventlog.Store, func() eventlog.Store) {
		s := memlog.New()
		return s, func() eventlog.Store { return s }
	})
}
