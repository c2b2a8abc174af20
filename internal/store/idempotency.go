package store

import (
	"context"
	"time"
)

// Answer is the first answer to a request with an idempotency key.
type Answer struct {
	Status int
	// Sealed is what was answered, and to what, encrypted: requests hold
	// passwords, and even a hash of one is something to try guesses on.
	Sealed    []byte
	CreatedAt time.Time
}

// Answer returns what was answered to the key.
func (q Queries) Answer(ctx context.Context, org, key string) (Answer, error) {
	return one(ctx, q, func(row scanner) (a Answer, err error) {
		var created int64
		err = row(&a.Status, &a.Sealed, &created)
		a.CreatedAt = fromMillis(created)
		return a, err
	}, "SELECT status, sealed, created_at FROM idempotency WHERE org_id = $1 AND key = $2", org, key)
}

// InsertAnswer remembers an answer.
func (tx *Tx) InsertAnswer(ctx context.Context, org, key string, a Answer) error {
	_, err := tx.exec(ctx, "INSERT INTO idempotency (org_id, key, status, sealed, created_at) VALUES ($1, $2, $3, $4, $5)",
		org, key, a.Status, a.Sealed, millis(a.CreatedAt))
	return err
}

// DeleteAnswersBefore forgets answers that are too old to be asked for again,
// at most limit of them, and returns how many.
func (tx *Tx) DeleteAnswersBefore(ctx context.Context, t time.Time, limit int) (int64, error) {
	return tx.exec(ctx, `DELETE FROM idempotency WHERE (org_id, key) IN
		(SELECT org_id, key FROM idempotency WHERE created_at < $1 LIMIT $2)`, millis(t), limit)
}
