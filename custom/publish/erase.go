package publish

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"muniment.dev/custom"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Erase destroys what is sealed under an entity. The log refuses an erasure that
// does not name the key in use; the key may have been assigned meanwhile, or
// used for somebody else.
func Erase(ctx context.Context, r *decide.Runner, env decide.Envelope, e event.Stream, organization event.ID) (res decide.Result, err error) {
	for range attempts {
		cmd := custom.Erase{Entity: e, Organization: organization}
		if err := lookUp(ctx, r, &env, &cmd); err != nil {
			return res, err
		}
		if res, err = decide.Run(ctx, r, custom.Erasing, env, cmd); !errors.Is(err, eventlog.ErrKeyUnnamed) && !errors.Is(err, decide.ErrAlso) {
			return res, err
		}
	}
	return res, err
}

// lookUp finds the key that goes, and of whom else something is sealed with it.
// What came to use the id after the entity did is not asked: whoever seals
// something under somebody else's id must not be able to keep it from being
// erased.
func lookUp(ctx context.Context, r *decide.Runner, env *decide.Envelope, cmd *custom.Erase) error {
	subject := event.SubjectID{ID: cmd.Entity.ID}
	env.Also.Query, env.Also.After = event.OfTerm(event.SubjectTerm(subject)), r.Log.Mark().Size
	mine, err := began(ctx, r, cmd.Entity)
	if err != nil {
		return err
	}
	seen := map[event.Stream]bool{cmd.Entity: true}
	for rec, err := range r.Log.ReadTo(ctx, env.Also.Query, 0, env.Also.After) {
		if err != nil {
			return err
		}
		if custom.IsClaim(rec.Type) { // seals nothing that is stored
			continue
		}
		if r.Sealer.Registry.BuiltIn(rec.Type) {
			cmd.BuiltIn = cmd.BuiltIn || !custom.About(rec, cmd.Entity.ID)
			continue
		}
		if seen[rec.Stream] {
			continue
		}
		seen[rec.Stream] = true
		theirs, err := began(ctx, r, rec.Stream)
		if err != nil {
			return err
		}
		if o := custom.OrganizationOf(rec); theirs < mine && !slices.Contains(cmd.Others, o) {
			cmd.Others = append(cmd.Others, o)
		}
	}
	key, state, err := r.Log.AssignedKey(ctx, subject)
	if state == event.Present {
		cmd.Keys = []event.KeyID{key}
	}
	return err
}

// began is where a stream begins; 0 if nothing is in it.
func began(ctx context.Context, r *decide.Runner, s event.Stream) (event.Position, error) {
	for rec, err := range r.Log.Read(ctx, event.OfStream(s), 0) {
		if err != nil {
			return 0, err
		}
		return rec.Position, nil
	}
	return 0, nil
}

// Expire erases the entities whose last event is longer ago than their type is
// kept (x-retention), as Muniment itself, and says how many they were. What gets
// another event meanwhile is kept, as is what shares its id with a person, whose
// key it would take.
func (p *Publisher) Expire(ctx context.Context) (int, error) {
	d, err := p.Catalog.Current(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, name := range slices.Sorted(maps.Keys(d.Set.Entities)) {
		if days := d.Set.Entities[name].Retention; days > 0 {
			erased, err := p.expire(ctx, name, p.Runner.Log.Now().AddDate(0, 0, -days))
			if n += erased; err != nil {
				return n, fault.Wrap("erase what is not kept any longer", err)
			}
		}
	}
	return n, nil
}

func (p *Publisher) expire(ctx context.Context, entityType string, before time.Time) (n int, err error) {
	q := view.Query{Table: custom.Table, OrderBy: []string{entity.Order}, Limit: 200,
		Where: []view.Cond{view.Eq("type", entityType), view.Eq("erased", false), view.Range("changed", nil, before)}}
	for {
		rows, next, at, err := p.Views.Select(ctx, q)
		if err != nil {
			return n, err
		}
		for _, row := range rows {
			stream := event.Stream{Kind: entityType, ID: row.ID("id")}
			env := decide.Envelope{Actor: event.System, Also: event.Condition{Streams: map[event.Stream]uint64{stream: entity.Of(row).Version}}}
			_, err := Erase(ctx, p.Runner, env, stream, row.ID("organization"))
			switch {
			case err == nil:
				n++
			case !errors.Is(err, eventlog.ErrVersion) && !errors.Is(err, custom.ErrShared) && !fault.Is(err, fault.Erased):
				return n, err
			}
		}
		if q.After, q.Read.At = next, at; next == "" {
			return n, nil
		}
	}
}
