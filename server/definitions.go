package server

import (
	"cmp"
	"context"
	"time"

	"muniment.dev/custom"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/seal/erasure"
	"muniment.dev/user"
	"muniment.dev/view"
)

// entities is the view of customers' entities as it follows from the
// definitions as they are.
func (c *Core) entities(ctx context.Context) (view.View, error) {
	d, err := c.Catalog.Current(ctx)
	if err != nil {
		return view.View{}, err
	}
	return custom.View(d.Epoch, c.Catalog, c.Sealer.Registry.BuiltIn), nil
}

// background runs something beside what serves, until the core is closed.
func (c *Core) background(do func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	c.onClose(func() error {
		stop()
		<-done
		return nil
	})
}

// expire erases, on the node that holds the log, what is not kept any longer.
func (c *Core) expire(ctx context.Context) {
	for pause := time.Minute; ; pause = time.Hour {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if !c.Log.Leads() {
			continue
		}
		n, err := c.Customs.Expire(ctx)
		if err != nil && ctx.Err() == nil {
			c.opts.Logger.Error("entities that are not kept any longer could not be erased; tried again in an hour", "error", err)
		}
		if n > 0 {
			c.opts.Logger.Info("entities that are not kept any longer were erased", "entities", n)
		}
	}
}

// replaceEntities gives the view of entities another declaration whenever
// definitions change so that entities have to be computed anew. Until that is
// done they are served as before.
func (c *Core) replaceEntities(ctx context.Context, epoch event.Position) {
	const often, again = 50 * time.Millisecond, time.Second
	for pause := often; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = often
		if c.Log.Wait(ctx, c.Log.Mark().Size) != nil {
			return
		}
		v, err := c.entities(ctx)
		if err == nil && event.Position(v.Epoch) != epoch {
			c.opts.Logger.Info("entities are computed anew, because definitions changed", "position", v.Epoch)
			if err = c.Views.Replace(ctx, v); err == nil {
				epoch = event.Position(v.Epoch)
			}
		}
		if err != nil && ctx.Err() == nil {
			pause = again
			if !fault.Is(err, fault.Conflict) {
				c.opts.Logger.Error("entities cannot be computed anew; they are served as before", "error", err)
			}
		}
	}
}

// isErased reports whether the erasure of a person, or of an entity, was
// reported as complete.
func (c *Core) isErased(ctx context.Context, s event.SubjectID) (bool, error) {
	person, err := erasure.ByEvent(c.Log, "user.erasure.completed", "user")(ctx, s)
	if err != nil || person {
		return person, err
	}
	return erasure.ByEvent(c.Log, "entity.erasure.completed", "entity")(ctx, s)
}

// completeErasure reports it. What the subject is not has nothing to complete.
func (c *Core) completeErasure(ctx context.Context, s event.SubjectID) error {
	env := decide.Envelope{Actor: event.System}
	_, err := decide.Run(ctx, c.Runner, user.CompletingErasure, env, user.CompleteErasure{User: s.ID})
	_, entity := decide.Run(ctx, c.Runner, custom.CompletingErasure, env, custom.CompleteErasure{Entity: s.ID})
	return cmp.Or(err, entity)
}
