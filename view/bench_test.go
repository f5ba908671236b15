package view_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// simple is a table of a few columns, none of them personal.
func simple() view.View {
	return view.View{Name: "simple", Revision: 1, Types: []string{"person.added", "person.changed"},
		Tables: []view.Table{{Name: "simple", Key: []string{"user"}, Indexes: [][]string{{"org"}},
			Columns: []view.Column{{Name: "user", Kind: event.IDRef}, {Name: "org", Kind: event.IDRef}, {Name: "logins", Kind: event.Int}, {Name: "at", Kind: event.Time}}}},
		Apply: func(f event.Fact) []view.Change {
			switch e := f.Payload.(type) {
			case added:
				return []view.Change{view.Put("simple", view.Values{"user": e.User}, view.Values{"org": e.Org, "at": f.Time})}
			case changed:
				return []view.Change{view.Put("simple", view.Values{"user": e.User}, view.Values{"logins": e.Logins, "at": f.Time})}
			}
			return nil
		}}
}

// benchLog holds n events: people come, and later change, in equal numbers.
func benchLog(b *testing.B, n int) *viewtest.Log {
	l := newLog(b)
	r := rand.New(rand.NewPCG(1, 1))
	var people []event.ID
	org := event.NewID()
	for n > 0 {
		var events []event.New
		for range min(n, 1000) {
			if id := event.NewID(); len(people) < 100 || r.IntN(2) == 0 {
				people = append(people, id)
				events = append(events, of(id, added{User: id, Org: org, Name: event.Seal(fmt.Sprintf("Name %d", len(people))), Email: event.Seal(fmt.Sprintf("%d@example", len(people)))}))
			} else {
				events = append(events, of(id, changed{User: people[r.IntN(len(people))], Logins: 1 + r.Int64N(9)}))
			}
		}
		n -= len(events)
		l.Append(events...)
	}
	return l
}

// BenchmarkRebuild measures events per second from the log to the views, and
// without decoding, which is not ours.
func BenchmarkRebuild(b *testing.B) { onEach(b, benchRebuild) }

// onEach measures with files and with PostgreSQL, side by side.
func onEach(b *testing.B, f func(*testing.B)) {
	b.Run("sqlite", f)
	b.Run("postgres", func(b *testing.B) {
		database = newDatabase(b)
		defer func() { database = "" }()
		f(b)
	})
}

func benchRebuild(b *testing.B) {
	const n = 50_000
	l := benchLog(b, n)
	decoded := make([]event.Fact, n+1)
	for r, err := range l.Read(ctx, event.Everything(), 0) {
		if err == nil {
			decoded[r.Position], err = l.Decode(ctx, r)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	ready := func(_ context.Context, r *event.Record) (event.Fact, error) { return decoded[r.Position], nil }
	for _, c := range []struct {
		name   string
		view   view.View
		decode view.Decode
	}{{"simple", simple(), l.Decode}, {"simple-decoded", simple(), ready}, {"people", people(), l.Decode}, {"people-decoded", people(), ready}} {
		b.Run(c.name, func(b *testing.B) {
			set, err := view.Open(ctx, stored(b), l, c.decode, []view.View{c.view}, view.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer set.Close()
			caughtUp(b, set, n)
			for b.Loop() {
				if err := set.Rebuild(ctx, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRead measures reads: one row, and a page of 20 in order of a name.
func BenchmarkRead(b *testing.B) { onEach(b, benchRead) }

func benchRead(b *testing.B) {
	l := benchLog(b, 20_000)
	set := open(b, l, stored(b), view.Options{})
	caughtUp(b, set, 20_000)
	rows, _, _, err := set.Select(ctx, view.Query{Table: "people", Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, ok, err := set.Get(ctx, "people", view.Values{"user": rows[0].ID("user")}, view.Read{}); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	for _, at := range []event.Position{0, 10_000} {
		b.Run(fmt.Sprintf("page-at-%d", at), func(b *testing.B) {
			q := view.Query{Table: "people", OrderBy: []string{"name"}, Limit: 20, Read: view.Read{At: at}}
			for b.Loop() {
				var err error
				if _, q.After, _, err = set.Select(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadYourWrite measures an append and a read that must see it.
func BenchmarkReadYourWrite(b *testing.B) { onEach(b, benchReadYourWrite) }

func benchReadYourWrite(b *testing.B) {
	l := newLog(b)
	set := open(b, l, stored(b), view.Options{})
	org := event.NewID()
	for b.Loop() {
		id := event.NewID()
		l.Append(of(id, added{User: id, Org: org}))
		if _, ok, err := set.Get(ctx, "people", view.Values{"user": id}, view.Read{}); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
