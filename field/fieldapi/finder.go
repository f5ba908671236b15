package fieldapi

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/field"
	"muniment.dev/react"
	"muniment.dev/view"
)

// Finder follows the log and flags entities that may be the same, by what
// x-duplicates of their type declares. It holds up nobody: what is published is
// recorded before, and stays.
//
// What it finds does not depend on when it looks: an event is compared with the
// entities as they were when it was recorded. It may be killed at any time and
// goes on where it was; what it flagged already it does not flag again.
type Finder struct {
	Engine *Engine
	Views  *view.Set
	Logger *slog.Logger
	// Leading waits until this node is the one that does such things; the context
	// ends when it is no more. nil: it always is.
	Leading func(context.Context) (context.Context, context.CancelFunc)
}

// The bounds, so that many entities that are alike stay few pairs: of each value
// MaxAlike·MaxPairs at most, however many have it.
const (
	// MaxPairs is with how many others an entity is flagged by one event: those
	// that were there longest.
	MaxPairs = 10
	// MaxAlike is how many others may be alike by one rule. If there are more, its
	// values say too little, and nothing is flagged for them.
	MaxAlike = 50
)

const (
	book    = "field/duplicates"    // the name of the cursor
	settles = 20 * time.Millisecond // how long the log may go on before it is looked again whether there is anything to do
	idle    = 2 * time.Second       // how long after an error
	workers = 4                     // events that are looked at at once
)

var patient = react.Retry{Attempts: 1 << 30, First: 50 * time.Millisecond, Most: 10 * time.Second}

// Run finds duplicates until the context ends.
func (f *Finder) Run(ctx context.Context) {
	for ctx.Err() == nil {
		turn, end := ctx, context.CancelFunc(func() {})
		if f.Leading != nil {
			turn, end = f.Leading(ctx)
		}
		f.lead(turn)
		end()
	}
}

// errNothing ends the pump while no type declares anything.
var errNothing = fault.New(fault.Refused, "no type of entity declares what makes two possible duplicates")

func (f *Finder) lead(ctx context.Context) {
	log := f.Engine.Runner.Log
	for ctx.Err() == nil {
		at, wait := log.Mark().Size, settles
		defs, err := f.Engine.Catalog.Current(ctx)
		if err == nil && len(reactsTo(defs)) > 0 {
			err = f.pump().Run(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, eventlog.ErrCursorMoved): // another node has taken over, or has just had it
			wait = idle
		case err != nil && !errors.Is(err, errNothing):
			f.Logger.ErrorContext(ctx, "possible duplicates cannot be looked for; it is tried again", "error", err)
			wait = idle
		}
		log.Wait(ctx, at) //nolint:errcheck // either way it is looked again
		pause(ctx, wait)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (f *Finder) pump() *react.Pump {
	var now atomic.Pointer[custom.Definitions]
	return &react.Pump{Book: react.Book{Log: f.Engine.Runner.Log, Name: book},
		Plan: func(ctx context.Context, c *react.Cursor) (react.Job, error) {
			upto := f.Engine.Runner.Log.Mark().Size // before the definitions are asked for: those of all types up to there are among them
			defs, err := f.Engine.Catalog.Current(ctx)
			if err != nil {
				return react.Job{}, err
			}
			types := reactsTo(defs)
			if len(types) == 0 {
				return react.Job{}, errNothing
			}
			now.Store(defs)
			err = f.begin(ctx, c, defs)
			return react.Job{Retry: patient, Max: workers, Selection: react.Selection{Query: event.Query{{Types: types}}, Upto: upto,
				Matches: func(r *event.Record) bool { return slices.Contains(types, r.Type) }}}, err
		},
		Send: func(ctx context.Context, d react.Delivery) error {
			err := f.look(ctx, now.Load(), d.Record)
			if err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
				f.Logger.ErrorContext(ctx, "possible duplicates of an entity cannot be looked for; it is tried again", "position", uint64(d.Record.Position), "error", err)
			}
			return err
		},
	}
}

// begin goes back to the beginning if definitions compare what they did not
// before: entities that are there already may be duplicates by them.
func (f *Finder) begin(ctx context.Context, c *react.Cursor, defs *custom.Definitions) error {
	if c.Applied >= defs.At {
		return nil
	}
	docs, err := f.Engine.Catalog.Documents(ctx, max(c.Applied, 1))
	if err != nil {
		return err
	}
	before, err := f.Engine.Catalog.Recorded(ctx, docs)
	if err != nil {
		return err
	}
	if c.Seen > 0 && comparesMore(before, defs) {
		c.Rewind(0)
	}
	c.Applied = defs.At
	return nil
}

func comparesMore(before, now *custom.Definitions) bool {
	for name, t := range now.Set.Entities {
		old := before.Set.Entities[name]
		for i := range t.Duplicates {
			if old != nil && !slices.ContainsFunc(old.Duplicates, func(r schema.Rule) bool {
				return r.Name() == t.Duplicates[i].Name()
			}) {
				return true
			}
		}
	}
	for name := range now.Set.Events {
		if before.Set.Events[name] != nil && now.Comparable(name) && !before.Comparable(name) {
			return true
		}
	}
	return false
}

// reactsTo are the types of event after which there is something to do, sorted;
// none if nothing is declared.
func reactsTo(defs *custom.Definitions) (types []string) {
	for name, e := range defs.Set.Events {
		t := defs.Set.Entities[e.Entity]
		if t == nil || len(t.Duplicates) == 0 {
			continue
		}
		if ends, _ := defs.Lifetime(e.Entity); defs.Comparable(name) || slices.Contains(ends, name) || resolves(e) {
			types = append(types, name)
		}
	}
	if len(types) > 0 {
		types = append(types, erased)
	}
	slices.Sort(types)
	return types
}

// resolves reports whether events of a type say whether two entities are the
// same: resolve-duplicate, or one that begins so, with the fields of the pack.
func resolves(e *schema.Event) bool {
	def := e.Latest()
	other, same := def.Field("other"), def.Field("same")
	return strings.HasPrefix(e.Name, field.TypeResolveDuplicate) && other != nil && other.Public && other.Kind == schema.UUID && same != nil && same.Public && same.Kind == schema.Bool
}

// look does what there is to do after an event.
func (f *Finder) look(ctx context.Context, defs *custom.Definitions, r *event.Record) error {
	t := defs.Set.Entities[r.Stream.Kind]
	if t == nil || len(t.Duplicates) == 0 {
		return nil
	}
	e := defs.Set.Events[r.Type]
	switch ends, _ := defs.Lifetime(r.Stream.Kind); {
	case r.Type == erased || slices.Contains(ends, r.Type):
		return f.close(ctx, r)
	case e == nil:
		return nil
	case resolves(e):
		return f.resolved(ctx, r)
	}
	return f.compare(ctx, defs, t, r)
}
