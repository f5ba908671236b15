// Package logtest is the conformance suite of log engines: whoever implements
// eventlog.Store passes Run. It also has what other tests of the log need:
// drafts (New), requests (Request) and the whole-log check (Check).
package logtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Open makes an empty store for one test. reopen closes what is open and opens
// the same data again; an engine without files returns the store it has. What
// was opened last is closed by the test.
type Open func(t *testing.T) (store eventlog.Store, reopen func() eventlog.Store)

// Run runs every conformance test on stores made by open.
func Run(t *testing.T, open Open) {
	for _, group := range [][]test{orderTests, conditionTests, repeatTests, keyTests, readTests, lifeTests, treeTests, eraseTests, generationTests, copyTests} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				f := &fixture{T: t, ctx: t.Context(), id: event.LogID{ID: event.NewID()}}
				f.store, f.reopenStore = open(t)
				t.Cleanup(func() { f.closeLog(); f.store.Close() })
				c.run(f)
			})
		}
	}
}

type test struct {
	name string
	run  func(*fixture)
}

// fixture is one store and, once opened, one log in it.
type fixture struct {
	*testing.T
	ctx         context.Context
	store       eventlog.Store
	reopenStore func() eventlog.Store
	id          event.LogID
	log         *eventlog.Log
}

// open opens the log (again) with opts.
func (f *fixture) open(opts eventlog.Options) *eventlog.Log {
	f.Helper()
	return f.openOn(f.store, opts)
}

func (f *fixture) openOn(s eventlog.Store, opts eventlog.Options) *eventlog.Log {
	f.Helper()
	f.closeLog()
	l, err := eventlog.Open(f.ctx, s, f.id, opts)
	if err != nil {
		f.Fatalf("open the log: %v", err)
	}
	f.log = l
	return l
}

func (f *fixture) closeLog() {
	if f.log != nil {
		f.log.Close()
		f.log = nil
	}
}

// reopen closes log and store and opens both again.
func (f *fixture) reopen() *eventlog.Log {
	f.Helper()
	f.closeLog()
	f.store = f.reopenStore()
	return f.open(eventlog.Options{})
}

func (f *fixture) append(r eventlog.Request) eventlog.Appended {
	f.Helper()
	a, err := f.log.Append(f.ctx, r)
	if err != nil {
		f.Fatalf("append: %v", err)
	}
	return a
}

// refused asserts that an append fails with a kind and leaves nothing behind.
func (f *fixture) refused(r eventlog.Request, kind fault.Kind) error {
	f.Helper()
	before := f.log.Mark()
	_, err := f.log.Append(f.ctx, r)
	if !fault.Is(err, kind) {
		f.Fatalf("append: got %v, want a fault of kind %q", err, kind)
	}
	if after := f.log.Mark(); after.Size != before.Size {
		f.Fatalf("a refused append moved the mark from %d to %d", before.Size, after.Size)
	}
	return err
}

func (f *fixture) read(q event.Query, after event.Position) []event.Position {
	f.Helper()
	var out []event.Position
	for r, err := range f.log.Read(f.ctx, q, after) {
		if err != nil {
			f.Fatalf("read: %v", err)
		}
		out = append(out, r.Position)
	}
	return out
}

func (f *fixture) check() {
	f.Helper()
	if err := Check(f.ctx, f.store, f.id); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) equal(got, want []event.Position) {
	f.Helper()
	if !slices.Equal(got, want) {
		f.Fatalf("got positions %v, want %v", got, want)
	}
}

// soon calls ok until it is true, for at most some seconds.
func (f *fixture) soon(what string, ok func() bool) {
	f.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("did not happen: %s", what)
		}
	}
}
