package catalog

import (
	"encoding/json"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// CredentialMeta is all of a credential but what the store finds it by. The seal
// covers both: a host that was edited in the database receives no secret.
type CredentialMeta struct {
	// Secrets are the ids of its secrets, by field.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Auth is how the credential authenticates. It is nil where the registry says
	// so, which has the provider.
	Auth *bctrl.CredentialAuth `json:"auth,omitempty"`
	// Hosts are where it may be sent, as patterns. Empty, they are the registry's.
	Hosts   []string `json:"hosts,omitempty"`
	Enabled bool     `json:"enabled"`
	// Provisioned is set where it was made of secrets by their names.
	Provisioned bool `json:"provisioned,omitempty"`
}

// UnprovenCredentialMeta reads what a credential's row says, whether or not it is as
// it was sealed: for a row that was verified before, or by which nothing is
// decided. It returns credentials.tampered where it cannot be read.
func UnprovenCredentialMeta(row store.Credential) (meta CredentialMeta, err error) {
	if json.Unmarshal(row.Meta, &meta) != nil {
		return meta, web.Tampered("credentials.tampered")
	}
	return meta, nil
}

// credentialRecord is what the seal of a credential covers.
func credentialRecord(org string, row store.Credential) seal.Record {
	return sealOf("credential", org, row.UID, row.Version,
		row.ID, row.Provider, row.Scope.WorkspaceID(), row.Scope.GroupID(),
		strconv.FormatInt(row.Priority, 10), string(row.Meta))
}

// VerifyCredential checks the seal of a credential's row and reads what it says.
// It returns credentials.tampered where the row is not as it was sealed.
func (s *Service) VerifyCredential(org string, row store.Credential) (CredentialMeta, error) {
	if err := s.verifyRecord(credentialRecord(org, row), row.Sealed, "credentials.tampered"); err != nil {
		return CredentialMeta{}, err
	}
	return UnprovenCredentialMeta(row)
}

// sealCredential makes the next version of a credential's row, with its seal.
func (s *Service) sealCredential(org string, row *store.Credential, meta CredentialMeta) (err error) {
	row.Version++
	row.UpdatedAt = store.Now()
	if row.Meta, err = json.Marshal(meta); err != nil {
		return err
	}
	row.Sealed, err = s.Keys.Seal(credentialRecord(org, *row), nil)
	return err
}

// describeCredential says what may be known of a credential.
func describeCredential(row store.Credential, meta CredentialMeta) bctrl.Credential {
	refs := map[string]string{}
	for field, id := range meta.Secrets {
		refs[field] = secretRef(id)
	}
	return bctrl.Credential{
		ID:          row.ID,
		Provider:    row.Provider,
		Scope:       row.Scope,
		SecretRefs:  refs,
		Auth:        meta.Auth,
		Hosts:       meta.Hosts,
		Priority:    int(row.Priority),
		Enabled:     meta.Enabled,
		Provisioned: meta.Provisioned,
		CreatedAt:   row.CreatedAt,
		UpdatedAt:   row.UpdatedAt,
	}
}
