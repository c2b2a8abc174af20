package store

import "context"

const (
	// maxCachedEntries bounds the cache of entries, and maxCachedBytes what all of them have sealed and
	// listed. Beside that each takes its key, twice, and its place in two maps.
	maxCachedEntries = 8192
	maxCachedBytes   = 4 << 20
)

// entryCache has entries of the vault as the writer has read them, sealed, so that a login that is
// used again and again is not read again each time. What it has is what is stored: it lasts for as
// long as the [generation], which the table of entries does not change, and an entry leaves it when
// the writer changes it. Where others write too there is none. It is the writer's alone.
type entryCache struct {
	generation *generation
	// at is the generation that the entries are of.
	at      uint64
	entries map[entryName]VaultEntry
	keys    map[entryID]string // of the entries
	bytes   int
	// written are those that the running transaction has changed. What is read of them may
	// come to nothing.
	written map[entryID]struct{}
}

type (
	entryName struct{ org, key string }
	entryID   struct{ org, uid string }
)

func newEntryCache(g *generation) *entryCache {
	c := &entryCache{generation: g, written: map[entryID]struct{}{}}
	c.forgetAll()
	return c
}

func (c *entryCache) forgetAll() {
	c.entries, c.keys, c.bytes = map[entryName]VaultEntry{}, map[entryID]string{}, 0
}

// begin is called when a transaction begins.
func (c *entryCache) begin() {
	if c != nil {
		clear(c.written)
	}
}

// get returns an entry that is known to be what is stored.
func (c *entryCache) get(ctx context.Context, q Queries, name entryName) (e VaultEntry, known bool, err error) {
	if c == nil {
		return e, false, nil
	}
	if err := c.generation.compare(ctx, q); err != nil {
		return e, false, err
	}
	if n := c.generation.n.Load(); c.at != n {
		c.forgetAll()
		c.at = n
	}
	e, known = c.entries[name]
	return e, known, nil
}

// put remembers an entry that was read just after [entryCache.get].
func (c *entryCache) put(org string, e VaultEntry) {
	if c == nil {
		return
	}
	id := entryID{org, e.UID}
	if _, written := c.written[id]; written {
		return
	}
	if len(c.entries) >= maxCachedEntries || c.bytes >= maxCachedBytes {
		c.forgetAll()
	}
	c.entries[entryName{org, e.Key}], c.keys[id] = e, e.Key
	c.bytes += len(e.Meta) + len(e.Sealed)
}

// wrote is called when the running transaction has changed an entry, or is about to.
func (c *entryCache) wrote(org, uid string) {
	if c == nil {
		return
	}
	id := entryID{org, uid}
	c.written[id] = struct{}{}
	if key, known := c.keys[id]; known {
		name := entryName{org, key}
		c.bytes -= len(c.entries[name].Meta) + len(c.entries[name].Sealed)
		delete(c.entries, name)
		delete(c.keys, id)
	}
}
