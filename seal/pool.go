package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// The least and the most keys that one durable batch makes ahead. A batch
// costs a few syncs of the disk whatever its size, so batches grow while keys
// are drawn fast.
const (
	leastAhead = 256
	mostAhead  = 4096
)

// freshKey is a key that nobody has yet.
type freshKey struct {
	id event.KeyID
	k  Secret
}

// pool is the keys of one log that are durable and not yet drawn.
type pool struct {
	ready  []freshKey
	size   int           // of the last batch
	began  time.Time     // when that was begun
	filled chan struct{} // closed when the batch under way is there; nil if none is
	err    error         // why the last batch failed
}

// Draw returns a fresh key of a log. Keys are made durable in batches before
// the first of them is handed out; a drawn key never returns to the pool. The
// next batch is made while the last one is still being drawn from.
func (k *Keys) Draw(ctx context.Context, log event.LogID) (event.KeyID, Secret, error) {
	for {
		k.mu.Lock()
		sk, ok, filled, err := k.take(log)
		k.mu.Unlock()
		if ok || err != nil {
			return sk.id, sk.k, badly("make keys", err)
		}
		select {
		case <-filled:
		case <-ctx.Done():
			return event.KeyID{}, Secret{}, &fault.Error{Kind: fault.Unavailable, Op: "make keys", Msg: "the request ended before there was a key for it; nothing was changed", Err: ctx.Err()}
		}
	}
}

// take takes a key from the pool, if there is one, and has a batch made if few
// are left; without a key, filled tells when there are some. k.mu is held.
func (k *Keys) take(log event.LogID) (sk freshKey, ok bool, filled chan struct{}, err error) {
	if k.closed {
		return sk, false, nil, fault.New(fault.Unavailable, "the key database is closed")
	}
	p := k.pools[log]
	if p == nil {
		p = &pool{}
		k.pools[log] = p
	}
	if n := len(p.ready); n == 0 && p.err != nil {
		err, p.err = p.err, nil // the next one tries again
		return sk, false, nil, err
	} else if n > 0 {
		sk, p.ready = p.ready[n-1], p.ready[:n-1]
		k.open.put(keyName{log, sk.id}, sk.k)
		ok = true
	}
	if p.filled == nil && len(p.ready) <= p.size/2 {
		k.fill(log, p)
	}
	return sk, ok, p.filled, nil
}

// fill begins a batch; k.mu is held. If the last one was begun a moment ago,
// this one is twice as large.
func (k *Keys) fill(log event.LogID, p *pool) {
	now := time.Now()
	if now.Sub(p.began) < time.Second {
		p.size = min(2*p.size, mostAhead)
	} else {
		p.size = leastAhead
	}
	n := p.size
	p.began, p.filled = now, make(chan struct{})
	k.fills.Go(func() {
		made, err := k.make(k.life, log, n)
		k.mu.Lock()
		defer k.mu.Unlock()
		p.ready = append(p.ready, made...)
		p.err = err
		close(p.filled)
		p.filled = nil
	})
}

// make makes n keys durable, in the order of ids. A batch that fails is given
// up, even if its outcome is not known: nobody has its keys.
func (k *Keys) make(ctx context.Context, log event.LogID, n int) ([]freshKey, error) {
	made := make([]freshKey, n)
	for i := range made {
		made[i].id = event.KeyID{ID: event.NewID()}
		rand.Read(made[i].k[:])
	}
	slices.SortFunc(made, func(a, b freshKey) int { return bytes.Compare(a.id.ID[:], b.id.ID[:]) })
	rows := make([]wrappedKey, n)
	for i, sk := range made {
		nonce := make([]byte, k.kek.NonceSize(), k.kek.NonceSize()+len(sk.k)+k.kek.Overhead())
		rand.Read(nonce)
		rows[i] = wrappedKey{sk.id, k.kek.Seal(nonce, nonce, sk.k[:], k.wrapAAD(log, sk.id))}
	}
	if err := k.db.add(ctx, log, k.epoch, rows); err != nil {
		return nil, err
	}
	return made, nil
}
