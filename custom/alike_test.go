package custom_test

import (
	"testing"

	"muniment.dev/custom"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// Issue 5, point 8: values that people take for the same are compared as the
// same, those of other scripts letter by letter.
func TestAlikeForm(t *testing.T) {
	for _, same := range [][]any{
		{"José María  Núñez", "jose maria nunez", "JOSE-MARIA NÚN\u0303EZ", "Jose\u0301 Mari\u0301a Nuñez"},
		{"O'Brien", "o’brien", "OBRIEN"},
		{"+254 700-123 456", "254700123456", "(254) 700.123456"},
		{"Øyvind Łukasz Straße", "oyvind lukasz strasse"},
		{"ＡＤＡ", "ada"},
		{"आमिना", "आमिना "},
		{int64(7)},
		{true},
	} {
		for _, v := range same[1:] {
			if a, b := custom.AlikeForm(same[0]), custom.AlikeForm(v); a == "" || a != b {
				t.Errorf("%q is %q, %q is %q", same[0], a, v, b)
			}
		}
	}
	for _, other := range [][2]any{{"कि", "का"}, {"Ana", "Anna"}, {int64(7), int64(-7)}, {"7", "70"}} {
		if a := custom.AlikeForm(other[0]); a == custom.AlikeForm(other[1]) {
			t.Errorf("%v and %v are both %q", other[0], other[1], a)
		}
	}
	for _, nothing := range []any{nil, "", " - ", []any{"a"}, map[string]any{}} {
		if got := custom.AlikeForm(nothing); got != "" {
			t.Errorf("%v is %q", nothing, got)
		}
	}
}

// alikeTo are the entities that have in common with one what a rule compares.
func alikeTo(t *testing.T, set *view.Set, id event.ID, rule, column string, at event.Position) (out int) {
	t.Helper()
	row, ok, err := set.Get(t.Context(), custom.Alike, view.Values{"id": id, "type": "thing", "rule": rule}, view.Read{At: at})
	if err != nil {
		t.Fatal(err)
	}
	key := ""
	if ok && column == "sealed" {
		key = view.Personal[string](row, column).Value
	} else if ok {
		key = row.Text(column)
	}
	if key == "" {
		return -1
	}
	rows, _, _, err := set.Select(t.Context(), view.Query{Table: custom.Alike, Where: []view.Cond{view.Eq("type", "thing"), view.Eq("rule", rule), view.Eq(column, key)}, Read: view.Read{At: at}})
	if err != nil {
		t.Fatal(err)
	}
	return len(rows) - 1
}

// The table finds who is alike at every position, by sealed fields as well, and
// forgets with the key what it held of them.
func TestAlikeTable(t *testing.T) {
	d, err := custom.Define(custom.Documents{Files: map[string]string{
		"thing.json": `{"x-entity-type": "thing", "x-duplicates": [["name", "born"], ["code"]], "type": "object", "properties": {"name": {"type": "string"}, "born": {"type": "string"}, "code": {"type": "string", "x-public": true}}}`,
		"made.json":  `{"x-event": "thing-made", "x-entity": "thing", "type": "object", "properties": {"name": {"type": "string"}, "born": {"type": "string"}, "code": {"type": "string", "x-public": true}}}`,
		"ended.json": `{"x-event": "thing-ended", "x-entity": "thing", "x-apply": {"delete": true}, "type": "object", "properties": {}}`}}, custom.Go{})
	if err != nil {
		t.Fatal(err)
	}
	if !d.Comparable("thing-made") || d.Comparable("thing-ended") {
		t.Error("which events may make a thing like another")
	}
	l := viewtest.New(t, custom.Events())
	for _, e := range d.Set.Events {
		if err := l.Register(e.Latest().Descriptor); err != nil {
			t.Fatal(err)
		}
	}
	set, err := view.Open(t.Context(), view.File(""), l, l.Decode, []view.View{custom.View(0, source{0: d}, func(typ string) bool { return typ == "entity.erased" || typ == "subject.erased" })}, view.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	say := func(id, organization event.ID, typ string, data map[string]any) {
		t.Helper()
		p, err := d.Set.Events[typ].Latest().Payload(id, organization, data)
		if err != nil {
			t.Fatal(err)
		}
		l.Append(event.New{Stream: event.Stream{Kind: "thing", ID: id}, Payload: p})
	}
	a, b, c, none := event.NewID(), event.NewID(), event.NewID(), event.ID{}
	const names, code = "born name (sealed)", "code"
	want := func(what string, id event.ID, rule, column string, at event.Position, n int) {
		t.Helper()
		if got := alikeTo(t, set, id, rule, column, at); got != n {
			t.Errorf("%s: %d are alike, want %d", what, got, n)
		}
	}
	say(a, none, "thing-made", map[string]any{"name": "José Núñez", "born": "1980-02-01", "code": "A-1"})
	say(b, none, "thing-made", map[string]any{"name": "jose nunez", "code": "a1"})
	say(c, event.NewID(), "thing-made", map[string]any{"name": "José Núñez", "born": "1980-02-01"})
	want("a value is missing", b, names, "sealed", 0, -1)
	want("public", b, code, "value", 0, 1)
	want("of another organization", c, names, "sealed", 0, 0)
	say(b, none, "thing-made", map[string]any{"born": "1980 02 01"})
	want("sealed", b, names, "sealed", 0, 1)
	want("as it was", a, names, "sealed", 2, 0)
	l.Erase(event.SubjectID{ID: a})
	want("erased", a, names, "sealed", 0, -1)
	want("whose like was erased", b, names, "sealed", 0, 0)
	say(b, none, "thing-ended", nil)
	want("deleted", b, names, "sealed", 0, -1)
	want("whose like was deleted", a, code, "value", 0, 0)
	viewtest.Check(t, set)
}
