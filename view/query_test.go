package view_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// crowd adds n people of few organizations with few names, some without.
func crowd(l *viewtest.Log, r *rand.Rand, n int) {
	orgs := []event.ID{event.MustID(strings.Repeat("01", 16)), event.MustID(strings.Repeat("02", 16))}
	for n > 0 {
		var events []event.New
		for range min(n, 50) {
			id := event.NewID()
			e := added{User: id, Org: orgs[r.IntN(2)]}
			if r.IntN(4) > 0 {
				e.Name = event.Seal(string(rune('a' + r.IntN(5))))
			}
			events = append(events, of(id, e))
			if r.IntN(2) == 0 {
				events = append(events, of(id, changed{User: id, Logins: int64(1 + r.IntN(3))}))
			}
			n--
		}
		l.Append(events...)
	}
}

func ids(rows []view.Row) (out []string) {
	for _, r := range rows {
		out = append(out, r.ID("user").String())
	}
	return out
}

func pages(t testing.TB, set *view.Set, q view.Query) (rows []view.Row) {
	t.Helper()
	for {
		page, next, _, err := set.Select(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, page...)
		if next == "" {
			return rows
		}
		if len(page) != q.Limit {
			t.Fatalf("a page of %d rows in the middle", len(page))
		}
		q.After = next
	}
}

// All pages together are the whole list, in its order, whatever the order, the
// direction, the size of a page and the position.
func TestPagesAreTheList(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	l := newLog(t)
	set := l.Open(people())
	crowd(l, r, 150)
	half := l.Mark().Size / 2
	org := event.MustID(strings.Repeat("01", 16))
	for _, order := range [][]string{nil, {"name"}, {"org", "name"}, {"logins", "name"}, {"name", "logins"}, {"user"}, {"logins", "user", "name"}} {
		for _, where := range [][]view.Cond{nil, {view.Eq("org", org)}, {view.Prefix("name", "B")}, {view.Unset("logins")}} {
			for _, at := range []event.Position{0, half} {
				for _, desc := range []bool{false, true} {
					q := view.Query{Table: "people", Where: where, OrderBy: order, Desc: desc, Limit: view.MaxLimit, Read: view.Read{At: at}}
					whole := pages(t, set, q)
					n, _, err := set.Count(ctx, q)
					if err != nil || n != len(whole) || n == 0 {
						t.Fatal(n, len(whole), err)
					}
					if !slices.IsSortedFunc(whole, func(a, b view.Row) int { return inOrder(a, b, order, desc) }) {
						t.Fatalf("%v desc %v: not in order", order, desc)
					}
					for _, limit := range []int{1, 7, n} {
						q.Limit = limit
						if got := ids(pages(t, set, q)); !slices.Equal(got, ids(whole)) {
							t.Fatalf("%v desc %v, pages of %d at %d\ngot  %v\nwant %v", order, desc, limit, at, got, ids(whole))
						}
					}
				}
			}
		}
	}
}

// inOrder compares rows as the order wants it, by what the accessors give.
func inOrder(a, b view.Row, order []string, desc bool) int {
	text := func(r view.Row, column string) string {
		switch {
		case !r.Has(column):
			return ""
		case column == "name":
			return "1" + view.Personal[string](r, column).Value
		case column == "logins":
			return fmt.Sprintf("1%09d", r.Int(column))
		}
		return "1" + r.ID(column).String()
	}
	for _, column := range append(slices.Clone(order), "user") {
		if c := strings.Compare(text(a, column), text(b, column)); c != 0 {
			if desc {
				return -c
			}
			return c
		}
	}
	return 0
}

