package field_test

import (
	"testing"

	"muniment.dev/custom"
	"muniment.dev/field"
)

// The pack is good as it stands, without a warning, and has the types of ID PASS
// DataCollect.
func TestPack(t *testing.T) {
	files, err := field.Pack()
	if err != nil {
		t.Fatal(err)
	}
	d, err := custom.Define(custom.Documents{Files: files}, custom.Go{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, w := range d.Set.Warnings {
		t.Logf("%s", w)
	}
	for typ, entity := range map[string]string{"create-individual": "individual", "create-group": "group", "update-individual": "individual", "update-group": "group", "add-member": "group",
		"remove-member": "group", "delete-individual": "individual", "delete-group": "group", "resolve-duplicate": "individual", "resolve-duplicate-group": "group"} {
		e := d.Set.Events[typ]
		if e == nil || e.Entity != entity {
			t.Errorf("%s is not defined as an event of %s", typ, entity)
			continue
		}
		for _, f := range e.Latest().Fields {
			if f.Public && f.Ref == "" && f.Name != "same" && f.Name != "size" {
				t.Errorf("%s shows %s in clear", typ, f.Name)
			}
		}
	}
	if ends, _ := d.Lifetime("group"); len(ends) != 1 || ends[0] != "delete-group" {
		t.Errorf("a group is ended by %v", ends)
	}
}
