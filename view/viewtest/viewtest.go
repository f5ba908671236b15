// Package viewtest gives views a log to follow: a real one, in memory, whose
// sealed fields are kept beside it instead of being encrypted.
package viewtest

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/view"
)

// Log is a log for tests. Its methods that append fail the test if they
// cannot.
type Log struct {
	*eventlog.Log
	// Backend, if not nil, is where Open keeps views, instead of in memory.
	Backend func() view.Backend

	t   testing.TB
	reg *event.Registry

	mu     sync.Mutex
	sealed map[event.ID]map[event.SubjectID]map[string]cbor.RawMessage
	keys   map[event.SubjectID]event.KeyID
	gone   map[event.SubjectID]bool
}

// New returns an empty log that knows the events of the tables. It is closed
// when the test ends.
func New(t testing.TB, tables ...[]event.Descriptor) *Log {
	t.Helper()
	log, err := eventlog.Open(context.Background(), memlog.New(), event.LogID{ID: event.NewID()}, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return &Log{Log: log, t: t, reg: event.NewRegistry(tables...), sealed: map[event.ID]map[event.SubjectID]map[string]cbor.RawMessage{},
		keys: map[event.SubjectID]event.KeyID{}, gone: map[event.SubjectID]bool{}}
}

// Register makes an event type of this log's own known.
func (l *Log) Register(d event.Descriptor) error { return l.reg.Put(l.ID(), d) }

// Append appends events, all at once, and returns the position of the last.
func (l *Log) Append(events ...event.New) event.Position {
	l.t.Helper()
	req := eventlog.Request{Actor: event.System, Command: event.NewID()}
	for _, e := range events {
		req.Events = append(req.Events, l.draft(e))
	}
	done, err := l.Log.Append(context.Background(), req)
	if err != nil {
		l.t.Fatal(err)
	}
	return done.Last
}

func (l *Log) draft(e event.New) *event.Draft {
	l.t.Helper()
	desc, err := l.reg.Of(l.ID(), e.Payload)
	if err != nil {
		l.t.Fatal(err)
	}
	parts, err := desc.Split(e.Payload)
	if err != nil {
		l.t.Fatal(err)
	}
	d := &event.Draft{ID: event.NewID(), Stream: e.Stream, Type: desc.Type, Revision: desc.Revision, Actor: event.System,
		Public: parts.Public, Tags: parts.Tags}
	l.mu.Lock()
	defer l.mu.Unlock()
	subjects := slices.SortedFunc(maps.Keys(parts.Sealed), func(a, b event.SubjectID) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for _, s := range subjects {
		key, ok := l.keys[s]
		if !ok {
			key = event.KeyID{ID: event.NewID()}
			l.keys[s] = key
		}
		digest := sha256.Sum256(d.ID[:])
		b := event.Block{Subject: s, Key: key, Alg: 1, Digest: digest}
		for _, path := range slices.Sorted(maps.Keys(parts.Sealed[s])) {
			b.Fields = append(b.Fields, event.Commitment{Path: path})
		}
		d.Blocks, d.Ciphertexts = append(d.Blocks, b), append(d.Ciphertexts, d.ID[:])
	}
	l.sealed[d.ID] = parts.Sealed
	return d
}

// Erase appends the erasure of subjects and, as the erasure process does
// afterwards, destroys what opens their fields. It returns the position.
func (l *Log) Erase(subjects ...event.SubjectID) event.Position {
	l.t.Helper()
	var last event.Position
	for _, s := range subjects {
		last = l.SayErased(s)
		l.Destroy(s)
	}
	return last
}

// SayErased is the first half of Erase: the log says it, but the key is there.
func (l *Log) SayErased(s event.SubjectID) event.Position {
	l.t.Helper()
	l.mu.Lock()
	said := event.SubjectErased{Subject: s}
	if key, ok := l.keys[s]; ok {
		said.Keys = []event.KeyID{key}
	}
	l.mu.Unlock()
	return l.Append(event.New{Stream: event.Stream{Kind: "subject", ID: s.ID}, Payload: said})
}

// Destroy is the second half of Erase.
func (l *Log) Destroy(s event.SubjectID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone[s] = true
	for _, parts := range l.sealed {
		delete(parts, s)
	}
}

// Decode is what views read with.
func (l *Log) Decode(_ context.Context, r *event.Record) (event.Fact, error) {
	desc, err := l.reg.Lookup(r.Log, r.Type, r.Revision)
	if err != nil {
		return event.Fact{}, err
	}
	l.mu.Lock()
	opened := make([]event.Opened, len(r.Blocks))
	for i, b := range r.Blocks {
		opened[i] = event.Opened{State: event.Present, Fields: l.sealed[r.ID][b.Subject]}
		if l.gone[b.Subject] {
			opened[i] = event.Opened{State: event.Erased}
		}
	}
	l.mu.Unlock()
	return desc.Decode(r, opened)
}

// Open opens views that follow the log. They are closed when the
// test ends, after they were found to be what the log gives from the start.
func (l *Log) Open(views ...view.View) *view.Set {
	l.t.Helper()
	in := view.Backend(view.File(""))
	if l.Backend != nil {
		in = l.Backend()
	}
	set, err := view.Open(context.Background(), in, l, l.Decode, views, view.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		Check(l.t, set)
		set.Close()
	})
	return set
}

// Check fails the test if the views are not what the log gives from the start.
func Check(t testing.TB, set *view.Set) {
	t.Helper()
	if _, err := set.Check(context.Background(), nil, func(d view.Difference) { t.Error(d) }); err != nil {
		t.Error(err)
	}
}
