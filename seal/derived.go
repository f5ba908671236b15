package seal

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"sync"

	"muniment.dev/event"
)

// derived is what follows from a subject's key K in one generation of a log
// (record format, "Sealing"). Making it costs about as much as sealing a small block, so it is
// kept for keys that are used again and again.
type derived struct {
	aead    cipher.AEAD   // under K_enc
	com     []byte        // K_com
	blind   func() []byte // of an instance: hashes values to be searched for
	request func() []byte // of an instance: hashes what was asked
}

// derived derives by HKDF-SHA256 (RFC 5869) with the log id as salt. The
// lengths always fit, so that there is no error to return.
func (k Secret) derived(log event.LogID) *derived {
	prk, err := hkdf.Extract(sha256.New, k[:], log.ID[:])
	if err != nil {
		panic(err)
	}
	expand := func(info string) []byte {
		b, err := hkdf.Expand(sha256.New, prk, info, 32)
		if err != nil {
			panic(err)
		}
		return b
	}
	aead, err := gcm(expand("muniment/enc/v1"))
	if err != nil {
		panic(err)
	}
	return &derived{aead: aead, com: expand("muniment/com/v1"),
		blind:   sync.OnceValue(func() []byte { return expand("muniment/blind/v1") }),
		request: sync.OnceValue(func() []byte { return expand("muniment/request/v1") })}
}

// maxDerived bounds one generation of what Keys keeps of derived keys, about
// 1.5 kB each.
const maxDerived = 2048

// derived returns what follows from a key of a log in one of its generations;
// errors are those of Get. What it keeps goes when a key is destroyed.
func (k *Keys) derived(ctx context.Context, log, generation event.LogID, id event.KeyID) (*derived, error) {
	name := keyName{generation, id}
	k.mu.Lock()
	d, ok := k.derivations.get(name)
	destroyed := k.destroyed
	k.mu.Unlock()
	if ok {
		return d, nil
	}
	s, err := k.Get(ctx, log, id)
	if err != nil {
		return nil, err
	}
	d = s.derived(generation)
	k.mu.Lock()
	defer k.mu.Unlock()
	if destroyed == k.destroyed { // else it may be of this one
		k.derivations.put(name, d)
	}
	return d, nil
}

// derived returns what follows from a key in a generation of the log. Errors
// are those of KeyStore.Get.
func (s *Sealer) derived(ctx context.Context, generation event.LogID, id event.KeyID) (*derived, error) {
	if k, ok := s.Keys.(*Keys); ok {
		return k.derived(ctx, s.Log, generation, id)
	}
	k, err := s.Keys.Get(ctx, s.Log, id)
	if err != nil {
		return nil, err
	}
	return k.derived(generation), nil
}

// generations is a map of bounded size: what was put or asked for lately is
// found.
type generations[K comparable, V any] struct {
	most       int // of one generation
	young, old map[K]V
}

func (g *generations[K, V]) get(k K) (V, bool) {
	if v, ok := g.young[k]; ok {
		return v, true
	}
	v, ok := g.old[k]
	if ok {
		g.put(k, v)
	}
	return v, ok
}

func (g *generations[K, V]) put(k K, v V) {
	if g.young == nil || len(g.young) >= g.most {
		g.young, g.old = map[K]V{}, g.young
	}
	g.young[k] = v
}

func (g *generations[K, V]) delete(k K) {
	delete(g.young, k)
	delete(g.old, k)
}

func (g *generations[K, V]) clear() { g.young, g.old = nil, nil }
