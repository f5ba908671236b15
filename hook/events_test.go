package hook_test

import (
	"testing"

	"muniment.dev/event/eventtest"
	"muniment.dev/hook"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, hook.Events()) }
