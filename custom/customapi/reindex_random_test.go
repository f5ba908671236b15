package customapi_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// Requirement E05, at random: definitions come to make a field unique, otherwise
// unique and not unique, and to compute it otherwise, while publishers race for a
// few values, entities are deleted and erased, and the server begins again. At no
// position two entities hold one value that was to be unique there, and at the
// end whoever holds one, and nobody else, has claimed it.
func TestUniqueAtRandom(t *testing.T) {
	seeds := uint64(2)
	if os.Getenv("MUNIMENT_SOAK") == "1" {
		seeds = 200
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &randomShops{site: newShops(t, shops("", "", "")), t: t, r: rand.New(rand.NewPCG(seed, 28))}
			w.Core.Customs.AtOnce = 1
			applied := 0
			for n := range 14 {
				w.race()
				switch {
				case n%5 == 4:
					w.Restart()
					w.Core.Customs.AtOnce = 1
				case n%2 == 1:
					applied += w.change()
				}
			}
			for applied == 0 || w.unique == "" {
				applied += w.change()
			}
			w.race()
			w.rebuilt(t)
			w.indexed(t, "code")
			w.race()
			if c := instancetest.Must(w.API.Entity.CheckEntities(w.ctx, &munimentv1.CheckEntitiesRequest{})); len(c.GetDifferent()) > 0 {
				t.Errorf("%v", c)
			}
			w.replay()
		})
	}
}

type randomShops struct {
	*site
	t      *testing.T
	r      *rand.Rand
	ids    []string
	unique string
}

// change tries other definitions; those by which two would hold one value are
// refused, and such values are then given up.
func (w *randomShops) change() (applied int) {
	appliers := []string{"", `{"set": {"code": {"cel": "event.code + 'x'"}, "street": "/street"}}`, `{"set": {"code": {"cel": "event.code.size() > 1 ? event.code : event.code + event.code"}, "street": "/street"}}`}
	unique := []string{"", "instance", "/street"}[w.r.IntN(3)]
	err := w.apply(shops(unique, "", appliers[w.r.IntN(len(appliers))]))
	if err == nil {
		w.unique = unique
		return 1
	}
	if !fault.Is(api.AsFault(err), fault.Refused) {
		w.t.Fatal(api.Explain(err))
	}
	for _, id := range w.ids {
		if w.r.IntN(3) > 0 {
			w.publishAny(anEvent("shop-renamed", id, `{"code":null}`))
		}
	}
	return 0
}

// race publishes from several clients at once.
func (w *randomShops) race() {
	var all sync.WaitGroup
	for range 4 {
		var events []*munimentv1.NewEvent
		for range 4 {
			events = append(events, w.event())
		}
		all.Go(func() {
			for _, e := range events {
				w.publishAny(e)
			}
		})
	}
	all.Wait()
}

func (w *randomShops) event() *munimentv1.NewEvent {
	code := fmt.Sprintf(`"code":%q`, []string{"a", "A", "b", "c", "ax", "aa", "bx"}[w.r.IntN(7)])
	street := fmt.Sprintf(`"street":%q`, []string{"high", "low"}[w.r.IntN(2)])
	if len(w.ids) < 6 || w.r.IntN(4) == 0 {
		w.ids = append(w.ids, uuid())
		return anEvent("shop-opened", w.ids[len(w.ids)-1], `{`+code+`,`+street+`}`)
	}
	id := w.ids[w.r.IntN(len(w.ids))]
	switch w.r.IntN(6) {
	case 0:
		return anEvent("shop-closed", id, `{}`)
	case 1:
		return anEvent("shop-moved", id, `{`+street+`}`)
	case 2:
		return anEvent("shop-opened", id, `{`+code+`,`+street+`}`)
	}
	return anEvent("shop-renamed", id, `{`+code+`}`)
}

// publishAny publishes what may be refused for reasons that are meant; sometimes
// it erases the entity instead.
func (w *randomShops) publishAny(e *munimentv1.NewEvent) {
	err := w.tried(e)
	for _, k := range []fault.Kind{fault.Exists, fault.Refused, fault.Erased, fault.Unavailable} {
		if err == nil || fault.Is(api.AsFault(err), k) {
			err = nil
		}
	}
	if err != nil {
		w.t.Errorf("%s: %v", e.GetType(), api.Explain(err))
	}
	if e.GetType() == "shop-closed" && e.GetEntityId()[35]%4 == 0 {
		if _, err := w.API.Entity.EraseEntity(w.ctx, &munimentv1.EraseEntityRequest{Type: "shop", EntityId: e.GetEntityId()}); err != nil && !fault.Is(api.AsFault(err), fault.Erased) && !fault.Is(api.AsFault(err), fault.NotFound) {
			w.t.Errorf("erase: %v", api.Explain(err))
		}
	}
}

