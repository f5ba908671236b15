package publish_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/publish"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`

// site is an instance on which things can be counted, and its owner.
type site struct {
	*instancetest.Instance
	env decide.Envelope
}

func newSite(t testing.TB) *site {
	t.Helper()
	i := instancetest.New(t)
	instancetest.Must(i.API.Permission.GrantPermission(i.AsOwner(), &munimentv1.GrantPermissionRequest{UserId: i.Owner, Right: munimentv1.EventRight_EVENT_RIGHT_PUBLISH, EventTypes: "*", Scope: &munimentv1.Scope{Level: &munimentv1.Scope_Instance{Instance: true}}}))
	instancetest.Must(i.API.Schema.ApplySchema(i.AsOwner(), &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{
		{File: "counter.json", Text: `{` + dialect + `, "x-entity-type": "counter", "title": "Counter", "type": "object", "properties": {"n": {"type": "integer", "x-public": true}}}`},
		{File: "counter-set.json", Text: `{` + dialect + `, "x-event": "counter-set", "x-entity": "counter", "title": "A counter was set", "type": "object",
			"properties": {"n": {"type": "integer", "x-public": true}}, "required": ["n"], "additionalProperties": false, "x-creates": true}`}}}))
	return &site{i, decide.Envelope{Actor: event.Actor{Kind: "user", ID: event.MustID(i.Owner)}}}
}

// publisher is one beside that of the server, with a runner of its own.
func (s *site) publisher(r *decide.Runner) *publish.Publisher {
	r.Log, r.Sealer = s.Core.Log, s.Core.Sealer
	return &publish.Publisher{Catalog: s.Core.Catalog, Runner: r, Views: s.Core.Views}
}

func set(n int64) []publish.Event {
	return []publish.Event{{ID: event.NewID(), Type: "counter-set", Entity: event.NewID(), Data: map[string]any{"n": n}}}
}

// Issue 5: overload is told before anything is accepted, and what was accepted
// is recorded: so many wait while changes are held back, the next is refused.
func TestOverload(t *testing.T) {
	s := newSite(t)
	held, entered := make(chan struct{}), make(chan struct{}, publish.MaxWaiting)
	p := s.publisher(&decide.Runner{Slow: func(context.Context) error {
		entered <- struct{}{}
		<-held
		return nil
	}})
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	for n := range int64(publish.MaxWaiting) {
		all.Go(func() {
			if _, err := p.Publish(t.Context(), s.env, set(n), event.Condition{}); err != nil {
				failed.Store(&err)
			}
		})
	}
	for range publish.MaxWaiting {
		<-entered
	}
	before := s.Core.Log.Mark().Size
	if _, err := p.Publish(t.Context(), s.env, set(0), event.Condition{}); !errors.Is(err, publish.ErrBusy) || fault.RetryAfter(err) == 0 {
		t.Errorf("one more: %v", err)
	}
	if s.Core.Log.Mark().Size != before {
		t.Error("something was recorded")
	}
	close(held)
	all.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	if got := s.Core.Log.Mark().Size - before; got != publish.MaxWaiting {
		t.Errorf("%d events were recorded, want those %d that were accepted", got, publish.MaxWaiting)
	}
	if _, err := p.Publish(t.Context(), s.env, set(0), event.Condition{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

type appender func() error

func (a appender) Append(context.Context, eventlog.Request) (eventlog.Appended, error) {
	return eventlog.Appended{}, a()
}

// Whatever cannot take changes for the moment (views that lag, a full queue of
// the log, a full disk), publishers learn when to come again, and the same
// events are published then.
func TestOverloadBelow(t *testing.T) {
	s := newSite(t)
	for name, err := range map[string]*fault.Error{
		"lagging views": fault.New(fault.Unavailable, "the server is catching up; nothing was changed"),
		"a full queue":  fault.New(fault.Exhausted, "too many changes are waiting to be recorded; try again in a moment"),
		"a full disk":   fault.New(fault.Unavailable, "the disk is full"),
	} {
		runner := &decide.Runner{To: appender(func() error { return err })}
		if name == "lagging views" {
			runner = &decide.Runner{Slow: func(context.Context) error { return err }}
		}
		p, events, before := s.publisher(runner), set(1), s.Core.Log.Mark().Size
		if _, got := p.Publish(t.Context(), s.env, events, event.Condition{}); !errors.Is(got, err) || fault.RetryAfter(got) == 0 {
			t.Errorf("%s: %v", name, got)
		}
		if s.Core.Log.Mark().Size != before {
			t.Errorf("%s: something was recorded", name)
		}
		runner.Slow, runner.To = nil, nil
		if res, err := p.Publish(t.Context(), s.env, events, event.Condition{}); err != nil || res[0].Repeated {
			t.Errorf("%s, afterwards: %v %v", name, res, err)
		}
	}
}

// Versions are those of the log, whether an entity is looked up or known from
// before, and a check says which they would be.
func TestVersions(t *testing.T) {
	s := newSite(t)
	p, other := s.publisher(&decide.Runner{}), s.publisher(&decide.Runner{})
	id := event.NewID()
	events := func(n int) (out []publish.Event) {
		for range n {
			out = append(out, publish.Event{ID: event.NewID(), Type: "counter-set", Entity: id, Data: map[string]any{"n": int64(1)}})
		}
		return out
	}
	want := func(what string, from uint64, res []publish.Result, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for i, r := range res {
			if r.Version != from+uint64(i) {
				t.Errorf("%s: event %d has version %d, want %d", what, i, r.Version, from+uint64(i))
			}
		}
	}
	res, err := p.Publish(t.Context(), s.env, events(2), event.Condition{})
	want("the first", 1, res, err)
	res, err = other.Publish(t.Context(), s.env, events(3), event.Condition{})
	want("by another", 3, res, err)
	res, err = p.Publish(t.Context(), s.env, events(2), event.Condition{})
	want("known", 6, res, err)
	res, err = p.Check(t.Context(), s.env, events(2), event.Condition{})
	want("checked", 8, res, err)
	version, wrong := uint64(7), uint64(1)
	conditional := events(1)
	conditional[0].Expected = &wrong
	if _, err := p.Publish(t.Context(), s.env, conditional, event.Condition{}); !errors.Is(err, publish.ErrExpect) {
		t.Errorf("a wrong version: %v", err)
	}
	conditional[0].Expected = &version
	res, err = p.Publish(t.Context(), s.env, conditional, event.Condition{})
	want("expected", 8, res, err)
}
