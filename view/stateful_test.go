package view_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// tally is the state of the view of the tests: what becomes of it depends on
// the order of events.
type tally struct {
	N     int64
	Org   event.ID
	Trail string
	Named int64 // by how many events of others
	Doc   event.Sealed[string]
}

// after is the state after an event of the row's own person; nil: gone.
func (t *tally) after(epoch uint64, payload any) *tally {
	next := tally{}
	if t != nil {
		next = *t
	}
	next.N++
	next.Trail = fmt.Sprintf("%d:%T%.9s", epoch, payload, next.Trail)
	var name event.Sealed[string]
	switch e := payload.(type) {
	case added:
		next.Org, name = e.Org, e.Name
	case changed:
		name = e.Name
	case removed:
		if next.N%2 == 0 {
			return nil
		}
	}
	switch {
	case name.State == event.Absent:
	case name.State == event.Erased || next.Doc.State == event.Erased:
		next.Doc = event.Sealed[string]{State: event.Erased}
	default:
		next.Doc = event.Seal(next.Doc.Value + "/" + name.Value)
	}
	return &next
}

func userOf(payload any) (event.ID, bool) {
	switch e := payload.(type) {
	case added:
		return e.User, true
	case changed:
		return e.User, true
	case removed:
		return e.User, true
	case noise:
		return e.User, true
	}
	return event.ID{}, false
}

// tallies is a stateful view whose rows are also changed behind the back of its
// fold: by Apply, and by events of other rows.
func tallies(epoch uint64) view.View {
	return view.View{
		Name: "tallies", Revision: 1, Epoch: epoch, Types: []string{"org.closed"},
		Wants: func(typ string) bool { return strings.HasPrefix(typ, "person.") && typ != "person.broken" },
		Tables: []view.Table{{
			Name: "tallies", Key: []string{"user"}, Indexes: [][]string{{"org"}},
			Columns: []view.Column{{Name: "user", Kind: event.IDRef}, {Name: "n", Kind: event.Int}, {Name: "org", Kind: event.IDRef},
				{Name: "trail", Kind: event.Text}, {Name: "named", Kind: event.Int}, {Name: "doc", Kind: event.Text, Personal: "user"}},
		}, {
			Name: "steps", Key: []string{"user", "n"},
			Columns: []view.Column{{Name: "user", Kind: event.IDRef}, {Name: "n", Kind: event.Int}, {Name: "trail", Kind: event.Text}},
		}},
		Apply: func(f event.Fact) []view.Change {
			if e, ok := f.Payload.(closed); ok {
				return []view.Change{{Table: "tallies", Where: view.Values{"org": e.Org}, Set: view.Values{"trail": "closed"}}}
			}
			return nil
		},
		Fold: &view.Fold{
			Table: "tallies",
			Key: func(f event.Fact) (view.Values, bool) {
				id, ok := userOf(f.Payload)
				return view.Values{"user": id}, ok
			},
			Read: func(r view.Row) any {
				return tally{r.Int("n"), r.ID("org"), r.Text("trail"), r.Int("named"), view.Personal[string](r, "doc")}
			},
			Apply: func(state any, f event.Fact) (any, []view.Change, error) { return applyTally(epoch, state, f) },
		},
	}
}

func applyTally(epoch uint64, state any, f event.Fact) (any, []view.Change, error) {
	var before *tally
	if t, ok := state.(tally); ok {
		before = &t
	}
	id, _ := userOf(f.Payload)
	key := view.Values{"user": id}
	var changes []view.Change
	var next any
	if t := before.after(epoch, f.Payload); t == nil {
		changes = append(changes, view.Remove("tallies", key))
	} else {
		next = *t
		set := view.Values{"n": t.N, "trail": t.Trail, "org": t.Org}
		if before == nil || t.Doc != before.Doc {
			set["doc"] = t.Doc
		}
		changes = append(changes, view.Put("tallies", key, set),
			view.Put("steps", view.Values{"user": id, "n": t.N}, view.Values{"trail": t.Trail}))
	}
	if e, ok := f.Payload.(changed); ok && !e.Manager.IsZero() && e.Manager != id {
		changes = append(changes, view.Put("tallies", view.Values{"user": e.Manager}, view.Values{"named": f.Position}))
	}
	return next, changes, nil
}

