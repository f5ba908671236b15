package view_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// all has a column of every kind, in clear and personal.
func all(values map[event.Kind]any, personal map[event.Kind]any) view.View {
	t := view.Table{Name: "everything", Key: []string{"user"}, Columns: []view.Column{{Name: "user", Kind: event.IDRef}}}
	for _, k := range []event.Kind{event.Text, event.Int, event.Bool, event.Bytes, event.Time, event.IDRef, event.Texts, event.IDs} {
		t.Columns = append(t.Columns, view.Column{Name: "c-" + string(k), Kind: k}, view.Column{Name: "p-" + string(k), Kind: k, Personal: "user"})
	}
	return view.View{Name: "everything", Revision: 1, Types: []string{"person.added"}, Tables: []view.Table{t},
		Apply: func(f event.Fact) []view.Change {
			set := view.Values{}
			for k, v := range values {
				set["c-"+string(k)] = v
			}
			for k, v := range personal {
				set["p-"+string(k)] = v
			}
			return []view.Change{view.Put("everything", view.Values{"user": f.Payload.(added).User}, set)}
		}}
}

type nickname string

// Values of every kind come back as they went in, empty ones too: empty is
// present, and neither absent nor erased.
func TestKinds(t *testing.T) {
	id := event.NewID()
	now := time.Now().UTC().Truncate(time.Microsecond)
	for name, c := range map[string]struct{ clear, personal map[event.Kind]any }{
		"full": {
			map[event.Kind]any{event.Text: "a\x00ß", event.Int: -1 << 63, event.Bool: true, event.Bytes: []byte{0, 1}, event.Time: now, event.IDRef: event.SubjectID{ID: id},
				event.Texts: []string{"a", "", "\x00\"ß"}, event.IDs: []event.ID{id, {}}},
			map[event.Kind]any{event.Text: event.Seal("a\x00ß"), event.Int: event.Seal(int64(-1 << 63)), event.Bool: event.Seal(true), event.Bytes: event.Seal([]byte{0, 1}),
				event.Time: event.Seal(event.Instant(now.UnixMicro())), event.IDRef: event.Seal(id), event.Texts: event.Seal([]string{"a", "", "\x00\"ß"}), event.IDs: event.Seal([]event.ID{id, {}})},
		},
		"empty": {
			map[event.Kind]any{event.Text: "", event.Int: 0, event.Bool: false, event.Bytes: []byte{}, event.Time: event.Instant(0), event.IDRef: event.ID{},
				event.Texts: []string{}, event.IDs: []event.ID{}},
			map[event.Kind]any{event.Text: event.Seal(nickname("")), event.Int: event.Seal(int32(0)), event.Bool: event.Seal(false), event.Bytes: event.Seal([]byte{}),
				event.Time: event.Seal(event.Instant(0)), event.IDRef: event.Seal(event.ID{}), event.Texts: event.Seal([]string{}), event.IDs: event.Seal([]event.ID{})},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			set := l.Open(all(c.clear, c.personal))
			l.Append(of(id, added{User: id}))
			get := func() view.Row {
				t.Helper()
				row, ok, err := set.Get(ctx, "everything", view.Values{"user": id}, view.Read{})
				if !ok || err != nil {
					t.Fatal(ok, err)
				}
				return row
			}
			row := get()
			for k := range c.clear {
				if row.State("c-"+string(k)) != event.Present || row.State("p-"+string(k)) != event.Present {
					t.Errorf("%s: %s, %s", k, row.State("c-"+string(k)), row.State("p-"+string(k)))
				}
			}
			same := func(what string, got, want any) {
				t.Helper()
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %#v, want %#v", what, got, want)
				}
			}
			if name == "full" {
				same("text", row.Text("c-text"), "a\x00ß")
				same("int", row.Int("c-int"), int64(-1<<63))
				same("bool", row.Bool("c-bool"), true)
				same("bytes", row.Bytes("c-bytes"), []byte{0, 1})
				same("time", row.Time("c-time"), now)
				same("id", row.ID("c-id"), id)
				same("texts", row.Texts("c-texts"), []string{"a", "", "\x00\"ß"})
				same("ids", row.IDs("c-ids"), []event.ID{id, {}})
				same("sealed text", view.Personal[nickname](row, "p-text"), event.Seal(nickname("a\x00ß")))
				same("sealed int", view.Personal[int64](row, "p-int"), c.personal[event.Int])
				same("sealed bytes", view.Personal[[]byte](row, "p-bytes"), c.personal[event.Bytes])
				same("sealed time", view.Personal[event.Instant](row, "p-time"), c.personal[event.Time])
				same("sealed id", view.Personal[event.ID](row, "p-id"), c.personal[event.IDRef])
				same("sealed texts", view.Personal[[]string](row, "p-texts"), c.personal[event.Texts])
				same("sealed ids", view.Personal[[]event.ID](row, "p-ids"), c.personal[event.IDs])
			}
			l.Erase(event.SubjectID{ID: id})
			row = get()
			for k := range c.personal {
				if row.State("c-"+string(k)) != event.Present || row.State("p-"+string(k)) != event.Erased {
					t.Errorf("%s after the erasure: %s, %s", k, row.State("c-"+string(k)), row.State("p-"+string(k)))
				}
			}
			if s := view.Personal[string](row, "p-text"); s.Value != "" || s.State != event.Erased {
				t.Errorf("%#v", s)
			}
			for _, text := range []string{fmt.Sprint(row), fmt.Sprintf("%+v %#v %s", row, row, row), fmt.Sprintf("%#v", []view.Row{row})} {
				if strings.Contains(text, "ß") {
					t.Errorf("a value in %q", text)
				}
			}
		})
	}
}

