package hosting_test

import (
	"testing"

	"muniment.dev/event/eventtest"
	"muniment.dev/hosting"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, hosting.Events()) }
