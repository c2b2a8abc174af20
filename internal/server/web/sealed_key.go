package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// nodeKeyName names the secret of a cluster's nodes.
const nodeKeyName = "cluster-nodes"

// sealCreate is the making of a [SealedKey], in the audit log.
const sealCreate = "seal.create"

// SealedKey is a key of the server's own, for what it signs. It is made once,
// kept sealed in the store, and held in memory from its first use until the
// server is locked.
type SealedKey struct {
	kernel *Kernel
	name   string

	opening sync.Mutex // held by who opens it, which may wait for the database
	mu      sync.Mutex // guards what follows, and is held for moments
	key     []byte     // nil until it is used
	// forgotten counts how often it was: what was opened before is not kept.
	forgotten int
}

// NewSealedKey returns the key of a name, which tells it from the server's other
// keys for ever: the store has it under that name, and the seal covers the name.
func (k *Kernel) NewSealedKey(name string) *SealedKey { return &SealedKey{kernel: k, name: name} }

// Get returns a copy of the key, 32 bytes long, and makes the key where the
// store has none. While the server is locked and the key is not in memory, it
// fails with [seal.ErrLocked].
func (sk *SealedKey) Get(ctx context.Context) ([]byte, error) {
	if key, _ := sk.known(); key != nil {
		return key, nil
	}
	sk.opening.Lock()
	defer sk.opening.Unlock()
	for {
		key, forgotten := sk.known()
		if key != nil {
			return key, nil
		}
		opened, err := sk.open(ctx)
		if err != nil {
			return nil, err
		}
		sk.keep(opened, forgotten)
	}
}

// known returns a copy of the key where it is in memory, and how often it was forgotten.
func (sk *SealedKey) known() (key []byte, forgotten int) {
	sk.mu.Lock()
	defer sk.mu.Unlock()
	return bytes.Clone(sk.key), sk.forgotten
}

// keep keeps the key in memory, unless it was forgotten since it had been so often.
func (sk *SealedKey) keep(key []byte, forgotten int) {
	sk.mu.Lock()
	defer sk.mu.Unlock()
	if sk.forgotten != forgotten {
		clear(key)
		return
	}
	sk.key = key
}

// Forget overwrites the key in memory, as a server does that is locked. The next
// [SealedKey.Get] opens it again. It does not wait for one that opens it.
func (sk *SealedKey) Forget() {
	sk.mu.Lock()
	defer sk.mu.Unlock()
	clear(sk.key)
	sk.key = nil
	sk.forgotten++
}

// open reads the key from the store, or makes it and stores it. opening is held.
func (sk *SealedKey) open(ctx context.Context) ([]byte, error) {
	k := sk.kernel
	record := seal.Record{
		Kind:    "server",
		UID:     sk.name,
		Scope:   custody.ServerScope,
		Version: 1,
	}
	sealed, err := k.DB.Read().SealedValue(ctx, sk.name)
	if errors.Is(err, store.ErrNotFound) {
		fresh := make([]byte, sha256.Size)
		_, _ = rand.Read(fresh) // never fails, by its contract
		if sealed, err = k.Keys.Seal(record, fresh); err != nil {
			return nil, err
		}
		err = k.DB.Write(ctx, func(tx *store.Tx) error {
			if err := tx.InsertSealedValue(ctx, sk.name, sealed); err != nil {
				return err
			}
			return audit.Append(tx, ServerEvent(sealCreate, sk.name))
		})
		if errors.Is(err, store.ErrExists) { // another node was first
			sealed, err = k.DB.Read().SealedValue(ctx, sk.name)
		}
	}
	if err != nil {
		return nil, err
	}
	key, err := k.Keys.Open(record, sealed)
	if err != nil {
		return nil, Unopened(err, "storage.tampered")
	}
	return key, nil
}
