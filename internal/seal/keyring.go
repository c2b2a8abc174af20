package seal

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// WrappedDEK is a scope's data key as it is stored: useless without the [Key].
type WrappedDEK struct {
	// ID is a uuid; every sealed value names the data key it was sealed with.
	ID string
	// Scope is the organization or workspace the data key belongs to.
	Scope string
	// KeyID is the [Key.ID] that wrapped it.
	KeyID string
	// Sealed is the encrypted data key.
	Sealed []byte
}

// DEKStore keeps wrapped data keys, one a scope.
type DEKStore interface {
	// DEK returns the scope's data key; ok is false when it has none.
	DEK(ctx context.Context, scope string) (dek WrappedDEK, ok bool, err error)
	// CreateDEK stores dek unless its scope has one already, and returns the
	// one that is now stored: durable, and the same for every caller and every
	// server of the cluster.
	CreateDEK(ctx context.Context, dek WrappedDEK) (WrappedDEK, error)
}

// Keyring seals and opens records. It keeps the data keys it has met in
// memory, and is safe for concurrent use.
type Keyring struct {
	store DEKStore
	// wrapping is held shared while a data key is read or made, exclusively
	// while all of them are wrapped anew. Nobody seals or opens under it.
	wrapping sync.RWMutex
	turns    sync.Map // scope → chan struct{}: its owner may load or create

	// mu is held shared while keys are used, which takes microseconds and
	// touches nothing else, exclusively to exchange or forget them.
	mu   sync.RWMutex
	key  Key // zero while locked
	deks map[string]*dataKey
	// known are the scopes that were loaded when the ring was locked: what was
	// begun before goes on once it is unlocked.
	known []string
}

// NewKeyring returns a ring over the data keys in store; with the zero Key it
// is locked. It reads nothing yet: call [Keyring.Ensure] with a scope that
// exists to learn at once whether key is the right one.
func NewKeyring(key Key, store DEKStore) *Keyring {
	return &Keyring{key: key, store: store, deks: map[string]*dataKey{}}
}

// Locked reports whether the ring has no key.
func (k *Keyring) Locked() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.key.IsZero()
}

// Lock forgets the key and the data keys, overwriting their bytes. It waits
// for what seals or opens at the moment; everything after it is [ErrLocked].
func (k *Keyring) Lock() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for scope, dek := range k.deks {
		clear(dek.prk())
		k.known = append(k.known, scope)
	}
	k.deks = map[string]*dataKey{}
	k.key.Forget()
	k.key = Key{}
}

// Unlock gives a locked ring its key again, with the data keys that it had.
// Its errors are those of [Keyring.Ensure]; the ring then stays locked.
func (k *Keyring) Unlock(ctx context.Context, key Key) error {
	k.mu.RLock()
	known := k.known
	k.mu.RUnlock()
	deks := map[string]*dataKey{}
	for _, scope := range known {
		stored, ok, err := k.store.DEK(ctx, scope)
		if err != nil {
			return fmt.Errorf("read the data key: %w", err)
		}
		if !ok {
			continue // its organization was deleted
		}
		if deks[scope], err = key.unwrapFor(scope, stored); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key, k.deks, k.known = key, deks, nil
	return nil
}

// Rewrap exchanges the key for another one. Commit gets a func that wraps a
// data key anew; once it returns nil, with all data keys durably stored as that
// func returned them, the ring goes on with the new key. No data key is made
// meanwhile.
func (k *Keyring) Rewrap(to Key, commit func(rewrap func(WrappedDEK) (WrappedDEK, error)) error) error {
	k.wrapping.Lock()
	defer k.wrapping.Unlock()
	k.mu.RLock()
	from := k.key
	k.mu.RUnlock()
	err := commit(func(d WrappedDEK) (WrappedDEK, error) { return from.rewrap(d, to) })
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.key.IsZero() { // locked since: then with the new one, too
		k.key = to
	}
	return nil
}

// Ensure loads the scope's data key, or creates it when the scope has none.
// Call it before [Keyring.Seal] and [Keyring.Open], outside of any write
// transaction: those two never touch the store. Once a scope is loaded it
// costs a map look-up. Many callers at once create one key.
//
// The error is [ErrLocked] while the ring is, [ErrWrongKey] when another [Key]
// wrapped the data key, [ErrTampered] when the stored one was changed, else the
// store's.
func (k *Keyring) Ensure(ctx context.Context, scope string) error {
	if scope == "" {
		return fmt.Errorf("seal: empty scope")
	}
	if _, err := k.has(scope); err != ErrNotEnsured {
		return err
	}
	v, ok := k.turns.Load(scope)
	if !ok {
		v, _ = k.turns.LoadOrStore(scope, make(chan struct{}, 1))
	}
	turn := v.(chan struct{})
	// A turn, not a shared call: a caller that gives up takes nobody with it.
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-turn }()
	k.wrapping.RLock()
	defer k.wrapping.RUnlock()
	key, err := k.has(scope)
	if err != ErrNotEnsured {
		return err
	}
	stored, err := k.stored(ctx, scope, key)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key.IsZero() {
		return ErrLocked
	}
	if k.deks[scope] != nil { // locked and unlocked in between
		return nil
	}
	dek, err := k.key.unwrapFor(scope, stored)
	if err == nil {
		k.deks[scope] = dek
	}
	return err
}

