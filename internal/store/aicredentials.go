package store

import (
	"context"
	"time"
)

// AICredential is the stored key to a provider of language models.
type AICredential struct {
	// UID is the credential's identity; another that gets its ID later is
	// another credential.
	UID, ID string
	Version int64
	// Meta is the part that may be read, as JSON; Sealed covers it.
	Meta []byte
	// Sealed is the API key, encrypted.
	Sealed               []byte
	CreatedAt, UpdatedAt time.Time
}

const aiCredentialColumns = "uid, id, version, meta, sealed, created_at, updated_at"

func scanAICredential(row scanner) (c AICredential, err error) {
	var created, updated int64
	err = row(&c.UID, &c.ID, &c.Version, &c.Meta, &c.Sealed, &created, &updated)
	c.CreatedAt, c.UpdatedAt = fromMillis(created), fromMillis(updated)
	return c, err
}

// AICredential returns the credential with this id.
func (q Queries) AICredential(ctx context.Context, org, id string) (AICredential, error) {
	return one(ctx, q, scanAICredential, "SELECT "+aiCredentialColumns+
		" FROM ai_credentials WHERE org_id = $1 AND id = $2", org, id)
}

// AICredentials lists credentials by id, after the id given.
func (q Queries) AICredentials(ctx context.Context, org, after string, limit int) ([]AICredential, error) {
	return many(ctx, q, scanAICredential, "SELECT "+aiCredentialColumns+` FROM ai_credentials
		WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3`, org, after, limit)
}

// InsertAICredential adds a credential; an id in use gives [ErrExists].
func (tx *Tx) InsertAICredential(ctx context.Context, org string, c AICredential) error {
	tx.wroteRecord(c.record(org))
	_, err := tx.exec(ctx, `INSERT INTO ai_credentials (org_id, id, uid, version, meta, sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		org, c.ID, c.UID, c.Version, string(c.Meta), c.Sealed, millis(c.CreatedAt), millis(c.UpdatedAt))
	return err
}

// UpdateAICredential replaces what the credential with c's UID holds. What it held is
// overwritten: see [Tx.scrub].
func (tx *Tx) UpdateAICredential(ctx context.Context, org string, c AICredential) error {
	tx.wroteRecord(c.record(org))
	tx.scrub = true
	return tx.execChanging(ctx, "UPDATE ai_credentials SET version = $1, meta = $2, sealed = $3, updated_at = $4 "+
		"WHERE org_id = $5 AND uid = $6",
		c.Version, string(c.Meta), c.Sealed, millis(c.UpdatedAt), org, c.UID)
}

// DeleteAICredential removes the credential, and overwrites its sealed value. Workspaces that mount it keep their
// pins, so that another credential with its id is not mounted by them.
func (tx *Tx) DeleteAICredential(ctx context.Context, org, uid string) error {
	tx.wroteRecord(deleted(KindAICredential, org, uid))
	tx.scrub = true
	return tx.execChanging(ctx, "DELETE FROM ai_credentials WHERE org_id = $1 AND uid = $2", org, uid)
}
