package models

import (
	"encoding/json"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// seal writes what may be read of a credential, and its key, into its row.
func (s *Service) seal(org string, c *store.AICredential, meta Meta, key wire.Value) (err error) {
	if c.Meta, err = json.Marshal(meta); err != nil {
		return err
	}
	c.Sealed, err = s.Keys.Seal(sealRecord(org, *c), []byte(key.Reveal()))
	return err
}

// sealRecord binds the id and all that may be read of a credential to
// its seal, in an encoding of its own that [seal.Record] says to keep.
func sealRecord(org string, c store.AICredential) seal.Record {
	return seal.Record{
		Kind:    "ai_credential",
		UID:     c.UID,
		Scope:   org,
		Version: c.Version,
		Meta:    append([]byte(c.ID+"\n"), c.Meta...),
	}
}

// Open decrypts the key of a credential, which proves what may be read of it too.
// A row that its seal does not prove is ai.tampered. It decides and records
// nothing: whoever uses the key has done so before.
func (s *Service) Open(org string, c store.AICredential) (meta Meta, key wire.Value, err error) {
	plain, err := s.Keys.Open(sealRecord(org, c), c.Sealed)
	if err != nil {
		return meta, key, web.Unopened(err, "ai.tampered")
	}
	defer clear(plain)
	return meta, wire.NewValue(string(plain)), json.Unmarshal(c.Meta, &meta)
}