// has returns nil for a scope that is loaded, else [ErrNotEnsured] and the key
// that it takes, or [ErrLocked].
func (k *Keyring) has(scope string) (Key, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	switch {
	case k.key.IsZero():
		return Key{}, ErrLocked
	case k.deks[scope] == nil:
		return k.key, ErrNotEnsured
	}
	return Key{}, nil
}

// stored reads the scope's data key, or creates it.
func (k *Keyring) stored(ctx context.Context, scope string, key Key) (WrappedDEK, error) {
	dek, ok, err := k.store.DEK(ctx, scope)
	if err != nil {
		return dek, fmt.Errorf("read the data key: %w", err)
	}
	if ok {
		return dek, nil
	}
	if dek, err = key.newDEK(scope); err != nil {
		return dek, err
	}
	if dek, err = k.store.CreateDEK(ctx, dek); err != nil {
		return dek, fmt.Errorf("store a new data key: %w", err)
	}
	return dek, nil
}

// Seal encrypts plaintext for the record r. The result is [Overhead] bytes
// longer. Its error is [ErrLocked], [ErrNotEnsured], or that r lacks a kind,
// uid or scope. The caller owns plaintext and should clear it when done.
func (k *Keyring) Seal(r Record, plaintext []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	dek, err := k.loaded(r.Scope)
	if err != nil {
		return nil, err
	}
	return dek.seal(r, plaintext)
}

// Open decrypts what [Keyring.Seal] made for the same record r. The result is
// the caller's own, to clear when done. Its error is [ErrLocked],
// [ErrNotEnsured] or [ErrTampered].
func (k *Keyring) Open(r Record, sealed []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	dek, err := k.loaded(r.Scope)
	if err != nil {
		return nil, err
	}
	return dek.open(r, sealed)
}

// loaded returns a data key, which stays for as long as mu is held.
func (k *Keyring) loaded(scope string) (*dataKey, error) {
	if k.key.IsZero() {
		return nil, ErrLocked
	}
	if dek := k.deks[scope]; dek != nil {
		return dek, nil
	}
	return nil, ErrNotEnsured
}

// newDEK makes and wraps a random data key.
func (k Key) newDEK(scope string) (WrappedDEK, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return WrappedDEK{}, err
	}
	key := make([]byte, keySize)
	defer clear(key)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return k.wrap(WrappedDEK{ID: id.String(), Scope: scope}, key)
}

// wrap encrypts the key of dek.
func (k Key) wrap(dek WrappedDEK, key []byte) (WrappedDEK, error) {
	dek.KeyID = k.id
	nonce := make([]byte, nonceSize, nonceSize+keySize+tagSize)
	_, _ = rand.Read(nonce)
	err := k.use(func(s *secrets) error {
		gcm, err := newGCM(s.wrapping)
		if err == nil {
			dek.Sealed = gcm.Seal(nonce, nonce, key, dek.additional())
		}
		return err
	})
	return dek, err
}

// unwrapFor decrypts the stored data key of a scope.
func (k Key) unwrapFor(scope string, dek WrappedDEK) (*dataKey, error) {
	if dek.Scope != scope {
		return nil, ErrTampered
	}
	id, key, err := k.unwrap(dek)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return newDataKey(id, key)
}

// rewrap wraps a data key anew, by another key.
func (k Key) rewrap(dek WrappedDEK, to Key) (WrappedDEK, error) {
	_, key, err := k.unwrap(dek)
	if err != nil {
		return WrappedDEK{}, err
	}
	defer clear(key)
	return to.wrap(WrappedDEK{ID: dek.ID, Scope: dek.Scope}, key)
}

// unwrap decrypts a stored data key; the bytes are the caller's to clear.
func (k Key) unwrap(dek WrappedDEK) (id uuid.UUID, key []byte, err error) {
	err = k.use(func(s *secrets) (err error) {
		if dek.KeyID != k.id {
			return fmt.Errorf("%w (stored %.40q, given %q)", ErrWrongKey, dek.KeyID, k.id)
		}
		if id, err = uuid.Parse(dek.ID); err != nil || len(dek.Sealed) != nonceSize+keySize+tagSize {
			return ErrTampered
		}
		gcm, err := newGCM(s.wrapping)
		if err != nil {
			return err
		}
		if key, err = gcm.Open(nil, dek.Sealed[:nonceSize], dek.Sealed[nonceSize:], dek.additional()); err != nil {
			return ErrTampered
		}
		return nil
	})
	return id, key, err
}

// additional binds a wrapped data key to its row.
func (d WrappedDEK) additional() []byte {
	return tuple.Encoding(labelWrap).Text(d.ID, d.Scope, d.KeyID)
}
