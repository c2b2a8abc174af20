package vault

import (
	"sync"

	"github.com/bctrl-go/bctrl/internal/store"
)

// maxNewest bounds how many entries are remembered: one or two megabytes of them.
const maxNewest = 8192

// newest remembers the versions that this server wrote last, by which a set guesses what it
// replaces. Others may have written since, or none of it may be there any more: whoever guesses
// has the store compare.
type newest struct {
	mu      sync.Mutex
	entries map[entryName]store.VaultEntry
}

// entryName is the key of an entry of an organization.
type entryName struct{ org, key string }

// of is the version that was written last, where that is remembered, without what it holds.
func (n *newest) of(org, key string) (e store.VaultEntry, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, known = n.entries[entryName{org, key}]
	return e, known
}

// note remembers a version that is durable.
func (n *newest) note(org string, e store.VaultEntry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name := entryName{org, e.Key}
	if _, known := n.entries[name]; n.entries == nil || !known && len(n.entries) >= maxNewest {
		n.entries = map[entryName]store.VaultEntry{}
	}
	n.entries[name] = store.VaultEntry{
		UID:       e.UID,
		Key:       e.Key,
		Version:   e.Version,
		CreatedAt: e.CreatedAt,
	}
}
