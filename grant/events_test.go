package grant_test

import (
	"testing"

	"muniment.dev/event/eventtest"
	"muniment.dev/grant"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, grant.Events()) }
