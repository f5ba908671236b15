package event_test

import (
	"testing"

	"muniment.dev/event"
	"muniment.dev/event/eventtest"
)

// The types that the stand-alone verifier knows can never change.
func TestGoldenEvents(t *testing.T) {
	var types []event.Descriptor
	for _, d := range event.NewRegistry().All(event.LogID{}) {
		types = append(types, *d)
	}
	eventtest.Golden(t, types)
}
