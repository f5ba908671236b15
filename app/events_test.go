package app_test

import (
	"testing"

	"muniment.dev/app"
	"muniment.dev/event/eventtest"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, app.Events()) }
