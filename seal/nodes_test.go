package seal

import (
	"context"
	"sync"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Several nodes begin on an empty database at once: all wrap under one epoch,
// nobody gets another's key, and each reads what the others drew.
func TestNodesBeginAtOnce(t *testing.T) { engines(t, testNodesBeginAtOnce) }

func testNodesBeginAtOnce(t *testing.T, e *engine) {
	log := event.LogID{ID: event.NewID()}
	type drawn struct {
		id event.KeyID
		s  Secret
	}
	nodes, all := make([]*Keys, 4), make([][]drawn, 4)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			k, err := OpenKeys(t.Context(), e.where, e.root)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { k.Close() })
			nodes[i] = k
			for range 300 {
				id, s, err := k.Draw(t.Context(), log)
				if err != nil {
					t.Error(err)
					return
				}
				all[i] = append(all[i], drawn{id, s})
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	seen := map[Secret]bool{}
	for i := range nodes {
		for _, d := range all[i] {
			seen[d.s] = true
			if got, err := nodes[(i+1)%len(nodes)].Get(t.Context(), log, d.id); err != nil || got != d.s {
				t.Fatalf("another node reads %v", err)
			}
		}
	}
	if len(seen) != 4*300 {
		t.Fatalf("%d different keys of %d", len(seen), 4*300)
	}
}

// What one node destroyed is gone from another's memory once that was told, in
// whichever order the two come, and although the other may still read it from
// the database in between.
func TestForget(t *testing.T) { engines(t, testForget) }

func testForget(t *testing.T, e *engine) {
	a, b := e.open(t), e.open(t)
	log := event.LogID{ID: event.NewID()}
	first, _, err := a.Draw(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := a.Draw(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	stays, _, err := a.Draw(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	use := func(k *Keys, id event.KeyID) error {
		_, err := k.derived(t.Context(), log, log, id)
		return err
	}
	for _, id := range []event.KeyID{first, second, stays} {
		if err := use(b, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Destroy(t.Context(), log, first); err != nil {
		t.Fatal(err)
	}
	b.Forget(log, first)
	b.Forget(log, second) // before it is deleted
	for range 2 {
		if err := b.Prefetch(t.Context(), log, []event.KeyID{first, second, stays}); err != nil {
			t.Fatal(err)
		}
		for _, id := range []event.KeyID{first, second} {
			if err := use(b, id); !fault.Is(err, fault.Erased) {
				t.Errorf("a forgotten key: %v", err)
			}
		}
		if err := use(b, stays); err != nil {
			t.Errorf("another key: %v", err)
		}
		if err := a.Destroy(t.Context(), log, second); err != nil {
			t.Fatal(err)
		}
	}
}

// pausing is a database that stops between reading keys and handing them on.
type pausing struct {
	database
	came, goOn chan struct{}
}

func (p *pausing) get(ctx context.Context, log event.LogID, ids []event.KeyID, found func(event.KeyID, []byte)) error {
	err := p.database.get(ctx, log, ids, found)
	p.came <- struct{}{}
	<-p.goOn
	return err
}

// A key that is being read while it is destroyed elsewhere does not get into
// memory.
func TestForgetWhileReading(t *testing.T) { engines(t, testForgetWhileReading) }

func testForgetWhileReading(t *testing.T, e *engine) {
	a, b := e.open(t), e.open(t)
	log := event.LogID{ID: event.NewID()}
	id, _, err := a.Draw(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	p := &pausing{b.db, make(chan struct{}), make(chan struct{})}
	b.db = p
	ended := make(chan error)
	go func() { _, err := b.Get(t.Context(), log, id); ended <- err }()
	<-p.came
	b.Forget(log, id)
	if err := a.Destroy(t.Context(), log, id); err != nil {
		t.Fatal(err)
	}
	close(p.goOn)
	if err := <-ended; !fault.Is(err, fault.Erased) {
		t.Errorf("what was being read: %v", err)
	}
	b.db = p.database
	if _, err := b.Get(t.Context(), log, id); !fault.Is(err, fault.Erased) {
		t.Errorf("afterwards: %v", err)
	}
}

// A server whose database was exchanged under it makes no keys that nobody
// could unwrap later.
func TestDatabaseExchanged(t *testing.T) { engines(t, testDatabaseExchanged) }

func testDatabaseExchanged(t *testing.T, e *engine) {
	k := e.open(t)
	e.exec(t, k, "UPDATE epoch SET wrapped = 'another'")
	if _, _, err := k.Draw(t.Context(), event.LogID{ID: event.NewID()}); !fault.Is(err, fault.Refused) {
		t.Fatalf("drew a key under an epoch that is gone: %v", err)
	}
	if n, _, err := Count(t.Context(), e.where); n != 0 || err != nil {
		t.Fatalf("%d keys: %v", n, err)
	}
}