// While others insert, paging through the present gives each row that was there
// all the time exactly once, and paging as of the first page's position gives
// exactly what was there then.
func TestPagingUnderInserts(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	l := newLog(t)
	set := open(t, l, stored(t), view.Options{})
	crowd(l, r, 100)
	before, _, at, err := set.Select(ctx, view.Query{Table: "people", OrderBy: []string{"name"}, Limit: view.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		w := rand.New(rand.NewPCG(9, 9))
		for range 200 { // or who reads may never come to an end
			select {
			case <-stop:
				return
			default:
				crowd(l, w, 5)
				for set.Lag() > 5*time.Millisecond { // as who appends is meant to
					time.Sleep(time.Millisecond)
				}
			}
		}
	})
	defer writer.Wait()
	defer close(stop)
	for range 5 {
		var got []string
		for _, id := range ids(pages(t, set, view.Query{Table: "people", OrderBy: []string{"name"}, Limit: 3, Read: view.Read{Stale: true}})) {
			if slices.Contains(got, id) {
				t.Fatalf("%s came twice", id)
			}
			got = append(got, id)
		}
		for _, id := range ids(before) {
			if !slices.Contains(got, id) {
				t.Fatalf("%s was missed", id)
			}
		}
		frozen := pages(t, set, view.Query{Table: "people", OrderBy: []string{"name"}, Limit: 7, Read: view.Read{At: at}})
		if !slices.Equal(ids(frozen), ids(before)) {
			t.Fatal("the list of a position is not what it was")
		}
	}
}

// Conditions select what they say.
func TestConditions(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	names := []string{"Straße", "STRASSE 7", "ﬁne", "Ａda", "adam", "Zoë", "\U0010FFFF", "\uD7FFx", "x\U0010FFFFy"}
	want := map[string]event.ID{}
	org := event.NewID()
	for i, n := range names {
		id := event.NewID()
		want[n] = id
		l.Append(of(id, added{User: id, Org: org, Name: event.Seal(n)}), of(id, changed{User: id, Logins: int64(i + 1)}))
	}
	nobody := event.NewID()
	want["nobody"] = nobody
	l.Append(of(nobody, added{User: nobody, Org: nobody}))
	for _, c := range []struct {
		where []view.Cond
		names []string
	}{
		{[]view.Cond{view.Prefix("name", "stras")}, []string{"Straße", "STRASSE 7"}},
		{[]view.Cond{view.Same("name", "STRASSE")}, []string{"Straße"}},
		{[]view.Cond{view.Prefix("name", "FI")}, []string{"ﬁne"}},
		{[]view.Cond{view.Prefix("name", "ada")}, []string{"Ａda", "adam"}},
		{[]view.Cond{view.Prefix("name", "zo\u0065\u0308")}, []string{"Zoë"}}, // a decomposed ë
		{[]view.Cond{view.Prefix("name", "\U0010FFFF")}, []string{"\U0010FFFF"}},
		{[]view.Cond{view.Prefix("name", "\uD7FF")}, []string{"\uD7FFx"}},
		{[]view.Cond{view.Prefix("name", "x\U0010FFFF")}, []string{"x\U0010FFFFy"}},
		{[]view.Cond{view.Prefix("name", "%")}, nil},
		{[]view.Cond{view.Prefix("name", ""), view.Eq("org", nobody)}, []string{"nobody"}},
		{[]view.Cond{view.Eq("name", "adam")}, []string{"adam"}},
		{[]view.Cond{view.Unset("name")}, []string{"nobody"}},
		{[]view.Cond{view.In("logins", 1, 3, 99)}, []string{"Straße", "ﬁne"}},
		{[]view.Cond{view.In[int]("logins")}, nil},
		{[]view.Cond{view.Range("logins", 2, 4)}, []string{"STRASSE 7", "ﬁne"}},
		{[]view.Cond{view.Range("logins", 8, nil)}, []string{"\uD7FFx", "x\U0010FFFFy"}},
		{[]view.Cond{view.Any(view.Eq("logins", 1), view.Prefix("name", "fi"), view.Unset("logins"))}, []string{"Straße", "ﬁne", "nobody"}},
		{[]view.Cond{view.Any()}, nil},
	} {
		for _, at := range []event.Position{0, l.Mark().Size} {
			rows, _, _, err := set.Select(ctx, view.Query{Table: "people", Where: c.where, Read: view.Read{At: at}})
			if err != nil {
				t.Fatal(err)
			}
			var expect []string
			for _, n := range c.names {
				expect = append(expect, want[n].String())
			}
			got := ids(rows)
			slices.Sort(expect)
			slices.Sort(got)
			if !slices.Equal(got, expect) {
				t.Errorf("%q: got %d rows %v, want %q", c.where, len(rows), got, c.names)
			}
		}
	}
}

