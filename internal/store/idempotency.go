package store

import (
	"context"
	"time"
)

// Answer is the first answer to a request with an idempotency key.
type Answer struct {
	// Fingerprint tells whether another request is the same one.
	Fingerprint []byte
	Status      int
	Body        []byte
	CreatedAt   time.Time
}

// Answer returns what was answered to the key.
func (q Queries) Answer(ctx context.Context, org, key string) (Answer, error) {
	return one(ctx, q, func(row scanner) (a Answer, err error) {
		var created int64
		err = row(&a.Fingerprint, &a.Status, &a.Body, &created)
		a.CreatedAt = fromMillis(created)
		return a, err
	}, "SELECT fingerprint, status, body, created_at FROM idempotency WHERE org_id = $1 AND key = $2", org, key)
}

// InsertAnswer remembers an answer.
func (tx *Tx) InsertAnswer(ctx context.Context, org, key string, a Answer) error {
	_, err := tx.exec(ctx, "INSERT INTO idempotency (org_id, key, fingerprint, status, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
		org, key, a.Fingerprint, a.Status, a.Body, millis(a.CreatedAt))
	return err
}

// DeleteAnswersBefore forgets answers that are too old to be asked for again,
// at most limit of them, and returns how many.
func (tx *Tx) DeleteAnswersBefore(ctx context.Context, t time.Time, limit int) (int64, error) {
	return tx.exec(ctx, `DELETE FROM idempotency WHERE (org_id, key) IN
		(SELECT org_id, key FROM idempotency WHERE created_at < $1 LIMIT $2)`, millis(t), limit)
}
