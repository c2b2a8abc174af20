package store

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl"
)

// Credential is a credential of the broker.
type Credential struct {
	// UID is the credential's identity; another that gets its ID later is
	// another credential.
	UID, ID  string
	Version  int64
	Provider string
	// Scope names its workspace by id, as everywhere in the store.
	Scope    bctrl.Scope
	Priority int64
	// Meta is the rest of what may be read, as JSON.
	Meta []byte
	// Sealed is the seal over all of it; it holds no secret.
	Sealed               []byte
	CreatedAt, UpdatedAt time.Time
}

const credentialColumns = "uid, id, version, provider, workspace_id, group_id, priority, meta, sealed, " +
	"created_at, updated_at"

func scanCredential(row scanner) (c Credential, err error) {
	var workspace, group string
	var created, updated int64
	err = row(&c.UID, &c.ID, &c.Version, &c.Provider, &workspace, &group, &c.Priority, &c.Meta,
		&c.Sealed, &created, &updated)
	c.Scope = scopeOf(workspace, group)
	c.CreatedAt, c.UpdatedAt = fromMillis(created), fromMillis(updated)
	return c, err
}

func (c Credential) record(org string) Record {
	row := cellsOf(KindCredential).Text(org, c.ID, c.Provider, c.Scope.WorkspaceID(), c.Scope.GroupID()).
		Number(c.Priority).Bytes(c.Meta, c.Sealed).Number(millis(c.CreatedAt), millis(c.UpdatedAt))
	return recordOf(KindCredential, org, c.UID, c.Version, row)
}

// Credential returns the credential with this id.
func (q Queries) Credential(ctx context.Context, org, id string) (Credential, error) {
	return one(ctx, q, scanCredential, "SELECT "+credentialColumns+
		" FROM credentials WHERE org_id = $1 AND id = $2", org, id)
}

// Credentials lists credentials by id, after the id given.
func (q Queries) Credentials(ctx context.Context, org, after string, limit int) ([]Credential, error) {
	return many(ctx, q, scanCredential, "SELECT "+credentialColumns+` FROM credentials
		WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3`, org, after, limit)
}

// CredentialsOfSecret returns the credentials that use a secret.
func (q Queries) CredentialsOfSecret(ctx context.Context, org, secret string) ([]Credential, error) {
	return many(ctx, q, scanCredential, "SELECT "+credentialColumns+` FROM credentials
		WHERE uid IN (SELECT credential_uid FROM credential_secrets WHERE org_id = $1 AND secret_id = $2)
			ORDER BY uid`, org, secret)
}

// CredentialsInWorkspace returns some of the credentials whose scope is a
// workspace or a group of it.
func (q Queries) CredentialsInWorkspace(ctx context.Context, org, workspace string, limit int) ([]Credential, error) {
	return many(ctx, q, scanCredential, "SELECT "+credentialColumns+` FROM credentials
		WHERE org_id = $1 AND workspace_id = $2 AND workspace_id <> '' LIMIT $3`, org, workspace, limit)
}

// CountCredentials returns how many credentials of a provider live in a scope.
func (q Queries) CountCredentials(ctx context.Context, org, provider string, in bctrl.Scope) (int64, error) {
	return one(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) },
		"SELECT COUNT(*) FROM credentials WHERE org_id = $1 AND provider = $2 AND workspace_id = $3 AND group_id = $4",
		org, provider, in.WorkspaceID(), in.GroupID())
}

// CandidateCredentials returns the credentials of a provider that a context may
// see: those of its scopes, and those that a secret attached to its group
// brings. It reads nothing else.
func (q Queries) CandidateCredentials(ctx context.Context, org, provider string, in bctrl.Scope) ([]Credential, error) {
	switch {
	case in.WorkspaceID() == "":
		return many(ctx, q, scanCredential, candidatesInScope, org, provider, "", "")
	case in.GroupID() == "":
		return many(ctx, q, scanCredential, candidatesInScope+" UNION ALL "+candidatesGlobal, org,
			provider, in.WorkspaceID(), "")
	}
	return many(ctx, q, scanCredential, candidatesInScope+" UNION ALL "+candidatesWorkspace+" UNION ALL "+candidatesGlobal+
		" UNION ALL "+candidatesAttached,
		org, provider, in.WorkspaceID(), in.GroupID())
}

const (
	candidatesOf        = "SELECT " + credentialColumns + " FROM credentials WHERE org_id = $1 AND provider = $2 AND "
	candidatesInScope   = candidatesOf + "workspace_id = $3 AND group_id = $4"
	candidatesWorkspace = candidatesOf + "workspace_id = $3 AND group_id = ''"
	candidatesGlobal    = candidatesOf + "workspace_id = '' AND group_id = ''"
	candidatesAttached  = "SELECT " + credentialColumns + ` FROM credentials
		WHERE uid IN (SELECT credential_uid FROM credential_reach WHERE org_id = $1 AND provider = $2
			AND workspace_id = $3 AND group_id = $4)`
)

