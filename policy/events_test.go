package policy_test

import (
	"testing"

	"muniment.dev/event/eventtest"
	"muniment.dev/policy"
)

// What was ever recorded can be read for ever.
func TestGoldenEvents(t *testing.T) { eventtest.Golden(t, policy.Events()) }