// replay folds the whole log by the definitions of each position.
func (w *randomShops) replay() {
	ctx := context.Background()
	var defs *custom.Definitions
	facts := map[event.ID][]event.Fact{}
	shopsOf := map[event.ID]*custom.Entity{}
	fold := func(id event.ID, f event.Fact) {
		e, err := defs.Fold(shopsOf[id], f)
		if err != nil {
			w.t.Fatal(err)
		}
		shopsOf[id] = e
	}
	for r, err := range w.Core.Log.Read(ctx, event.Everything(), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if r.Type == "schema.applied" {
			docs := instancetest.Must(w.Core.Catalog.Documents(ctx, r.Position))
			defs = instancetest.Must(w.Core.Catalog.Recorded(ctx, docs))
			clear(shopsOf)
			for id, all := range facts {
				for _, f := range all {
					fold(id, f)
				}
			}
		}
		if r.Stream.Kind == "shop" {
			f := instancetest.Must(w.Core.Sealer.Decode(ctx, r))
			facts[r.Stream.ID] = append(facts[r.Stream.ID], f)
			fold(r.Stream.ID, f)
		}
		if r.Type == "schema.applied" || r.Stream.Kind == "shop" {
			w.distinct(defs, shopsOf, r.Position)
		}
	}
	w.claimed(ctx, defs, shopsOf)
}

// distinct are the values that are held, by whom.
func (w *randomShops) distinct(defs *custom.Definitions, all map[event.ID]*custom.Entity, at event.Position) map[string]event.ID {
	holders := map[string]event.ID{}
	for id, e := range all {
		value, has := custom.UniqueValue(defs.Set.Entities["shop"], e, "code")
		if !has {
			continue
		}
		value = event.Normalize(value, true)
		if other, taken := holders[value]; taken {
			w.t.Fatalf("at %d %s and %s hold %q", at, id, other, value)
		}
		holders[value] = id
	}
	return holders
}

// claimed compares who holds a value with who claimed it, as the log says.
func (w *randomShops) claimed(ctx context.Context, defs *custom.Definitions, all map[event.ID]*custom.Entity) {
	holders := w.distinct(defs, all, 0)
	since := defs.Since("shop", "code")
	term := func(name, value string) event.Term {
		return instancetest.Must(w.Core.Sealer.BlindTerm(ctx, name, value, true))
	}
	values := slices.Collect(maps.Keys(holders))
	for _, code := range []string{"a", "b", "c", "ax", "aa", "bx", "axx", "aax", "bxx", "cx", "cc", "bb"} {
		values = append(values, "\x00"+code, "high\x00"+code, "low\x00"+code)
	}
	for _, v := range values {
		taken, former := term(schema.BlindName("shop", "code"), v), term(schema.FormerName("shop", "code"), v)
		claim := term(custom.ClaimedName, custom.ClaimedValue("shop", "code", v))
		var holder event.ID
		for r, err := range w.Core.Log.Read(ctx, event.OfTerm(taken).Or(event.OfTerm(former)).Or(event.OfTerm(claim)).Or(event.Query{{Types: []string{"entity.erased"}}}), since) {
			switch terms := []event.Term(nil); {
			case err != nil:
				w.t.Fatal(err)
			case r.Type == "entity.erased":
				if holder == r.Stream.ID {
					holder = event.ID{}
				}
			default:
				terms = r.Terms()
				if slices.Contains(terms, taken) || slices.Contains(terms, claim) {
					if !holder.IsZero() && holder != r.Stream.ID {
						w.t.Errorf("%q was taken by %s while %s had it", v, r.Stream.ID, holder)
					}
					holder = r.Stream.ID
				} else if holder == r.Stream.ID {
					holder = event.ID{}
				}
			}
		}
		if holders[v] != holder {
			w.t.Errorf("%q is held by %s, and claimed by %s (0 is nobody)", v, holders[v], holder)
		}
	}
	if len(holders) == 0 {
		w.t.Log("nobody holds anything at the end")
	}
}