// InsertCredential adds a credential that uses secrets, by field; an id in use
// gives [ErrExists].
func (tx *Tx) InsertCredential(ctx context.Context, org string, c Credential, secrets map[string]string) error {
	tx.wroteRecord(c.record(org))
	_, err := tx.exec(ctx, `INSERT INTO credentials (org_id, uid, id, version, provider, workspace_id, group_id, priority,
		meta, sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		org, c.UID, c.ID, c.Version, c.Provider, c.Scope.WorkspaceID(), c.Scope.GroupID(), c.Priority, string(c.Meta),
		c.Sealed, millis(c.CreatedAt), millis(c.UpdatedAt))
	if err != nil {
		return err
	}
	for field, secret := range secrets {
		if _, err := tx.exec(ctx, "INSERT INTO credential_secrets (org_id, credential_uid, field, secret_id) "+
			"VALUES ($1, $2, $3, $4)",
			org, c.UID, field, secret); err != nil {
			return err
		}
	}
	_, err = tx.exec(ctx, `INSERT INTO credential_reach (org_id, provider, workspace_id, group_id, credential_uid)
		SELECT DISTINCT s.org_id, $1, a.workspace_id, a.group_id, s.credential_uid FROM credential_secrets s
		JOIN secret_attachments a ON a.org_id = s.org_id AND a.secret_id = s.secret_id
			WHERE s.credential_uid = $2`, c.Provider, c.UID)
	return err
}

// UpdateCredential replaces priority and meta of the credential with c's UID.
// The secrets that a credential uses never change.
func (tx *Tx) UpdateCredential(ctx context.Context, org string, c Credential) error {
	tx.wroteRecord(c.record(org))
	return tx.execChanging(ctx,
		"UPDATE credentials SET version = $1, priority = $2, meta = $3, sealed = $4, updated_at = $5 "+
			"WHERE org_id = $6 AND uid = $7",
		c.Version, c.Priority, string(c.Meta), c.Sealed, millis(c.UpdatedAt), org, c.UID)
}

// DeleteCredential removes the credential.
func (tx *Tx) DeleteCredential(ctx context.Context, org, uid string) error {
	tx.wroteRecord(deleted(KindCredential, org, uid))
	return tx.execChanging(ctx, "DELETE FROM credentials WHERE org_id = $1 AND uid = $2", org, uid)
}

// AddCredentialReach lets the credentials of a secret be found in a group that the
// secret was attached to.
func (tx *Tx) AddCredentialReach(ctx context.Context, org, secret string, group bctrl.Scope) error {
	_, err := tx.exec(ctx, `INSERT INTO credential_reach (org_id, workspace_id, group_id, provider, credential_uid)
		SELECT c.org_id, $1, $2, c.provider, c.uid FROM credential_secrets s JOIN credentials c ON c.uid = s.credential_uid
		WHERE s.org_id = $3 AND s.secret_id = $4 ON CONFLICT DO NOTHING`, group.WorkspaceID(), group.GroupID(), org, secret)
	return err
}

// RemoveCredentialReach is the inverse of [Tx.AddCredentialReach], after the secret
// was detached. A credential stays that has another secret attached to the group.
func (tx *Tx) RemoveCredentialReach(ctx context.Context, org, secret string, group bctrl.Scope) error {
	_, err := tx.exec(ctx, `DELETE FROM credential_reach WHERE org_id = $3 AND workspace_id = $1 AND group_id = $2
		AND credential_uid IN (SELECT credential_uid FROM credential_secrets WHERE org_id = $3 AND secret_id = $4)
		AND NOT EXISTS (SELECT 1 FROM credential_secrets s JOIN secret_attachments a ON a.org_id = s.org_id
			AND a.secret_id = s.secret_id
			WHERE s.credential_uid = credential_reach.credential_uid AND a.workspace_id = $1 AND a.group_id = $2)`,
		group.WorkspaceID(), group.GroupID(), org, secret)
	return err
}

// RemoveCredentialReachIn removes what is left of a workspace that is about to be
// deleted.
func (tx *Tx) RemoveCredentialReachIn(ctx context.Context, org, workspace string) error {
	_, err := tx.exec(ctx, "DELETE FROM credential_reach WHERE org_id = $1 AND workspace_id = $2", org, workspace)
	return err
}

// SecretVisibility is what of a secret decides whether a context may see it.
type SecretVisibility struct {
	ID           string
	Scope        bctrl.Scope
	Provider     string
	AttachedOnly bool
	// Attached is set where it is attached to the group of the context.
	Attached bool
}

// SecretVisibility returns it for a secret and a context.
func (q Queries) SecretVisibility(ctx context.Context, org, id string, in bctrl.Scope) (SecretVisibility, error) {
	return one(ctx, q, func(row scanner) (s SecretVisibility, err error) {
		var workspace, group string
		err = row(&s.ID, &workspace, &group, &s.Provider, &s.AttachedOnly, &s.Attached)
		s.Scope = scopeOf(workspace, group)
		return s, err
	}, `SELECT id, workspace_id, group_id, provider, attached_only, EXISTS (SELECT 1 FROM secret_attachments a
			WHERE a.org_id = s.org_id AND a.secret_id = s.id AND a.workspace_id = $3 AND a.group_id = $4)
		FROM secrets s WHERE s.org_id = $1 AND s.id = $2`, org, id, in.WorkspaceID(), in.GroupID())
}