// talliesAt are the rows at each position, by a plain fold of payloads.
func talliesAt(epoch uint64, payloads []any) (states []map[event.ID]tally, erased map[event.ID]bool) {
	now, erased := map[event.ID]tally{}, map[event.ID]bool{}
	states = append(states, now)
	for i, p := range payloads {
		now = maps.Clone(now)
		if id, ok := userOf(p); ok {
			var before *tally
			if t, ok := now[id]; ok {
				before = &t
			}
			if t := before.after(epoch, p); t != nil {
				now[id] = *t
			} else {
				delete(now, id)
			}
			if e, ok := p.(changed); ok && !e.Manager.IsZero() && e.Manager != id {
				m := now[e.Manager]
				m.Named = int64(i + 1)
				now[e.Manager] = m
			}
		}
		switch e := p.(type) {
		case closed:
			for id, t := range now {
				if t.Org == e.Org && !e.Org.IsZero() {
					t.Trail = "closed"
					now[id] = t
				}
			}
		case event.SubjectErased:
			erased[e.Subject.ID] = true
		}
		states = append(states, now)
	}
	return states, erased
}

func talliesLines(state map[event.ID]tally, erased map[event.ID]bool) (out []string) {
	for id, t := range state {
		if erased[id] && t.Doc.State == event.Present {
			t.Doc = event.Sealed[string]{State: event.Erased}
		}
		out = append(out, talliesLine(id, t))
	}
	slices.Sort(out)
	return out
}

func talliesLine(id event.ID, t tally) string {
	doc, _ := t.Doc.Get()
	return fmt.Sprintf("%s n=%d org=%s trail=%s named=%d doc=%v %s", id, t.N, t.Org, t.Trail, t.Named, t.Doc.State, doc)
}

func showTallies(rows []view.Row) (out []string) {
	read := tallies(0).Fold.Read
	for _, r := range rows {
		out = append(out, talliesLine(r.ID("user"), read(r).(tally)))
	}
	slices.Sort(out)
	return out
}

// seeds are how many random histories a test runs.
func seeds(n uint64) uint64 {
	if database != "" {
		return n / 3
	}
	return n
}

// The rows of a stateful view are a fold of the log in memory, at every position,
// wherever batches begin and end, and what its fold says of a row is what is
// there; erased subjects are erased, and the view comes out of the log again as
// it is.
func TestStateful(t *testing.T) {
	for seed := range seeds(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			l := newLog(t)
			payloads := history(r, 200)
			opts := view.Options{Batch: 1 + r.IntN(40), Verify: seed%2 == 0}
			var set *view.Set
			if seed%4 < 2 {
				set = open(t, l, passing(t), opts, people(), tallies(3))
				record(l, r, payloads)
			} else {
				record(l, r, payloads)
				set = open(t, l, passing(t), opts, people(), tallies(3))
			}
			states, erased := talliesAt(3, payloads)
			compare := func() {
				t.Helper()
				for range 20 {
					at := event.Position(1 + r.IntN(len(payloads)))
					if got, want := showTallies(selectAll(t, set, "tallies", at)), talliesLines(states[at], erased); !slices.Equal(got, want) {
						t.Fatalf("at %d\ngot  %q\nwant %q", at, got, want)
					}
				}
			}
			compare()
			viewtest.Check(t, set)
			want := dump(t, set)
			if err := set.Rebuild(ctx, nil); err != nil {
				t.Fatal(err)
			}
			compare()
			if got := dump(t, set); !slices.Equal(got, want) {
				t.Fatalf("rebuilt\n%q\nwas\n%q", got, want)
			}
		})
	}
}

