package webhooks

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/tuple"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// meta is the part of a webhook that is stored in clear.
type meta struct {
	Description string            `json:"description,omitempty"`
	Events      []bctrl.EventType `json:"events,omitempty"`
	WorkspaceID string            `json:"workspaceId,omitempty"`
	Enabled     bool              `json:"enabled"`
	DisabledFor string            `json:"disabledFor,omitempty"`
	// FailuresFrom is since when failures count towards disabling it: somebody has enabled
	// it then, or moved it to another address.
	FailuresFrom time.Time `json:"failuresFrom,omitzero"`
}

// wants reports whether a webhook is to have an event.
func (m meta) wants(e bctrl.Event) bool {
	return m.Enabled && (m.WorkspaceID == "" || m.WorkspaceID == e.WorkspaceID) &&
		(len(m.Events) == 0 || slices.Contains(m.Events, e.Type))
}

// sealed is the part that is stored encrypted. The addresses of many receivers are
// secrets themselves.
type sealed struct {
	URL     string    `json:"url"`
	Secrets []signing `json:"secrets"`
}

// signing is a secret that signs, for ever or until a time.
type signing struct {
	Secret wire.Value `json:"secret"`
	Until  time.Time  `json:"until,omitzero"`
}

// opened is a webhook whose seal has proved it. The newest secret is the first.
type opened struct {
	meta
	sealed
}

// sign signs a delivery with each secret that signs now.
func (o opened) sign(id string, at time.Time, body []byte) string {
	var all []string
	for _, by := range o.Secrets {
		if !by.Until.IsZero() && !at.Before(by.Until) {
			continue
		}
		if signature, ok := wire.WebhookSignature(by.Secret.Reveal(), id, at.Unix(), body); ok {
			all = append(all, signature)
		}
	}
	return strings.Join(all, " ")
}

func sealRecord(org string, row store.Webhook) seal.Record {
	return seal.Record{
		Kind:    "webhook",
		UID:     row.UID,
		Scope:   org,
		Version: row.Version,
		Meta:    tuple.New(len(row.Meta) + 16).Bytes(row.Meta),
	}
}

// seal makes the next version of a webhook's row.
func (s *Service) seal(org string, row store.Webhook, w opened) (store.Webhook, error) {
	row.Version++
	row.UpdatedAt = store.Now()
	var err error
	if row.Meta, err = json.Marshal(w.meta); err != nil {
		return row, err
	}
	plain, err := json.Marshal(w.sealed)
	if err != nil {
		return row, err
	}
	defer clear(plain)
	row.Sealed, err = s.Keys.Seal(sealRecord(org, row), plain)
	return row, err
}

// open opens a webhook. A row that its seal does not prove is webhooks.tampered.
func (s *Service) open(org string, row store.Webhook) (w opened, err error) {
	plain, err := s.Keys.Open(sealRecord(org, row), row.Sealed)
	if err != nil {
		return w, web.Unopened(err, "webhooks.tampered")
	}
	defer clear(plain)
	if err := json.Unmarshal(row.Meta, &w.meta); err != nil {
		return w, err
	}
	w.Events = distinct(w.Events) // as they are stored now, when the webhook is changed
	return w, json.Unmarshal(plain, &w.sealed)
}
