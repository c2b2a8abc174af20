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

	mu  sync.Mutex // guards key
	key []byte     // nil until it is used
}

// NewSealedKey returns the key of a name, which tells it from the server's other
// keys for ever: the store has it under that name, and the seal covers the name.
func (k *Kernel) NewSealedKey(name string) *SealedKey { return &SealedKey{kernel: k, name: name} }

// Get returns a copy of the key, 32 bytes long, and makes the key where the
// store has none. While the server is locked and the key is not in memory, it
// fails with [seal.ErrLocked].
func (sk *SealedKey) Get(ctx context.Context) ([]byte, error) {
	sk.mu.Lock()
	defer sk.mu.Unlock()
	if sk.key == nil {
		if err := sk.open(ctx); err != nil {
			return nil, err
		}
	}
	return bytes.Clone(sk.key), nil
}

// Forget overwrites the key in memory, as a server does that is locked. The next
// [SealedKey.Get] opens it again.
func (sk *SealedKey) Forget() {
	sk.mu.Lock()
	defer sk.mu.Unlock()
	clear(sk.key)
	sk.key = nil
}

// open reads the key from the store, or makes it and stores it. mu is held.
func (sk *SealedKey) open(ctx context.Context) error {
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
			return err
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
		return err
	}
	if sk.key, err = k.Keys.Open(record, sealed); err != nil {
		return Unopened(err, "storage.tampered")
	}
	return nil
}
