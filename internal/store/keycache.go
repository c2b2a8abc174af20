package store

import (
	"context"
	"crypto/sha256"
	"sync"
)

// maxCachedKeys bounds the cache; an organization has a handful of keys.
const maxCachedKeys = 1024

// keyCache remembers good keys, which every request asks for. Memory is enough
// since one process has the store to itself.
type keyCache struct {
	mu    sync.RWMutex
	known map[[sha256.Size]byte]APIKey
	// age counts how often the cache was emptied, so that a key that was read before
	// that is not put into the cache after it.
	age uint64
}

// get returns the key, or the age of the cache that has not got it.
func (c *keyCache) get(hash [sha256.Size]byte) (k APIKey, age uint64, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, ok = c.known[hash]
	return k, c.age, ok
}

// put remembers a key that was read at that age.
func (c *keyCache) put(hash [sha256.Size]byte, k APIKey, age uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.age != age {
		return
	}
	if c.known == nil || len(c.known) >= maxCachedKeys {
		c.known = map[[sha256.Size]byte]APIKey{}
	}
	c.known[hash] = k
}

// forget empties the cache, if there is one.
func (c *keyCache) forget() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = nil
	c.age++
}

// APIKeyByHash returns the key with this hash, revoked or not. A key whose
// revocation is acknowledged is never returned as good, nor is one whose row is
// older than the log says.
func (db *DB) APIKeyByHash(ctx context.Context, hash [sha256.Size]byte) (APIKey, error) {
	if db.keys == nil {
		return db.queries.KeyByHash(ctx, hash)
	}
	k, age, ok := db.keys.get(hash)
	if ok {
		return k, nil
	}
	k, err := db.queries.KeyByHash(ctx, hash)
	if err != nil || k.ended() {
		return k, err
	}
	db.keys.put(hash, k, age)
	return k, nil
}
