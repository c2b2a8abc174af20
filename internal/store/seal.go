package store

import (
	"context"
	"time"
)

// DEK is a data encryption key, wrapped by the key encryption key.
type DEK struct {
	Scope, ID, KEKID string
	Wrapped          []byte
	// Version counts how often it was wrapped.
	Version   int64
	CreatedAt time.Time
}

// DEK returns the key of a scope.
func (q Queries) DEK(ctx context.Context, scope string) (DEK, error) {
	return one(ctx, q, scanDEK, "SELECT "+dekColumns+" FROM deks WHERE scope = $1", scope)
}

// DEKs lists the keys of all scopes.
func (q Queries) DEKs(ctx context.Context) ([]DEK, error) {
	return many(ctx, q, scanDEK, "SELECT "+dekColumns+" FROM deks ORDER BY scope")
}

// CountDEKs counts the keys of all scopes.
func (q Queries) CountDEKs(ctx context.Context) (n int64, err error) {
	return one(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) }, "SELECT COUNT(*) FROM deks")
}

const dekColumns = "scope, id, kek_id, wrapped, version, created_at"

func scanDEK(row scanner) (d DEK, err error) {
	var created int64
	err = row(&d.Scope, &d.ID, &d.KEKID, &d.Wrapped, &d.Version, &created)
	d.CreatedAt = fromMillis(created)
	return d, err
}

// InsertDEK adds the key of a scope; one that is there already gives
// [ErrExists].
func (tx *Tx) InsertDEK(ctx context.Context, d DEK) error {
	d.Version = 1
	tx.wroteRecord(d.record())
	_, err := tx.exec(ctx, "INSERT INTO deks (scope, id, kek_id, wrapped, version, created_at) "+
		"VALUES ($1, $2, $3, $4, $5, $6)",
		d.Scope, d.ID, d.KEKID, d.Wrapped, d.Version, millis(d.CreatedAt))
	return err
}

// RewrapDEK replaces how the key of a scope is wrapped. One that is not there
// gives [ErrNotFound].
func (tx *Tx) RewrapDEK(ctx context.Context, d DEK) error {
	d.Version++
	tx.wroteRecord(d.record())
	tx.scrub = true
	return tx.execChanging(ctx, "UPDATE deks SET kek_id = $1, wrapped = $2, version = $3 WHERE scope = $4 AND id = $5",
		d.KEKID, d.Wrapped, d.Version, d.Scope, d.ID)
}

// DeleteDEK removes the key of a scope, and with it the meaning of all that it
// sealed. One that is not there gives [ErrNotFound].
func (tx *Tx) DeleteDEK(ctx context.Context, scope string) error {
	d, err := tx.DEK(ctx, scope)
	if err != nil {
		return err
	}
	tx.wroteRecord(deleted(KindDataKey, "", d.ID))
	tx.scrub = true
	return tx.execChanging(ctx, "DELETE FROM deks WHERE scope = $1", scope)
}

// SealedValue returns one of the server's own sealed values.
func (q Queries) SealedValue(ctx context.Context, name string) ([]byte, error) {
	return one(ctx, q, func(row scanner) (sealed []byte, err error) { return sealed, row(&sealed) },
		"SELECT sealed FROM sealed_values WHERE name = $1", name)
}

// InsertSealedValue adds one of the server's own sealed values.
func (tx *Tx) InsertSealedValue(ctx context.Context, name string, sealed []byte) error {
	tx.wroteRecord(serverValueRecord(name, sealed))
	_, err := tx.exec(ctx, "INSERT INTO sealed_values (name, sealed) VALUES ($1, $2)", name, sealed)
	return err
}

// SealKey is a key encryption key as the data knows it: by everything but the
// key.
type SealKey struct {
	// N counts them from 1; the one with the highest is in use.
	N      int64
	ID     string
	Public []byte
	// Source says where the key comes from, Derivation what it is made with
	// where that is a passphrase.
	Source     string
	Derivation []byte
	CreatedAt  time.Time
	// Seq and Head are where the audit log stood when the key took over from
	// the one before; the first has zeros.
	Seq  int64
	Head []byte
	// Signature is the key's own over all of this.
	Signature []byte
}

// SealKeys lists the key encryption keys, the newest first.
func (q Queries) SealKeys(ctx context.Context) ([]SealKey, error) {
	scan := func(row scanner) (k SealKey, err error) {
		var created int64
		err = row(&k.N, &k.ID, &k.Public, &k.Source, &k.Derivation, &created, &k.Seq, &k.Head, &k.Signature)
		k.CreatedAt = fromMillis(created)
		return k, err
	}
	return many(ctx, q, scan, "SELECT n, id, public, source, derivation, created_at, seq, head, signature "+
		"FROM seal_keys ORDER BY n DESC")
}

// InsertSealKey adds a key encryption key, which is in use from then on.
func (tx *Tx) InsertSealKey(ctx context.Context, k SealKey) error {
	_, err := tx.exec(ctx, `INSERT INTO seal_keys (n, id, public, source, derivation, created_at, seq, head, signature)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		k.N, k.ID, k.Public, k.Source, k.Derivation, millis(k.CreatedAt), k.Seq, k.Head, k.Signature)
	return err
}
