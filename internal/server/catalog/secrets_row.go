package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// SecretMeta is all of a secret but its value. It is stored in clear, and the
// seal covers it. Rows are found by other columns and tables, which are believed
// only as far as they say the same.
type SecretMeta struct {
	Scope   bctrl.Scope `json:"scope"`
	Name    string      `json:"name"`
	Aliases []string    `json:"aliases,omitempty"`
	// AttachedOnly is set where Attachments alone, which are groups, make the
	// secret visible, and not its scope.
	AttachedOnly bool          `json:"attachedOnly,omitempty"`
	Attachments  []bctrl.Scope `json:"attachments,omitempty"`
	// Provider and Field are what the secret is pinned to. Both are empty where it
	// may be any secret, and Field alone where it may be any of the provider's.
	Provider string `json:"provider,omitempty"`
	Field    string `json:"field,omitempty"`
	// RotatedAt is when the secret got its value.
	RotatedAt time.Time `json:"rotatedAt"`
}

// index is what the secret is found by beside the columns of its row.
func (m SecretMeta) index() store.SecretIndex {
	return store.SecretIndex{Names: append([]string{m.Name}, m.Aliases...), Attachments: m.Attachments}
}

// Secret is a secret with its value, once its seal has proved both.
type Secret struct {
	// row is as it is stored. A change is made to Meta and Value, and the row made
	// of them when it is sealed.
	row   store.Secret
	Meta  SecretMeta
	Value wire.Value
}

// codeSecretTampered is the code of a secret that is not as it was sealed.
const codeSecretTampered = "secrets.tampered"

// secretRecord is what the seal of a secret covers beside its value.
func secretRecord(org string, row store.Secret) seal.Record {
	return seal.Record{
		Kind:    "secret",
		UID:     row.ID,
		Scope:   org,
		Version: row.Version,
		Meta:    row.Meta,
	}
}

// OpenSecret decrypts the secret of a row. It returns secrets.tampered where the
// row, or a column that it is found by, is not as it was sealed. Whether the secret
// may be used where it is asked for is decided before; the caller records the use.
func (s *Service) OpenSecret(org string, row store.Secret) (Secret, error) {
	plain, err := s.Keys.Open(secretRecord(org, row), row.Sealed)
	if errors.Is(err, seal.ErrTampered) {
		return Secret{}, web.Tampered(codeSecretTampered)
	}
	if err != nil {
		return Secret{}, err
	}
	defer clear(plain)
	out := Secret{row: row, Value: wire.NewValue(string(plain))}
	if json.Unmarshal(row.Meta, &out.Meta) != nil {
		return Secret{}, web.Tampered(codeSecretTampered)
	}
	m := out.Meta
	if m.Scope != row.Scope || m.Name != row.Name || m.Provider != row.Provider || m.AttachedOnly != row.AttachedOnly {
		return Secret{}, web.Tampered(codeSecretTampered)
	}
	return out, nil
}

// sealSecret makes the next version of a secret's row, with its seal.
func (s *Service) sealSecret(org string, sec *Secret) (err error) {
	row, meta := &sec.row, sec.Meta
	row.Version++
	row.UpdatedAt = store.Now()
	row.Scope, row.Name, row.Provider, row.AttachedOnly = meta.Scope, meta.Name, meta.Provider, meta.AttachedOnly
	if row.Meta, err = json.Marshal(meta); err != nil {
		return err
	}
	plain := []byte(sec.Value.Reveal())
	defer clear(plain)
	row.Sealed, err = s.Keys.Seal(secretRecord(org, *row), plain)
	return err
}

// describeSecret says what may be known of a secret, and which credential was made of
// it: never its value.
func (s *Service) describeSecret(
	ctx context.Context, q store.Queries, org string, sec Secret,
) (bctrl.SecretInfo, error) {
	row, meta := sec.row, sec.Meta
	info := bctrl.SecretInfo{
		ID:           row.ID,
		Name:         meta.Name,
		Aliases:      meta.Aliases,
		Scope:        meta.Scope,
		AttachedOnly: meta.AttachedOnly,
		Attachments:  meta.Attachments,
		Provider:     meta.Provider,
		Field:        meta.Field,
		Version:      row.Version,
		CreatedAt:    row.CreatedAt,
		UpdatedAt:    row.UpdatedAt,
		RotatedAt:    meta.RotatedAt,
	}
	if meta.Provider == "" {
		return info, nil
	}
	made, err := s.provisionedOf(ctx, q, org, row.ID)
	for _, c := range made {
		info.Credential = c.ID
	}
	return info, err
}

// PinPermits reports whether a secret may be a field of a provider's credential. A
// secret that is pinned may be nothing but what it is pinned to.
func (sec Secret) PinPermits(provider, field string) bool {
	return sec.Meta.Provider == "" || sec.Meta.Provider == provider && (sec.Meta.Field == "" || sec.Meta.Field == field)
}

// ErrPinned refuses a secret for what its pin does not permit: see
// [Secret.PinPermits].
func ErrPinned() *bctrl.Error {
	return web.Conflict("secrets.pinned", "the secret is pinned to another provider, or to another field of this one")
}
