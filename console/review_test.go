package console

import (
	"slices"
	"testing"

	"muniment.dev/fault"
)

// Possible duplicates are shown side by side, with what differs marked, and
// resolved there; an entity's page leads to them.
func TestDuplicatePages(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	const pair = "/console/review/pairs/household/" + houseID + "/" + emptyID
	v.get("/console/review").want(200, `href="`+pair+`"`, "Lovelace &amp; &lt;Sons&gt; · Household 0198a5c2", "<code>village</code>", `href="/console/review/kept"`)
	v.get("/console/review?state=closed").want(200, "Nothing matches", "x-duplicates")
	v.get("/console/review?state=same").want(200, "The same")
	v.get("/console/entities/household/"+houseID).want(200, "Possible duplicates", `href="`+pair+`"`, "is kept")
	v.get(pair).want(200, "Side by side", "High Street", "Unknown", "Only one", "Differs", `value="`+houseID+`" checked`, "They are two", `href="/console/entities/household/`+emptyID+`"`)
	v.send(pair, "do", "same", "keep", emptyID, "delete", "1", "reason", "twins").want(200, "They are the same.")
	v.get(pair).send(pair, "do", "different").want(200, "They are two. They will not be flagged again.")
	if want := []string{"ResolveDuplicate true " + emptyUUID + " true twins", "ResolveDuplicate false  false "}; !slices.Equal(b.calls, want) {
		t.Errorf("calls: %q, want %q", b.calls, want)
	}
	b.deny["ResolveDuplicate"] = fault.New(fault.Denied, "you may not publish")
	v.get(pair).send(pair, "do", "different").want(200, "You may not publish")
	v.get("/console/review/pairs/household/" + emptyID + "/" + twinID).want(404)
}

// Values are compared as far as they may be read.
func TestCompareCells(t *testing.T) {
	for _, c := range []struct {
		a, b cell
		want string
	}{
		{cell{Value: "x"}, cell{Value: "x"}, "Equal"},
		{cell{Value: "José Núñez"}, cell{Value: "JOSE NUNEZ"}, "Alike"},
		{cell{Value: "x"}, cell{Value: "y"}, "Differs"},
		{cell{Value: "x"}, cell{State: "absent"}, "Only one"},
		{cell{State: "absent"}, cell{State: "absent"}, ""},
		{cell{Value: "x"}, cell{State: "locked"}, "Unknown"},
		{cell{State: "erased"}, cell{Value: "x"}, "Unknown"},
	} {
		if got := compareCells(c.a, c.b).Word; got != c.want {
			t.Errorf("%v and %v: %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

// What a device said is shown beside what stands, field by field, and decided.
func TestConflictPages(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	const kept = "/console/review/kept/" + houseID + "/" + keptID
	v.get("/console/review/kept").want(200, `href="`+kept+`"`, "a person decides", "Lovelace &amp; &lt;Sons&gt;")
	v.get("/console/review/kept?state=applied").want(200, "Nothing matches", "x-conflict")
	v.get(kept).want(200, "Field by field", "Lovelace &amp; Daughters", "Differs", "Equal", "enumerator-7, says the device")
	v.send(kept, "do", "apply", "reason", "asked her").want(200, "Applied.")
	v.get(kept).send(kept, "do", "leave").want(200, "Left as it was.")
	if want := []string{"SettleConflict " + keptUUID + " true asked her", "SettleConflict " + keptUUID + " false "}; !slices.Equal(b.calls, want) {
		t.Errorf("calls: %q, want %q", b.calls, want)
	}
	v.get("/console/review/kept/" + houseID + "/" + twinID).want(404)
}
