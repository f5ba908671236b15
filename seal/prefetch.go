package seal

import (
	"context"

	"muniment.dev/event"
	"muniment.dev/fault"
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
	var want []byte
	k.mu.Lock()
	destroyed := k.destroyed
	asked := map[event.KeyID]bool{}
	for _, id := range ids {
		if _, known := k.open.get(keyName{log, id}); !known && !asked[id] {
			asked[id] = true
			want = append(want, id.ID[:]...)
		}
	}
	k.mu.Unlock()
	for most := maxPrefetch * len(event.ID{}); len(want) > 0; want = want[min(most, len(want)):] {
		if err := k.prefetch(ctx, log, want[:min(most, len(want))], destroyed); err != nil {
			return fault.Wrap("read keys", err)
		}
	}
	return nil
}

// prefetch reads the keys whose ids stand one behind the other in a value.
func (k *Keys) prefetch(ctx context.Context, log event.LogID, ids []byte, destroyed int) error {
	rows, err := k.db.QueryContext(ctx, `WITH RECURSIVE want(at) AS (SELECT 0 UNION ALL SELECT at + ?3 FROM want WHERE at + ?3 < length(?2))
		SELECT k.id, k.wrapped FROM want CROSS JOIN subject_key AS k ON k.id = substr(?2, at + 1, ?3) WHERE k.log = ?1`, log.ID[:], ids, len(event.ID{}))
	if err != nil {
		return err
	}
	defer rows.Close()
	found := map[event.KeyID]Secret{}
	for rows.Next() {
		var id, wrapped []byte
		if err := rows.Scan(&id, &wrapped); err != nil {
			return err
		}
		name := event.KeyID{ID: event.ID(id)}
		if s, err := k.unwrap(log, name, wrapped); err == nil { // else Get says what is wrong with it
			found[name] = s
		}
	}
	if err := rows.Err(); err != nil {
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
