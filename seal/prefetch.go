package seal

import (
	"context"

	"muniment.dev/event"
)

// Prefetcher is a KeyStore that reads many keys at once.
type Prefetcher interface {
	// Prefetch makes Get find keys in memory. Those that are not there are passed
	// over, and Get says why.
	Prefetch(ctx context.Context, log event.LogID, ids []event.KeyID) error
}

// Prefetch reads the keys of records at once, for whoever goes through many.
func (s *Sealer) Prefetch(ctx context.Context, records []*event.Record) error {
	p, ok := s.Keys.(Prefetcher)
	if !ok {
		return nil
	}
	ids := make([]event.KeyID, 0, len(records))
	for _, r := range records {
		for _, b := range r.Blocks {
			ids = append(ids, b.Key)
		}
	}
	return p.Prefetch(ctx, s.Log, ids)
}

// maxPrefetch is how many keys one statement reads.
const maxPrefetch = 512

// Prefetch implements Prefetcher.
func (k *Keys) Prefetch(ctx context.Context, log event.LogID, ids []event.KeyID) error {
	var want []event.KeyID
	k.mu.Lock()
	destroyed := k.destroyed
	asked := map[event.KeyID]bool{}
	for _, id := range ids {
		name := keyName{log, id}
		if _, known := k.open.get(name); !known && !asked[id] && !k.gone[name] {
			asked[id] = true
			want = append(want, id)
		}
	}
	k.mu.Unlock()
	for ; len(want) > 0; want = want[min(maxPrefetch, len(want)):] {
		if err := k.prefetch(ctx, log, want[:min(maxPrefetch, len(want))], destroyed); err != nil {
			return badly("read keys", err)
		}
	}
	return nil
}

// prefetch reads keys, unless any was destroyed since the count was taken.
func (k *Keys) prefetch(ctx context.Context, log event.LogID, ids []event.KeyID, destroyed int) error {
	found := map[event.KeyID]Secret{}
	err := k.db.get(ctx, log, ids, func(id event.KeyID, wrapped []byte) {
		if s, err := k.unwrap(log, id, wrapped); err == nil { // else Get says what is wrong with it
			found[id] = s
		}
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if destroyed != k.destroyed { // one of these it may have been
		return nil
	}
	for id, s := range found {
		k.open.put(keyName{log, id}, s)
	}
	return nil
}
