// Package publish is where customers' events are made ready and recorded: it
// keeps the definitions of a log at hand, checks what publishers send against
// them, finds what was recorded already, and runs the command.
//
// It decides nothing that a decider could: what it looks up ahead, it makes a
// condition of, and looks again when that does not hold.
package publish

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"muniment.dev/custom"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Catalog keeps the definitions of one log at hand, compiled. It is safe for
// concurrent use.
type Catalog struct {
	runner *decide.Runner
	impl   custom.Go

	newest atomic.Pointer[custom.Definitions]

	mu     sync.Mutex                             // guards compiling, and what follows
	epochs map[event.Position]*custom.Definitions // the last definitions of each epoch that were seen
}

// NewCatalog makes the catalog of the runner's log, and has its registry learn
// event types from it.
func NewCatalog(r *decide.Runner, impl custom.Go) *Catalog {
	c := &Catalog{runner: r, impl: impl, epochs: map[event.Position]*custom.Definitions{}}
	c.newest.Store(custom.Undefined())
	r.Sealer.Registry.Learn(r.Log.ID(), func() error {
		_, err := c.Current(context.Background())
		return err
	})
	return c
}

// Documents are the documents as of a position; 0: now.
func (c *Catalog) Documents(ctx context.Context, at event.Position) (custom.Documents, error) {
	if at == 0 {
		return decide.Read(ctx, c.runner, "definitions", custom.DocumentFacts(), custom.Documents{}, custom.EvolveDocuments)
	}
	docs := custom.Documents{}
	for r, err := range c.runner.Log.ReadTo(ctx, event.Query{{Types: custom.DocumentFacts()[0].Types}}, 0, at) {
		if err != nil {
			return docs, err
		}
		f, err := c.runner.Sealer.Decode(ctx, r)
		if err != nil {
			return docs, err
		}
		docs = custom.EvolveDocuments(docs, f)
	}
	return docs, nil
}

// Current are the definitions as they are.
func (c *Catalog) Current(ctx context.Context) (*custom.Definitions, error) {
	docs, err := c.Documents(ctx, 0)
	if err != nil {
		return nil, fault.Wrap("read the definitions", err)
	}
	if d := c.newest.Load(); d.At >= docs.At {
		return d, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.newest.Load(); d.At >= docs.At {
		return d, nil
	}
	d, err := custom.Redefine(docs, c.impl)
	if err != nil {
		return nil, fault.Wrap("make the definitions ready", &fault.Error{Kind: fault.Internal, Msg: "recorded definitions are not good in this version", Err: err})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Set.Events)) {
		for _, def := range d.Set.Events[name].Revisions {
			if err := c.runner.Sealer.Registry.Put(c.runner.Log.ID(), def.Descriptor); err != nil {
				return nil, err
			}
		}
	}
	c.epochs[d.Epoch] = d
	c.newest.Store(d)
	return d, nil
}

// Define makes documents ready as the catalog would, without keeping them.
func (c *Catalog) Define(docs custom.Documents) (*custom.Definitions, error) {
	return custom.Define(docs, c.impl)
}

// Recorded makes documents ready that were in force once, or are.
func (c *Catalog) Recorded(ctx context.Context, docs custom.Documents) (*custom.Definitions, error) {
	if d, err := c.Current(ctx); err == nil && d.At == docs.At {
		return d, nil
	}
	return custom.Redefine(docs, c.impl)
}

// Recall keeps at hand the last definitions of an epoch that is over.
func (c *Catalog) Recall(ctx context.Context, epoch event.Position) error {
	docs, last := custom.Documents{}, custom.Documents{}
	for r, err := range c.runner.Log.Read(ctx, event.Query{{Types: custom.DocumentFacts()[0].Types}}, 0) {
		if err != nil {
			return err
		}
		f, err := c.runner.Sealer.Decode(ctx, r)
		if err != nil {
			return err
		}
		if docs = custom.EvolveDocuments(docs, f); docs.At == f.Position && docs.Epoch == epoch {
			last = docs
		}
	}
	d, err := custom.Redefine(last, c.impl)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epochs[epoch] = d
	return nil
}

// Defined implements custom.Source.
func (c *Catalog) Defined(epoch event.Position, typ string, revision uint32) *custom.Definitions {
	has := func(d *custom.Definitions) bool {
		return d != nil && (typ == "" || d.Set.Definition(typ, revision) != nil)
	}
	c.mu.Lock()
	old := c.epochs[epoch]
	c.mu.Unlock()
	newest := c.newest.Load()
	if newest.Epoch == epoch && has(newest) {
		return newest
	}
	if has(old) {
		return old
	}
	if !has(newest) {
		newest, _ = c.Current(context.Background())
	}
	return newest
}
