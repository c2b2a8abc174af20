package seal

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
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
	key   Key
	store DEKStore
	slots sync.Map // scope → *slot
}

// slot is one scope's place in the ring.
type slot struct {
	turn chan struct{} // holds one token; its owner may load or create
	dek  atomic.Pointer[dataKey]
}

// NewKeyring returns a ring over the data keys in store. It reads nothing yet:
// call [Keyring.Ensure] with a scope that exists to learn at once whether key
// is the right one.
func NewKeyring(key Key, store DEKStore) *Keyring {
	return &Keyring{key: key, store: store}
}

// Ensure loads the scope's data key, or creates it when the scope has none.
// Call it before [Keyring.Seal] and [Keyring.Open], outside of any write
// transaction: those two never touch the store. Once a scope is loaded it
// costs a map look-up. Many callers at once create one key.
//
// The error is [ErrWrongKey] when another [Key] wrapped the data key,
// [ErrTampered] when the stored one was changed, else the store's.
func (k *Keyring) Ensure(ctx context.Context, scope string) error {
	if scope == "" {
		return fmt.Errorf("seal: empty scope")
	}
	v, ok := k.slots.Load(scope)
	if !ok {
		v, _ = k.slots.LoadOrStore(scope, &slot{turn: make(chan struct{}, 1)})
	}
	s := v.(*slot)
	if s.dek.Load() != nil {
		return nil
	}
	// A turn, not a shared call: a caller that gives up takes nobody with it.
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	if s.dek.Load() != nil {
		return nil
	}
	dek, err := k.load(ctx, scope)
	if err != nil {
		return err
	}
	s.dek.Store(dek)
	return nil
}

func (k *Keyring) load(ctx context.Context, scope string) (*dataKey, error) {
	stored, ok, err := k.store.DEK(ctx, scope)
	if err != nil {
		return nil, fmt.Errorf("read the data key: %w", err)
	}
	if !ok {
		fresh, err := k.key.newDEK(scope)
		if err != nil {
			return nil, err
		}
		if stored, err = k.store.CreateDEK(ctx, fresh); err != nil {
			return nil, fmt.Errorf("store a new data key: %w", err)
		}
	}
	if stored.Scope != scope {
		return nil, ErrTampered
	}
	return k.key.unwrap(stored)
}

// Seal encrypts plaintext for the record r. The result is [Overhead] bytes
// longer. Its error is [ErrNotEnsured], or that r lacks a kind, uid or scope.
// The caller owns plaintext and should clear it when done.
func (k *Keyring) Seal(r Record, plaintext []byte) ([]byte, error) {
	dek, err := k.loaded(r.Scope)
	if err != nil {
		return nil, err
	}
	return dek.seal(r, plaintext)
}

// Open decrypts what [Keyring.Seal] made for the same record r. The result is
// the caller's own, to clear when done. Its error is [ErrNotEnsured] or
// [ErrTampered].
func (k *Keyring) Open(r Record, sealed []byte) ([]byte, error) {
	dek, err := k.loaded(r.Scope)
	if err != nil {
		return nil, err
	}
	return dek.open(r, sealed)
}

func (k *Keyring) loaded(scope string) (*dataKey, error) {
	if v, ok := k.slots.Load(scope); ok {
		if dek := v.(*slot).dek.Load(); dek != nil {
			return dek, nil
		}
	}
	return nil, ErrNotEnsured
}

// newDEK makes and wraps a random data key.
func (k Key) newDEK(scope string) (WrappedDEK, error) {
	if k.wrap == nil {
		return WrappedDEK{}, errNoKey
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return WrappedDEK{}, err
	}
	dek := WrappedDEK{ID: id.String(), Scope: scope, KeyID: k.id}
	key := make([]byte, keySize)
	defer clear(key)
	nonce := make([]byte, nonceSize, nonceSize+keySize+tagSize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(nonce)
	dek.Sealed = k.wrap().Seal(nonce, nonce, key, dek.additional())
	return dek, nil
}

// unwrap decrypts a stored data key.
func (k Key) unwrap(dek WrappedDEK) (*dataKey, error) {
	if k.wrap == nil {
		return nil, errNoKey
	}
	if dek.KeyID != k.id {
		return nil, fmt.Errorf("%w (stored %.40q, given %q)", ErrWrongKey, dek.KeyID, k.id)
	}
	id, err := uuid.Parse(dek.ID)
	if err != nil || len(dek.Sealed) != nonceSize+keySize+tagSize {
		return nil, ErrTampered
	}
	key, err := k.wrap().Open(nil, dek.Sealed[:nonceSize], dek.Sealed[nonceSize:], dek.additional())
	if err != nil {
		return nil, ErrTampered
	}
	defer clear(key)
	return newDataKey(id, key)
}

// additional binds a wrapped data key to its row.
func (d WrappedDEK) additional() []byte {
	b := append([]byte(nil), labelWrap...)
	b = appendField(b, d.ID)
	b = appendField(b, d.Scope)
	return appendField(b, d.KeyID)
}