// A fold that cannot apply an event stops the set at its place, and says why.
func TestStatefulStops(t *testing.T) {
	ada := event.NewID()
	for name, c := range map[string]struct {
		spoil func(*view.Fold)
		why   string
	}{
		"error": {func(f *view.Fold) {
			f.Apply = func(any, event.Fact) (any, []view.Change, error) { return nil, nil, errors.New("no") }
		}, "no"},
		"apply": {func(f *view.Fold) { f.Apply = func(any, event.Fact) (any, []view.Change, error) { panic("oh no") } }, "oh no"},
		"read":  {func(f *view.Fold) { f.Read = func(view.Row) any { panic("oh no") } }, "oh no"},
		"key":   {func(f *view.Fold) { f.Key = func(event.Fact) (view.Values, bool) { panic("oh no") } }, "oh no"},
		"wrong key": {func(f *view.Fold) {
			f.Key = func(event.Fact) (view.Values, bool) { return view.Values{"org": ada}, true }
		}, "lacks user"},
		"table": {func(f *view.Fold) {
			f.Apply = func(any, event.Fact) (any, []view.Change, error) {
				return nil, []view.Change{view.Remove("people", view.Values{"user": ada})}, nil
			}
		}, `no table "people"`},
		"other state": {func(f *view.Fold) {
			apply := f.Apply
			f.Apply = func(state any, fact event.Fact) (any, []view.Change, error) {
				_, changes, err := apply(state, fact)
				return tally{N: 77}, changes, err
			}
		}, "not what it reads"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			l.Append(of(ada, added{User: ada, Org: ada}), of(ada, noise{User: ada}))
			in := stored(t)
			before := open(t, l, in, view.Options{}, tallies(1))
			caughtUp(t, before, 2)
			before.Close()
			v := tallies(1)
			key := v.Fold.Key
			c.spoil(v.Fold)
			spoilt := v.Fold.Key
			v.Fold.Key = func(f event.Fact) (view.Values, bool) {
				if _, ok := f.Payload.(noise); ok {
					return spoilt(f)
				}
				return key(f)
			}
			set := open(t, l, in, view.Options{Verify: true}, v)
			l.Append(of(ada, closed{Org: event.NewID()}), of(ada, noise{User: ada}), of(ada, closed{Org: event.NewID()}))
			if err := set.Fresh(ctx, 4); !fault.Is(err, fault.Unavailable) {
				t.Fatal(err)
			}
			var f *view.Failure
			if st := set.Status(); !errors.As(st.Stopped, &f) || f.View != "tallies" || f.Position != 4 || st.Applied != 3 || !strings.Contains(f.Error(), c.why) {
				t.Fatalf("stopped with %v at %d, want %q", st.Stopped, st.Applied, c.why)
			}
		})
	}
}

// What a fold cannot do now is tried again.
func TestStatefulWaits(t *testing.T) {
	l := newLog(t)
	v := tallies(1)
	tries := 0
	apply := v.Fold.Apply
	v.Fold.Apply = func(state any, f event.Fact) (any, []view.Change, error) {
		if tries++; tries < 3 {
			return nil, nil, fault.New(fault.Unavailable, "not now")
		}
		return apply(state, f)
	}
	set := open(t, l, passing(t), view.Options{}, v)
	ada := event.NewID()
	l.Append(of(ada, added{User: ada, Org: ada}))
	caughtUp(t, set, 1)
	if rows := selectAll(t, set, "tallies", 0); len(rows) != 1 || rows[0].Int("n") != 1 || tries != 3 {
		t.Fatal(rows, tries)
	}
}

// A row that is in use is read and decoded once, not for every batch; after an
// erasure it is read again, and says that it was erased.
func TestStatefulRemembers(t *testing.T) {
	l := newLog(t)
	v := tallies(1)
	reads := 0
	read := v.Fold.Read
	v.Fold.Read = func(r view.Row) any { reads++; return read(r) }
	set := open(t, l, stored(t), view.Options{}, v)
	ada, bob := event.NewID(), event.NewID()
	l.Append(of(ada, added{User: ada, Org: ada, Name: event.Seal("Ada")}))
	for range 10 {
		caughtUp(t, set, l.Append(of(ada, noise{User: ada})))
	}
	if reads != 0 {
		t.Fatalf("read %d times what was just written", reads)
	}
	l.Erase(event.SubjectID{ID: bob}) // somebody else
	caughtUp(t, set, l.Append(of(ada, noise{User: ada}), of(ada, noise{User: ada})))
	if reads != 1 {
		t.Fatalf("read %d times after an erasure", reads)
	}
	l.Erase(event.SubjectID{ID: ada})
	if err := set.Forget(ctx, event.SubjectID{ID: ada}); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, set, l.Append(of(ada, noise{User: ada})))
	row, _, err := set.Get(ctx, "tallies", view.Values{"user": ada}, view.Read{})
	if err != nil || reads != 2 || row.State("doc") != event.Erased || row.Int("n") != 14 {
		t.Fatal(row, reads, err)
	}
	if n := len(selectAll(t, set, "steps", 0)); n != 14 {
		t.Fatal(n)
	}
	viewtest.Check(t, set)
}