// Asking for a column as what it is not is a mistake that shows.
func TestAccessorsPanic(t *testing.T) {
	l := newLog(t)
	set := l.Open(people())
	id := event.NewID()
	l.Append(of(id, added{User: id, Org: id, Name: event.Seal("Ada")}))
	row, _, err := set.Get(ctx, "people", view.Values{"user": id}, view.Read{})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"no column":    func() { row.Text("nothing") },
		"kind":         func() { row.Text("logins") },
		"personal":     func() { row.Text("name") },
		"not personal": func() { view.Personal[int64](row, "logins") },
		"type":         func() { view.Personal[int64](row, "name") },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || strings.Contains(fmt.Sprint(r), "Ada") {
					t.Errorf("%s: %v", name, r)
				}
			}()
			f()
		}()
	}
}

// counting counts how often a set asks its log.
type counting struct {
	view.Log
	waits atomic.Int32
}

func (c *counting) Wait(ctx context.Context, after event.Position) error {
	c.waits.Add(1)
	return c.Log.Wait(ctx, after)
}

// A set that has nothing to do waits; it does not look again and again.
func TestIdle(t *testing.T) {
	l := newLog(t)
	c := &counting{Log: l}
	set, err := view.Open(ctx, passing(t), c, l.Decode, []view.View{people()}, view.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	id := event.NewID()
	l.Append(of(id, added{User: id, Org: id}))
	if err := set.Fresh(ctx, 1); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if n := c.waits.Load(); n > 3 {
		t.Fatalf("%d waits for one event", n)
	}
}

// In memory, a set runs in a bubble of simulated time, where its patience costs
// nothing.
func TestInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t)
		var closed atomic.Bool
		decode := func(ctx context.Context, r *event.Record) (event.Fact, error) {
			if closed.Load() {
				return event.Fact{}, fault.New(fault.Unavailable, "no keys")
			}
			return l.Decode(ctx, r)
		}
		set, err := view.Open(ctx, view.File(""), l, decode, []view.View{people()}, view.Options{Patience: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: id}))
		if _, ok, err := set.Get(ctx, "people", view.Values{"user": id}, view.Read{}); !ok || err != nil {
			t.Fatal(ok, err)
		}
		closed.Store(true)
		l.Append(of(id, removed{User: id}))
		began := time.Now()
		_, _, err = set.Get(ctx, "people", view.Values{"user": id}, view.Read{})
		if !fault.Is(err, fault.Unavailable) || time.Since(began) != time.Hour {
			t.Fatal(err, time.Since(began))
		}
		if lag := set.Lag(); lag < time.Hour {
			t.Fatal(lag)
		}
		closed.Store(false)
		time.Sleep(10 * time.Second)
		if _, ok, err := set.Get(ctx, "people", view.Values{"user": id}, view.Read{}); ok || err != nil {
			t.Fatal(ok, err)
		}
	})
}
