package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/logtest"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/fault"
)

// written is a log with some records, as its holder hands them out.
func written(t testing.TB) (*eventlog.Log, eventlog.Handed) {
	l, err := eventlog.Open(t.Context(), memlog.New(), event.LogID{ID: event.NewID()}, eventlog.Options{Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	subject := logtest.NewSubject()
	for _, d := range []*event.Draft{
		logtest.New(logtest.NewStream("user"), "user.noted", logtest.Sealed(subject, logtest.NewKey(), "name"), logtest.Blind(subject, "email", logtest.RandomHash())),
		logtest.New(logtest.NewStream("user"), "user.noted", logtest.Public(map[string]any{"a": 1}), logtest.Tags("user:1")),
	} {
		if _, err := l.Append(t.Context(), logtest.Request(d)); err != nil {
			t.Fatal(err)
		}
	}
	h, err := l.Hand(t.Context(), 0)
	if err != nil || len(h.Records) != 2 {
		t.Fatalf("handed out: %+v, %v", h, err)
	}
	return l, h
}

func alike(h eventlog.Handed, m eventlog.Mark, records []*event.Record) bool {
	return h.Mark == m && slices.EqualFunc(h.Records, records, func(a, b *event.Record) bool {
		return bytes.Equal(a.Leaf, b.Leaf) && slices.EqualFunc(a.Ciphertexts, b.Ciphertexts, bytes.Equal) && slices.Equal(a.Blind, b.Blind) && slices.Equal(a.Terms(), b.Terms())
	})
}

// What the holder hands out is, to the last byte, what the follower hears.
func TestHear(t *testing.T) {
	l, want := written(t)
	s := NewServer(time.Now)
	s.Serve(l.ID(), l, key)
	c, at := NewClient(ClientOptions{}), held(listen(t, s))
	defer c.Close()
	hear := c.Hear(l.ID(), ours)
	if got, err := hear(t.Context(), at, 0); err != nil || !alike(got, want.Mark, want.Records) {
		t.Fatalf("%v; heard\n%+v, not\n%+v", err, got, want)
	}
	if got, err := hear(t.Context(), at, 1); err != nil || !alike(got, want.Mark, want.Records[1:]) {
		t.Fatalf("behind the first: %+v, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if got, err := hear(ctx, at, 2); err == nil {
		t.Fatalf("nothing was published, and heard was %+v", got)
	}
	l.Close()
	if _, err := hear(t.Context(), at, 2); !errors.Is(err, eventlog.ErrMoved) {
		t.Fatalf("of a node that holds the log no more: %v", err)
	}
	if _, err := c.Hear(l.ID(), func() []byte { return []byte("other") })(t.Context(), at, 0); !fault.Is(err, fault.Unknown) {
		t.Fatalf("with another key: %v", err)
	}
	if _, err := c.Hear(l.ID(), func() []byte { return nil })(t.Context(), at, 0); !errors.Is(err, eventlog.ErrMoved) {
		t.Fatalf("before the key is known: %v", err)
	}
}

// Whatever the bytes, what is handed out is refused or is records.
func FuzzHanded(f *testing.F) {
	_, h := written(f)
	b, err := encode(toHanded(h, nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var h handed
		if decode(b, &h) != nil {
			return
		}
		got, err := h.result()
		if err != nil {
			return
		}
		if len(got.Records) != len(h.Records) {
			t.Fatalf("%d records of %d", len(got.Records), len(h.Records))
		}
		for _, r := range got.Records {
			if _, err := event.ParseLeaf(r.Leaf); err != nil || len(r.Ciphertexts) != len(r.Blocks) {
				t.Fatal(err)
			}
		}
	})
}
