package authz_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/event/eventtest"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, authz.Events()) }
