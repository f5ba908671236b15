package server

import (
	"cmp"
	"context"
	"time"

	"muniment.dev/custom"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ops"
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

// served is the view of entities to begin with: the one that is there, if it is
// of an earlier epoch because the server ended before it was made anew. It serves
// until that is done.
func (c *Core) served(ctx context.Context) (view.View, error) {
	newest, err := c.entities(ctx)
	if err != nil || newest.Epoch == 0 {
		return newest, err
	}
	there, err := view.Inspect(ctx, ops.ViewsIn(c.opts.Views, nil), []view.View{newest})
	epoch, ok := there.Epochs[newest.Name]
	if err != nil || !ok || epoch >= newest.Epoch || there.Log != c.Log.ID() {
		return newest, nil // what is wrong with it whoever opens it says
	}
	if err := c.Catalog.Recall(ctx, event.Position(epoch)); err != nil {
		c.opts.Logger.Warn("entities cannot be served by the definitions of before, until they are computed anew", "error", err)
		return newest, nil
	}
	return custom.View(event.Position(epoch), c.Catalog, c.Sealer.Registry.BuiltIn), nil
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

// index claims, on the node that holds the log, the values that entities had in
// fields that have to be unique since.
func (c *Core) index(ctx context.Context) {
	const gently, again = 10 * time.Millisecond, time.Second
	for pause := gently; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		at, more := c.Log.Mark().Size, false
		if pause = again; c.Log.Leads() {
			var err error
			if more, err = c.Customs.Index(ctx); err != nil && ctx.Err() == nil {
				c.opts.Logger.Error("values that are to be unique cannot be claimed; tried again in a moment", "error", err)
			}
		}
		if more {
			pause = gently
		} else {
			wait, done := context.WithTimeout(ctx, 5*time.Second)
			c.Log.Wait(wait, at)
			done()
		}
	}
}

// replaceEntities gives the view of entities another declaration whenever
// definitions change so that entities have to be computed anew. Until that is
// done they are served as before.
func (c *Core) replaceEntities(ctx context.Context, epoch event.Position) {
	const often, again = 50 * time.Millisecond, time.Second
	looked := event.Position(0)
	for pause := often; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = often
		if c.Log.Wait(ctx, looked) != nil {
			return
		}
		at := c.Log.Mark().Size // before the definitions are read: what comes meanwhile is looked at again
		v, err := c.entities(ctx)
		if err == nil && event.Position(v.Epoch) != epoch {
			c.opts.Logger.Info("entities are computed anew, because definitions changed", "position", v.Epoch)
			newest, stop := c.whileNewest(ctx, event.Position(v.Epoch))
			err = c.Views.Replace(newest, v)
			if err == nil {
				epoch = event.Position(v.Epoch)
			}
			over := newest.Err() != nil
			if stop(); err != nil && over {
				continue
			}
		}
		if err == nil {
			looked = at
		} else if ctx.Err() == nil {
			pause = again
			if !fault.Is(err, fault.Conflict) {
				c.opts.Logger.Error("entities cannot be computed anew; they are served as before", "error", err)
			}
		}
	}
}

// whileNewest is a context that ends when definitions of a later epoch come: what
// waits for another node to build would wait for ever if that one began later.
func (c *Core) whileNewest(ctx context.Context, epoch event.Position) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for at := event.Position(0); c.Log.Wait(ctx, at) == nil; {
			at = c.Log.Mark().Size
			if d, err := c.Catalog.Current(ctx); err == nil && d.Epoch > epoch {
				cancel()
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return ctx, func() { cancel(); <-done }
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
