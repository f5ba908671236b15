package cli

import (
	"fmt"
	"strings"
)

// once says of a flag that takes one value each time how several are given:
// words is what was typed as its values.
func (f *flag) once(words []string) *Usage {
	again := make([]string, 0, len(words))
	for _, w := range words {
		if w = strings.TrimSpace(w); w != "" {
			again = append(again, "--"+f.name+" "+clean(w))
		}
	}
	return &Usage{fmt.Sprintf("--%s takes one value; for several name it again: %s", f.name, strings.Join(again, " "))}
}

// joined are the values that stand in one, separated by commas or spaces, of a
// flag whose values hold neither: ids, types, choices. nil if it is one value.
func (f *flag) joined(value string) []string {
	leaf := f.path.Leaf()
	if !leaf.IsList() || f.set != nil || leaf.Enum() == nil && leaf.Name() != "types" && !strings.HasSuffix(string(leaf.Name()), "_ids") && !strings.HasSuffix(string(leaf.Name()), "_types") {
		return nil
	}
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	if len(words) < 2 {
		return nil
	}
	return words
}
