package custom

import (
	"maps"
	"slices"

	"muniment.dev/custom/schema"
	"muniment.dev/event"
)

// Describe are the event types of recorded documents, in every revision. It
// needs no modules, so that who has no keys can read events all the same.
func Describe(docs Documents) ([]event.Descriptor, error) {
	files := make(map[string][]byte, len(docs.Files))
	for name, text := range docs.Files {
		files[name] = []byte(text)
	}
	set, err := schema.Parse(files, schema.Options{Recorded: true, Reserved: Reserved()})
	if err != nil {
		return nil, err
	}
	var out []event.Descriptor
	for _, name := range slices.Sorted(maps.Keys(set.Events)) {
		for _, def := range set.Events[name].Revisions {
			out = append(out, def.Descriptor)
		}
	}
	return out, nil
}
