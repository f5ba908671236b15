package schema_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"muniment.dev/custom/schema"
)

const reference = "../../docs/reference/schema.md"

// The examples of the reference are one set of documents without a mistake.
func TestReference(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for i, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1) {
		files[fmt.Sprintf("example-%d.json", i+1)] = m[1]
	}
	set, err := schema.Parse(files, wired())
	if err != nil {
		t.Fatal(problems(err))
	}
	if len(set.Entities) != 2 || len(set.Events) != 2 || len(set.Warnings) > 0 || len(set.Events["household-registered"].Revisions) != 2 {
		t.Errorf("%d entities, %d events, %v", len(set.Entities), len(set.Events), set.Warnings)
	}
}

// The reference names every annotation and every limit as it is.
func TestReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range schema.Annotations() {
		if !strings.Contains(string(text), "| `"+name+"`") {
			t.Errorf("%s is not explained", name)
		}
	}
	if want := fmt.Sprintf("| %d: each schema", schema.MaxPlace); !strings.Contains(string(text), want) {
		t.Error(want)
	}
	for name, limit := range map[string]int{"Documents of a folder": schema.MaxDocuments, "Properties of an object": schema.MaxProperties, "Schemas within schemas": schema.MaxNesting,
		"Values of an `enum`": schema.MaxEnum, "patterns of `patternProperties`": schema.MaxAlternative, "Steps of a compiled pattern": schema.MaxPattern, "Characters of a name": schema.MaxName} {
		if !strings.Contains(string(text), name+" | "+strconv.Itoa(limit)+" |") {
			t.Errorf("%s: not %d", name, limit)
		}
	}
}
