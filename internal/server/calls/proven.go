package calls

import (
	"context"
	"sync"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/store"
)

// proven remembers what calls were resolved to: what rows said whose seals were
// verified, and the rows of secrets as they are sealed. It answers only for the
// generation of the store that it was read in, so that it says what the store would.
type proven struct {
	capabilities remembered[capabilityKey, bctrl.Capability]
	resolutions  remembered[resolutionKey, *Resolution]
}

type capabilityKey struct{ org, id string }

type resolutionKey struct {
	org   string
	query broker.Query
}

// forget drops all of it, when the keys that proved it are to be away.
func (p *proven) forget() {
	p.capabilities.forget()
	p.resolutions.forget()
}

// capabilityIn returns a capability with its policy, as a transaction sees them. What
// it returns is shared, and not to be changed.
func (s *Service) capabilityIn(ctx context.Context, tx *store.Tx, org, id string) (bctrl.Capability, error) {
	return s.proven.capabilities.find(ctx, tx, capabilityKey{org, id}, func() (bctrl.Capability, error) {
		return s.catalog.FindCapability(ctx, tx.Queries, org, id)
	})
}

// definitionNow returns what a capability permits, to decide about a call for the
// first time: it is decided about once more in the transaction that records it.
func (s *Service) definitionNow(ctx context.Context, org, id string) (bctrl.Capability, error) {
	if n, ok := s.DB.Generation(); ok {
		if found, ok := s.proven.capabilities.get(n, capabilityKey{org, id}); ok {
			found.Policy = nil
			return found, nil
		}
	}
	return s.catalog.FindDefinition(ctx, s.DB.Read(), org, id)
}

// resolveIn is [Service.Resolve] in the state that a transaction sees. What it returns
// is shared, and not to be changed.
func (s *Service) resolveIn(ctx context.Context, tx *store.Tx, org string, query broker.Query) (*Resolution, error) {
	return s.proven.resolutions.find(ctx, tx, resolutionKey{org, query}, func() (*Resolution, error) {
		return s.Resolve(ctx, tx.Queries, org, query)
	})
}

// maxRemembered bounds how many things are remembered of each kind.
const maxRemembered = 1024

// remembered keeps values of one generation of the store. It is safe for concurrent
// use.
type remembered[K comparable, V any] struct {
	mu         sync.Mutex
	generation uint64
	values     map[K]V
}

// find returns the value of a key as a transaction sees it, which it reads where it
// does not know it. An error is not remembered.
func (r *remembered[K, V]) find(ctx context.Context, tx *store.Tx, key K, read func() (V, error)) (V, error) {
	n, err := tx.Generation(ctx)
	if err != nil {
		var none V
		return none, err
	}
	if v, ok := r.get(n, key); ok {
		return v, nil
	}
	v, err := read()
	if err == nil {
		r.put(n, key, v)
	}
	return v, err
}

// get returns the value that a key has in a generation.
func (r *remembered[K, V]) get(generation uint64, key K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.generation != generation {
		return v, false
	}
	v, ok = r.values[key]
	return v, ok
}

// put remembers the value that a key has in a generation, and forgets those of any
// other. Full, it begins anew.
func (r *remembered[K, V]) put(generation uint64, key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil || r.generation != generation || len(r.values) >= maxRemembered {
		r.generation, r.values = generation, map[K]V{}
	}
	r.values[key] = v
}

// forget drops everything.
func (r *remembered[K, V]) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = nil
}
