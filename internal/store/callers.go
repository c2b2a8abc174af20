package store

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/bctrl-go/bctrl/internal/tuple"
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

const apiKeyColumns = "id, org_id, label, hash, created_at, COALESCE(revoked_at, 0), proof"

func scanAPIKey(row scanner) (k APIKey, p provenRow, err error) {
	var created, revoked int64
	err = row(&k.ID, &k.Org, &k.Label, &k.Hash, &created, &revoked, &p.proof)
	k.CreatedAt = fromMillis(created)
	if revoked != 0 {
		k.RevokedAt = fromMillis(revoked)
	}
	p.kind, p.uid, p.org, p.cells, p.ended = KindAPIKey, k.ID, k.Org, k.cells(), k.ended()
	return k, p, err
}

func (k APIKey) cells() tuple.Encoding {
	return cellsOf(KindAPIKey).Text(k.ID, k.Org, k.Label).Bytes(k.Hash).Number(millis(k.CreatedAt), orZero(k.RevokedAt))
}

func (k APIKey) ended() bool { return !k.RevokedAt.IsZero() }

// orZero is millis of a time that may be none.
func orZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return millis(t)
}

// KeyByHash is [DB.APIKeyByHash] without its cache.
func (q Queries) KeyByHash(ctx context.Context, hash [sha256.Size]byte) (APIKey, error) {
	return one(ctx, q, newest(q, scanAPIKey), "SELECT "+apiKeyColumns+newestEvent(KindAPIKey, "api_keys")+
		" FROM api_keys WHERE hash = $1", hash[:])
}

// APIKey returns the key with this id, revoked or not.
func (q Queries) APIKey(ctx context.Context, org, id string) (APIKey, error) {
	return one(ctx, q, newest(q, scanAPIKey),
		"SELECT "+apiKeyColumns+newestEvent(KindAPIKey, "api_keys")+" FROM api_keys WHERE org_id = $1 AND id = $2", org, id)
}

// APIKeys lists keys by id, which is by age, after the id given. A row that is
// not proven is no key, and not among them.
func (q Queries) APIKeys(ctx context.Context, org, after string, limit int) (keys []APIKey, err error) {
	for { // a page may hold nothing but such rows, and not be the last
		asked, rows, last := limit-len(keys), 0, after
		page, err := manyProven(ctx, q, newest(q, func(row scanner) (APIKey, provenRow, error) {
			k, p, err := scanAPIKey(row)
			rows, last = rows+1, max(last, k.ID)
			return k, p, err
		}), "SELECT "+apiKeyColumns+newestEvent(KindAPIKey, "api_keys")+" FROM api_keys WHERE org_id = $1 AND id > $2 "+
			"ORDER BY id LIMIT $3", org, after, asked)
		if err != nil {
			return nil, err
		}
		keys = append(keys, page...)
		if len(keys) == limit || rows < asked || last == after {
			return keys, nil
		}
		after = last
	}
}

// GoodAPIKeys counts the keys that are not revoked. It does not count rows that are
// not proven, or older than the log says.
func (q Queries) GoodAPIKeys(ctx context.Context, org string) (n int64, err error) {
	good, err := manyProven(ctx, q, newest(q, scanAPIKey),
		"SELECT "+apiKeyColumns+newestEvent(KindAPIKey, "api_keys")+
			" FROM api_keys WHERE org_id = $1 AND revoked_at IS NULL", org)
	return int64(len(good)), err
}

// InsertAPIKey adds a key to an organization; one that is closed or gone gives
// [ErrNotFound].
func (tx *Tx) InsertAPIKey(ctx context.Context, k APIKey) error {
	if _, err := tx.openOrganization(ctx, k.Org); err != nil {
		return err
	}
	proof, err := tx.prove(KindAPIKey, k.cells(), k.ended())
	if err != nil {
		return err
	}
	tx.wroteRecord(k.record())
	_, err = tx.exec(ctx, "INSERT INTO api_keys (id, org_id, hash, label, created_at, proof) "+
		"VALUES ($1, $2, $3, $4, $5, $6)",
		k.ID, k.Org, k.Hash, k.Label, millis(k.CreatedAt), proof)
	return err
}

// RevokeAPIKey ends a key for good. Revoking it again changes nothing.
func (tx *Tx) RevokeAPIKey(ctx context.Context, org, id string, at time.Time) error {
	k, err := tx.APIKey(ctx, org, id)
	if err != nil || k.ended() {
		return err
	}
	k.RevokedAt = at
	proof, err := tx.prove(KindAPIKey, k.cells(), k.ended())
	if err != nil {
		return err
	}
	tx.forgetKeys = true
	tx.wroteRecord(k.record())
	return tx.execChanging(ctx, "UPDATE api_keys SET revoked_at = $1, proof = $2 WHERE org_id = $3 AND id = $4",
		millis(at), proof, org, id)
}

// DeleteAPIKey removes a key of an organization that is deleted.
func (tx *Tx) DeleteAPIKey(ctx context.Context, org, id string) error {
	tx.forgetKeys = true
	tx.wroteRecord(deleted(KindAPIKey, org, id))
	return tx.execChanging(ctx, "DELETE FROM api_keys WHERE org_id = $1 AND id = $2", org, id)
}
