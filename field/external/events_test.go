package external_test

import (
	"testing"

	"muniment.dev/event/eventtest"
	"muniment.dev/field/external"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, external.Events()) }
