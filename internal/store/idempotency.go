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

// AnswerKey is what an answer is kept by.
type AnswerKey struct {
	// Own is a hash that tells it from all others of its organization.
	Own string
	// Order is the same for keys that come at about the same time, and ascends with it; empty where there is no
	// such order. Without, a transaction writes a page of the index for each key that it adds.
	Order string
}

// inOrder begins what is stored of keys that have an order. It is above every hash.
const inOrder = "~"

// stored is a key as it is written, and as it may be stored otherwise: see [Queries.HasAnswersOtherwise].
func (d *dialect) stored(key AnswerKey) (written, otherwise string) {
	if key.Order == "" {
		return key.Own, key.Own
	}
	ordered := inOrder + key.Order + key.Own
	if d.remote() {
		return key.Own, ordered
	}
	return ordered, key.Own
}

// HasAnswersOtherwise reports whether an organization may have answers to keys with an order that are not
// stored as those are written now: in a file by Own alone, from a version that knew no order, or of keys that
// have none; on PostgreSQL in order, from a file that was moved there. PostgreSQL has them by Own, since nodes
// of that version look for it. None is added.
func (q Queries) HasAnswersOtherwise(ctx context.Context, org string) (bool, error) {
	where := "key < $2"
	if q.on.remote() {
		where = "key >= $2"
	}
	return one(ctx, q, func(row scanner) (has bool, err error) { return has, row(&has) },
		"SELECT EXISTS (SELECT 1 FROM idempotency WHERE org_id = $1 AND "+where+")", org, inOrder)
}

// Answer returns what was answered to the key.
func (q Queries) Answer(ctx context.Context, org string, key AnswerKey) (Answer, error) {
	written, otherwise := q.on.stored(key)
	return one(ctx, q, func(row scanner) (a Answer, err error) {
		var created int64
		err = row(&a.Status, &a.Sealed, &created)
		a.CreatedAt = fromMillis(created)
		return a, err
	}, "SELECT status, sealed, created_at FROM idempotency WHERE org_id = $1 AND key IN ($2, $3)", org, written, otherwise)
}

// InsertAnswer remembers an answer; a key that has one gives [ErrExists], unless that is stored otherwise.
func (tx *Tx) InsertAnswer(ctx context.Context, org string, key AnswerKey, a Answer) error {
	written, _ := tx.on.stored(key)
	_, err := tx.exec(ctx, "INSERT INTO idempotency (org_id, key, status, sealed, created_at) VALUES ($1, $2, $3, $4, $5)",
		org, written, a.Status, a.Sealed, millis(a.CreatedAt))
	return err
}

// DeleteAnswersBefore forgets answers that are too old to be asked for again,
// at most limit of them, and returns how many.
func (tx *Tx) DeleteAnswersBefore(ctx context.Context, t time.Time, limit int) (int64, error) {
	return tx.exec(ctx, `DELETE FROM idempotency WHERE (org_id, key) IN
		(SELECT org_id, key FROM idempotency WHERE created_at < $1 LIMIT $2)`, millis(t), limit)
}
