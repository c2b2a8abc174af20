package store

import (
	"context"
	"time"
)

// DEK is a data encryption key, wrapped by the key encryption key.
type DEK struct {
	Scope, ID, KEKID string
	Wrapped          []byte
	CreatedAt        time.Time
}

// DEK returns the key of a scope.
func (q Queries) DEK(ctx context.Context, scope string) (DEK, error) {
	return one(ctx, q, scanDEK, "SELECT "+dekColumns+" FROM deks WHERE scope = $1", scope)
}

const dekColumns = "scope, id, kek_id, wrapped, created_at"

func scanDEK(row scanner) (d DEK, err error) {
	var created int64
	err = row(&d.Scope, &d.ID, &d.KEKID, &d.Wrapped, &created)
	d.CreatedAt = fromMillis(created)
	return d, err
}

// InsertDEK adds the key of a scope; one that is there already gives
// [ErrExists].
func (tx *Tx) InsertDEK(ctx context.Context, d DEK) error {
	tx.wrote(d.record())
	_, err := tx.exec(ctx, "INSERT INTO deks (scope, id, kek_id, wrapped, created_at) VALUES ($1, $2, $3, $4, $5)",
		d.Scope, d.ID, d.KEKID, d.Wrapped, millis(d.CreatedAt))
	return err
}

// DeleteDEK removes the key of a scope, and with it the meaning of all that it
// sealed. One that is not there gives [ErrNotFound].
func (tx *Tx) DeleteDEK(ctx context.Context, scope string) error {
	d, err := tx.DEK(ctx, scope)
	if err != nil {
		return err
	}
	tx.wrote(deleted(KindDataKey, "", d.ID))
	return tx.must(ctx, "DELETE FROM deks WHERE scope = $1", scope)
}

// SealedValue returns one of the server's own sealed values.
func (q Queries) SealedValue(ctx context.Context, name string) ([]byte, error) {
	return one(ctx, q, func(row scanner) (sealed []byte, err error) { return sealed, row(&sealed) },
		"SELECT sealed FROM sealed_values WHERE name = $1", name)
}

// InsertSealedValue adds one of the server's own sealed values.
func (tx *Tx) InsertSealedValue(ctx context.Context, name string, sealed []byte) error {
	tx.wrote(serverValueRecord(name, sealed))
	_, err := tx.exec(ctx, "INSERT INTO sealed_values (name, sealed) VALUES ($1, $2)", name, sealed)
	return err
}