// What cannot be asked is refused, not answered.
func TestRefusedQueries(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	for name, q := range map[string]view.Query{
		"table":     {Table: "nothing"},
		"column":    {Table: "people", Where: []view.Cond{view.Eq("nothing", 1)}},
		"order":     {Table: "people", OrderBy: []string{`user" DESC; DROP TABLE x; --`}},
		"kind":      {Table: "people", Where: []view.Cond{view.Eq("logins", "1 OR 1=1")}},
		"nil":       {Table: "people", Where: []view.Cond{view.Eq("org", nil)}},
		"empty":     {Table: "people", Where: []view.Cond{{}}},
		"no prefix": {Table: "people", Where: []view.Cond{view.Prefix("email", "a")}},
		"limit":     {Table: "people", Limit: view.MaxLimit + 1},
		"negative":  {Table: "people", Limit: -1},
	} {
		if _, _, _, err := set.Select(ctx, q); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
	if _, _, err := set.Get(ctx, "seats", view.Values{"org": event.NewID()}, view.Read{}); err == nil {
		t.Error("half a key was taken for one")
	}
}

// A cursor belongs to its list. One that leads to a row which the query does
// not select says nothing about that row.
func TestCursor(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	crowd(l, rand.New(rand.NewPCG(8, 8)), 60)
	org, other := event.MustID(strings.Repeat("01", 16)), event.MustID(strings.Repeat("02", 16))
	q := view.Query{Table: "people", Where: []view.Cond{view.Eq("org", org)}, OrderBy: []string{"name"}, Limit: 5}
	rows, next, at, err := set.Select(ctx, q)
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(next)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, kind fault.Kind, q view.Query) {
		t.Helper()
		if _, _, _, err := set.Select(ctx, q); !fault.Is(err, kind) {
			t.Errorf("%s: %v", what, err)
		}
	}
	with := func(change func(*view.Query)) view.Query { c := q; c.After = next; change(&c); return c }
	refused("another order", fault.Invalid, with(func(q *view.Query) { q.OrderBy = nil }))
	refused("another direction", fault.Invalid, with(func(q *view.Query) { q.Desc = true }))
	refused("another table", fault.Invalid, with(func(q *view.Query) { q.Table, q.Where, q.OrderBy = "seats", nil, nil }))
	refused("another position", fault.Invalid, with(func(q *view.Query) { q.At = at - 1 }))
	refused("somebody else's row", fault.Conflict, with(func(q *view.Query) { q.Where = []view.Cond{view.Eq("org", other)} }))
	for _, bad := range []string{"!", next + "=", next + "\n", " " + next, next[:len(next)-2], next + "AA", strings.Repeat("A", 5000), base64.RawURLEncoding.EncodeToString(append(slices.Clone(raw), 0))} {
		refused(fmt.Sprintf("%.20q", bad), fault.Invalid, with(func(q *view.Query) { q.After = bad }))
	}
	late := slices.Clone(raw)
	late[9] = 0x7f // a position behind the end of the log, if it takes one byte
	if at < 0x7f {
		refused("a later position", fault.Invalid, with(func(q *view.Query) { q.After = base64.RawURLEncoding.EncodeToString(late) }))
	}
	// The row at the end of the page goes: its place in the list is still known.
	id := rows[4].ID("user")
	whole := ids(pages(t, set, view.Query{Table: "people", Where: q.Where, OrderBy: q.OrderBy, Limit: 1000}))
	l.Append(of(id, removed{User: id}))
	rest, _, _, err := set.Select(ctx, with(func(q *view.Query) { q.Limit = 1000 }))
	if err != nil || !slices.Equal(ids(rest), whole[5:]) {
		t.Fatal(ids(rest), whole[5:], err)
	}
	// Its name is erased: its place is not known any more.
	l.Erase(event.SubjectID{ID: id})
	if rows[4].Has("name") {
		refused("an erased row", fault.Conflict, with(func(*view.Query) {}))
	}
}

