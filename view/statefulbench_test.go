package view_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// entities is a stateful view whose rows hold a text of ten fields, of which
// each event changes one. The fold costs next to nothing: what is measured is
// the package.
func entities() view.View {
	const fields, width = 10, 50
	empty := strings.Repeat(`"field": "`+strings.Repeat("x", width-12)+`",`, fields)
	return view.View{Name: "entities", Revision: 1, Wants: func(typ string) bool { return strings.HasPrefix(typ, "person.") },
		Tables: []view.Table{{Name: "entities", Key: []string{"id"}, Indexes: [][]string{{"type", "n"}},
			Columns: []view.Column{{Name: "id", Kind: event.IDRef}, {Name: "type", Kind: event.Text}, {Name: "n", Kind: event.Int},
				{Name: "at", Kind: event.Time}, {Name: "state", Kind: event.Text}}}},
		Fold: &view.Fold{Table: "entities",
			Key: func(f event.Fact) (view.Values, bool) {
				id, ok := userOf(f.Payload)
				return view.Values{"id": id}, ok
			},
			Read: func(r view.Row) any { return r.Text("state") },
			Apply: func(state any, f event.Fact) (any, []view.Change, error) {
				text, ok := state.(string)
				if !ok {
					text = empty
				}
				id, _ := userOf(f.Payload)
				at := int(f.Position%fields)*width + 10
				text = text[:at] + fmt.Sprintf("%010d", f.Position) + text[at+10:]
				return text, []view.Change{view.Put("entities", view.Values{"id": id},
					view.Values{"type": "household", "n": int64(f.Position), "at": f.Time, "state": text})}, nil
			}}}
}

// BenchmarkFold measures events from decoded facts to rows and history of a
// stateful view: of one busy entity, of 20,000 in turn, and of both; all at once as
// a rebuild does, and in the batches of the tail.
func BenchmarkFold(b *testing.B) { onEach(b, benchFold) }

func benchFold(b *testing.B) {
	const n = 50_000
	for _, c := range []struct {
		name string
		hot  int // of ten events
	}{{"hot", 10}, {"many", 0}, {"mixed", 5}} {
		r := rand.New(rand.NewPCG(1, 1))
		l := viewtest.New(b, events())
		ids := make([]event.ID, 20_000)
		for i := range ids {
			ids[i] = event.NewID()
		}
		for range n / 1000 {
			var list []event.New
			for range 1000 {
				id := ids[0]
				if r.IntN(10) >= c.hot {
					id = ids[r.IntN(len(ids))]
				}
				list = append(list, of(id, noise{User: id}))
			}
			l.Append(list...)
		}
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
		b.Run(c.name+"/rebuild", func(b *testing.B) {
			set, err := view.Open(ctx, stored(b), l, ready, []view.View{entities()}, view.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer set.Close()
			caughtUp(b, set, n)
			before := spent()
			for b.Loop() {
				if err := set.Rebuild(ctx, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*b.N), "ns/event")
			b.ReportMetric(float64(spent()-before)/float64(n*b.N), "cpu-ns/event")
		})
		b.Run(c.name+"/follow", func(b *testing.B) {
			before := spent()
			for b.Loop() {
				set, err := view.Open(ctx, stored(b), l, ready, []view.View{entities()}, view.Options{Pace: 1})
				if err != nil {
					b.Fatal(err)
				}
				caughtUp(b, set, n)
				set.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*b.N), "ns/event")
			b.ReportMetric(float64(spent()-before)/float64(n*b.N), "cpu-ns/event")
		})
	}
}

// spent is the time that this process has used, on a machine that others use too.
func spent() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
