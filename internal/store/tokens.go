package store

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// RuntimeToken is a runtime token that was minted. The token itself is not
// stored.
type RuntimeToken struct {
	ID, RuntimeID        string
	CreatedAt, ExpiresAt time.Time
	// RevokedAt is zero while the token is good.
	RevokedAt time.Time
}

const runtimeTokenColumns = "org_id, id, runtime_id, created_at, expires_at, COALESCE(revoked_at, 0), proof"

func scanRuntimeToken(row scanner) (t RuntimeToken, p provenRow, err error) {
	var created, expires, revoked int64
	err = row(&p.org, &t.ID, &t.RuntimeID, &created, &expires, &revoked, &p.proof)
	t.CreatedAt, t.ExpiresAt = fromMillis(created), fromMillis(expires)
	if revoked != 0 {
		t.RevokedAt = fromMillis(revoked)
	}
	p.kind, p.uid, p.cells, p.ended = KindRuntimeToken, t.ID, t.cells(p.org), t.ended()
	return t, p, err
}

func (t RuntimeToken) cells(org string) tuple.Encoding {
	return cellsOf(KindRuntimeToken).Text(org, t.ID, t.RuntimeID).
		Number(millis(t.CreatedAt), millis(t.ExpiresAt), orZero(t.RevokedAt))
}

func (t RuntimeToken) ended() bool { return !t.RevokedAt.IsZero() }

// RuntimeToken returns the token with this id, revoked or not. Its state is the newest
// in the log, as that of every row that decides on its own who a caller is or what a
// caller may.
func (q Queries) RuntimeToken(ctx context.Context, org, id string) (RuntimeToken, error) {
	return one(ctx, q, newest(q, scanRuntimeToken),
		"SELECT "+runtimeTokenColumns+newestEvent(KindRuntimeToken, "runtime_tokens")+
			" FROM runtime_tokens WHERE org_id = $1 AND id = $2", org, id)
}

// InsertRuntimeToken adds a token.
func (tx *Tx) InsertRuntimeToken(ctx context.Context, org string, t RuntimeToken) error {
	proof, err := tx.prove(KindRuntimeToken, t.cells(org), t.ended())
	if err != nil {
		return err
	}
	tx.wroteRecord(t.record(org))
	_, err = tx.exec(ctx, "INSERT INTO runtime_tokens (org_id, id, runtime_id, created_at, expires_at, proof) "+
		"VALUES ($1, $2, $3, $4, $5, $6)",
		org, t.ID, t.RuntimeID, millis(t.CreatedAt), millis(t.ExpiresAt), proof)
	return err
}

// RevokeRuntimeToken ends a token for good. Revoking it again changes nothing.
func (tx *Tx) RevokeRuntimeToken(ctx context.Context, org, id string, at time.Time) error {
	t, err := tx.RuntimeToken(ctx, org, id)
	if err != nil || t.ended() {
		return err
	}
	t.RevokedAt = at
	proof, err := tx.prove(KindRuntimeToken, t.cells(org), t.ended())
	if err != nil {
		return err
	}
	tx.wroteRecord(t.record(org))
	return tx.execChanging(ctx, "UPDATE runtime_tokens SET revoked_at = $1, proof = $2 WHERE org_id = $3 AND id = $4",
		millis(at), proof, org, id)
}

// DeleteRuntimeTokensBefore forgets up to limit tokens that ended before a
// time, and returns how many there were.
func (tx *Tx) DeleteRuntimeTokensBefore(ctx context.Context, before time.Time, limit int) (int64, error) {
	return tx.exec(ctx, "DELETE FROM runtime_tokens WHERE id IN (SELECT id FROM runtime_tokens WHERE expires_at < $1 "+
		"ORDER BY expires_at LIMIT $2)",
		millis(before), limit)
}