// A cursor travels in addresses, so it holds no personal value.
func TestCursorIsNotPersonal(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	for range 2 {
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: id, Name: event.Seal("Wilhelmina")}))
	}
	_, next, _, err := set.Select(ctx, view.Query{Table: "people", Where: []view.Cond{view.Prefix("name", "wil")}, OrderBy: []string{"name"}, Limit: 1})
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(next)
	if err != nil || bytes.Contains(bytes.ToLower(raw), []byte("wil")) {
		t.Fatalf("%q %v", raw, err)
	}
}

// Pages are found by an index, both ways and without sorting.
func TestPagesUseIndexes(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	crowd(l, rand.New(rand.NewPCG(8, 8)), 60)
	org := event.MustID(strings.Repeat("01", 16))
	for _, q := range []view.Query{
		{Table: "people"}, {Table: "people", Desc: true},
		{Table: "people", OrderBy: []string{"name"}}, {Table: "people", OrderBy: []string{"name"}, Desc: true},
		{Table: "people", Where: []view.Cond{view.Eq("org", org)}, OrderBy: []string{"org", "name"}, Desc: true},
		{Table: "people", Where: []view.Cond{view.Eq("org", org)}, OrderBy: []string{"logins"}, Desc: true},
		{Table: "people", OrderBy: []string{"name"}, Read: view.Read{At: 50}},
	} {
		for range 3 {
			q.Limit = 5
			plan, err := set.Plan(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range plan {
				if strings.Contains(line, "TEMP B-TREE") || q.After != "" && strings.Contains(line, "SCAN") {
					t.Errorf("%+v\n%s", q, strings.Join(plan, "\n"))
				}
			}
			if _, q.After, _, err = set.Select(ctx, q); err != nil || q.After == "" {
				t.Fatal(q.After, err)
			}
		}
	}
}

// Strict parsing: what is accepted is exactly what would be printed.
func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("AQAAAAAAAAAAAQMQAAECAwQFBgcICQoLDA0ODw")
	f.Add("AQAAAAAAAAAAgAE")
	f.Add(string(view.PackKey(keys(), view.Values{"id": event.MustID(strings.Repeat("ab", 16)), "text": "é", "n": -1, "b": true, "raw": []byte{}, "at": event.Instant(1)})))
	read := view.KeyReader(keys())
	f.Fuzz(func(t *testing.T, text string) {
		again, ok := view.CanonicalCursor(text)
		if ok && text != "" && again != text {
			t.Fatalf("%q is read as %q", text, again)
		}
		if again, ok := read([]byte(text)); ok && string(again) != text {
			t.Fatalf("key %q is read as %q", text, again)
		}
	})
}

// keys is a table with a key of every kind.
func keys() view.View {
	return view.View{Name: "keys", Revision: 1, Types: []string{"person.noticed"}, Apply: func(event.Fact) []view.Change { return nil },
		Tables: []view.Table{{Name: "keys", Key: []string{"id", "text", "n", "b", "raw", "at"}, Columns: []view.Column{
			{Name: "id", Kind: event.IDRef}, {Name: "text", Kind: event.Text}, {Name: "n", Kind: event.Int},
			{Name: "b", Kind: event.Bool}, {Name: "raw", Kind: event.Bytes}, {Name: "at", Kind: event.Time}}}}}
}
