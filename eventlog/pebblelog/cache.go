package pebblelog

import "github.com/cockroachdb/pebble/v2"

// Cache is a block cache that several stores share: what one reads a lot takes
// the room of what another does not. Make it with NewCache.
type Cache struct{ cache *pebble.Cache }

// NewCache makes a cache of that many bytes, which fill as blocks are read.
// Close must be called; stores that are open go on with it.
func NewCache(bytes int64) *Cache { return &Cache{pebble.NewCache(bytes)} }

// Close lets go of the cache.
func (c *Cache) Close() { c.cache.Unref() }

// DefaultCache is the size of a cache if nothing is said: a quarter of the
// memory that the process may use, from 32 MiB to 1 GiB.
func DefaultCache() int64 { return min(max(memoryLimit()/4, 32<<20), 1<<30) }

// newCache is the cache of one store, which lets go of it when it is closed.
func (o *Options) newCache() *pebble.Cache {
	if o.Shared == nil {
		return pebble.NewCache(o.Cache)
	}
	o.Shared.cache.Ref()
	return o.Shared.cache
}
