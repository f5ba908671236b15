package field_test

import (
	"testing"

	"muniment.dev/event/eventtest"
	"muniment.dev/field"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, field.Events()) }
