package call_test

import (
	"context"
	"strings"
	"testing"

	"muniment.dev/api/call"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// A context that nobody put a caller into, or an empty one, belongs to nobody.
func TestNobodyIsCalling(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"background": context.Background(),
		"zero":       call.WithCaller(context.Background(), call.Caller{}),
		"no id":      call.WithCaller(context.Background(), call.Caller{Kind: "user"}),
		"no kind":    call.WithCaller(context.Background(), call.Caller{ID: event.NewID()}),
	} {
		if _, err := call.CallerOf(ctx); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v, want unauthenticated", name, err)
		}
	}
	want := call.Caller{Kind: "user", ID: event.NewID()}
	got, err := call.CallerOf(call.WithCaller(context.Background(), want))
	if err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// A place has one spelling, and only that is read.
func FuzzPlace(f *testing.F) {
	id := strings.Repeat("0a", 16)
	for _, s := range []string{id + ":1", id + ":01", id + ":", id, ":1", id + ":-1", id + ":18446744073709551616", id + ":1:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := call.ParsePlace(s)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v, want invalid", s, err)
			}
			return
		}
		again, err := call.ParsePlace(p.String())
		if err != nil || again != p {
			t.Fatalf("%q: %v reads as %v, %v", s, p, again, err)
		}
	})
}

// What an answer reflects reaches whoever records, and nobody else.
func TestAnswered(t *testing.T) {
	call.Answered(context.Background(), call.Place{Position: 1}) // nobody listens: no panic
	ctx, place := call.Recording(context.Background())
	if !place().IsZero() {
		t.Fatal("a place before any was said")
	}
	want := call.Place{Log: event.LogID{ID: event.NewID()}, Position: 7}
	call.Answered(ctx, want)
	if place() != want {
		t.Errorf("%v, want %v", place(), want)
	}
}
