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

// sealCreate is the making of a [SealedKey], in the audit log.
const sealCreate = "seal.create"

// SealedKey is a key of the server's own, for what it signs. It is made once,
// kept sealed in the store, and held in memory from its first use until the
// server is locked.
type SealedKey struct {
	mu  sync.Mutex
	key []byte
}

// Get returns the key: a copy, since the one that is held may be overwritten.
func (k *SealedKey) Get(ctx context.Context, s *Kernel, name string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key == nil {
		if err := k.open(ctx, s, name); err != nil {
			return nil, err
		}
	}
	return bytes.Clone(k.key), nil
}

// Forget overwrites the key. It is opened anew when it is asked for.
func (k *SealedKey) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.key)
	k.key = nil
}

func (k *SealedKey) open(ctx context.Context, s *Kernel, name string) error {
	record := seal.Record{
		Kind:    "server",
		UID:     name,
		Scope:   custody.ServerScope,
		Version: 1,
	}
	sealed, err := s.DB.Read().SealedValue(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		fresh := make([]byte, sha256.Size)
		_, _ = rand.Read(fresh) // never fails, by its contract
		if sealed, err = s.Keys.Seal(record, fresh); err != nil {
			return err
		}
		err = s.DB.Write(ctx, func(tx *store.Tx) error {
			if err := tx.InsertSealedValue(ctx, name, sealed); err != nil {
				return err
			}
			return audit.Append(tx, ServerEvent(sealCreate, name))
		})
	}
	if err != nil {
		return err
	}
	if k.key, err = s.Keys.Open(record, sealed); err != nil {
		return Unopened(err, "storage.tampered")
	}
	return nil
}
