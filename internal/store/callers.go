package store

import (
	"context"
	"time"
)

// APIKey is an organization key. The key itself is not stored.
type APIKey struct {
	ID, Org, Label string
	// Hash is the SHA-256 of the key.
	Hash      []byte
	CreatedAt time.Time
	// RevokedAt is zero while the key is good.
	RevokedAt time.Time
}

const apiKeyColumns = "id, org_id, label, hash, created_at, COALESCE(revoked_at, 0)"

func scanAPIKey(row scanner) (k APIKey, err error) {
	var created, revoked int64
	err = row(&k.ID, &k.Org, &k.Label, &k.Hash, &created, &revoked)
	k.CreatedAt = fromMillis(created)
	if revoked != 0 {
		k.RevokedAt = fromMillis(revoked)
	}
	return k, err
}

// apiKeyByHash is [DB.APIKeyByHash] without its cache.
func (q Queries) apiKeyByHash(ctx context.Context, hash []byte) (APIKey, error) {
	return one(ctx, q, scanAPIKey, "SELECT "+apiKeyColumns+" FROM api_keys WHERE hash = $1", hash)
}

// APIKey returns the key with this id, revoked or not.
func (q Queries) APIKey(ctx context.Context, org, id string) (APIKey, error) {
	return one(ctx, q, scanAPIKey, "SELECT "+apiKeyColumns+" FROM api_keys WHERE org_id = $1 AND id = $2", org, id)
}

// APIKeys lists keys by id, which is by age, after the id given.
func (q Queries) APIKeys(ctx context.Context, org, after string, limit int) ([]APIKey, error) {
	return many(ctx, q, scanAPIKey, "SELECT "+apiKeyColumns+" FROM api_keys WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3", org, after, limit)
}

// GoodAPIKeys counts the keys that are not revoked.
func (q Queries) GoodAPIKeys(ctx context.Context, org string) (n int64, err error) {
	return one(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) },
		"SELECT COUNT(*) FROM api_keys WHERE org_id = $1 AND revoked_at IS NULL", org)
}

// InsertAPIKey adds a key to an organization; one that is closed or gone gives
// [ErrNotFound].
func (tx *Tx) InsertAPIKey(ctx context.Context, k APIKey) error {
	if _, err := tx.openOrganization(ctx, k.Org); err != nil {
		return err
	}
	tx.wrote(k.record())
	_, err := tx.exec(ctx, "INSERT INTO api_keys (id, org_id, hash, label, created_at) VALUES ($1, $2, $3, $4, $5)",
		k.ID, k.Org, k.Hash, k.Label, millis(k.CreatedAt))
	return err
}

// RevokeAPIKey ends a key for good. Revoking it again changes nothing.
func (tx *Tx) RevokeAPIKey(ctx context.Context, org, id string, at time.Time) error {
	tx.forgetKeys = true
	if err := tx.must(ctx, "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $1) WHERE org_id = $2 AND id = $3", millis(at), org, id); err != nil {
		return err
	}
	k, err := tx.APIKey(ctx, org, id)
	tx.wrote(k.record())
	return err
}

// DeleteAPIKey removes a key of an organization that is deleted.
func (tx *Tx) DeleteAPIKey(ctx context.Context, org, id string) error {
	tx.forgetKeys = true
	tx.wrote(deleted(KindAPIKey, org, id))
	return tx.must(ctx, "DELETE FROM api_keys WHERE org_id = $1 AND id = $2", org, id)
}
