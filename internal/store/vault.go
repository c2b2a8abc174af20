package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// VaultEntry is one stored login.
type VaultEntry struct {
	UID     string
	Key     string
	Version int64
	HasTOTP bool
	// Meta is the part that may be listed, as JSON; Sealed covers it.
	Meta []byte
	// Sealed is the login, encrypted.
	Sealed               []byte
	CreatedAt, UpdatedAt time.Time
}

const vaultColumns = "uid, key, version, has_totp, meta, sealed, created_at, updated_at"

func scanVaultEntry(row scanner) (e VaultEntry, err error) {
	var created, updated int64
	err = row(&e.UID, &e.Key, &e.Version, &e.HasTOTP, &e.Meta, &e.Sealed, &created, &updated)
	e.CreatedAt, e.UpdatedAt = fromMillis(created), fromMillis(updated)
	return e, err
}

// VaultEntry returns the entry with exactly this key.
func (q Queries) VaultEntry(ctx context.Context, org, key string) (VaultEntry, error) {
	if e, known, err := q.entryCache.get(ctx, q, entryName{org, key}); known || err != nil {
		return e, err
	}
	e, err := one(ctx, q, scanVaultEntry, "SELECT "+vaultColumns+
		" FROM vault_entries WHERE org_id = $1 AND key = $2", org, key)
	if err == nil {
		q.entryCache.put(org, e)
	}
	return e, err
}

// VaultEntryFolded returns the entry whose key equals this one but for ASCII
// case. folded is in lower case.
func (q Queries) VaultEntryFolded(ctx context.Context, org, folded string) (VaultEntry, error) {
	return one(ctx, q, scanVaultEntry, "SELECT "+vaultColumns+
		" FROM vault_entries WHERE org_id = $1 AND folded = $2", org, folded)
}

// InsertVaultEntry adds an entry. folded is its key in lower case. An entry
// whose key differs at most in case gives [ErrExists].
func (tx *Tx) InsertVaultEntry(ctx context.Context, org, folded string, e VaultEntry) error {
	tx.wroteRecord(e.record(org))
	_, err := tx.exec(ctx, `INSERT INTO vault_entries (org_id, key, folded, uid, version, has_totp, meta, sealed,
		created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		org, e.Key, folded, e.UID, e.Version, e.HasTOTP, string(e.Meta), e.Sealed, millis(e.CreatedAt), millis(e.UpdatedAt))
	return err
}

// ReplaceVaultEntry is [Tx.UpdateVaultEntry] for an entry of which the version before it is believed to
// be stored. It reports whether that is so, and else does nothing.
func (tx *Tx) ReplaceVaultEntry(ctx context.Context, org string, e VaultEntry) (replaced bool, err error) {
	n, err := tx.exec(ctx, updateVaultEntry+" AND version = $1 - 1 AND key = $8 AND folded = $9 AND created_at = $10",
		e.Version, e.HasTOTP, string(e.Meta), e.Sealed, millis(e.UpdatedAt), org, e.UID,
		e.Key, strings.ToLower(e.Key), millis(e.CreatedAt))
	if n > 0 {
		tx.wroteRecord(e.record(org))
		tx.scrubSoon = true
	}
	return n > 0, err
}

const updateVaultEntry = `UPDATE vault_entries
		SET version = $1, has_totp = $2, meta = $3, sealed = $4, updated_at = $5
		WHERE org_id = $6 AND uid = $7`

// UpdateVaultEntry replaces what the entry with e's UID holds, which is overwritten: see [Tx.scrub].
func (tx *Tx) UpdateVaultEntry(ctx context.Context, org string, e VaultEntry) error {
	tx.wroteRecord(e.record(org))
	tx.scrubSoon = true
	return tx.execChanging(ctx, updateVaultEntry,
		e.Version, e.HasTOTP, string(e.Meta), e.Sealed, millis(e.UpdatedAt), org, e.UID)
}

// DeleteVaultEntry removes the entry. Its sealed value is overwritten: see [Tx.scrub].
func (tx *Tx) DeleteVaultEntry(ctx context.Context, org, uid string) error {
	tx.wroteRecord(deleted(KindVault, org, uid))
	tx.scrub = true
	return tx.execChanging(ctx, "DELETE FROM vault_entries WHERE org_id = $1 AND uid = $2", org, uid)
}

// VaultRange selects keys in byte order.
type VaultRange struct {
	// After is the last key of the page before; empty for the first page.
	After string
	// From and To bound the keys, From included and To not. An empty To is no
	// bound.
	From, To string
	// HasTOTP filters by whether an entry has a TOTP seed, when not nil.
	HasTOTP *bool
	Limit   int
}

// VaultKeys lists keys alone, from the index. They come in one row, parted by
// spaces, which no key holds: a row for each costs three times as much.
func (q Queries) VaultKeys(ctx context.Context, org string, r VaultRange) ([]string, error) {
	where, args := r.where(org)
	page, err := one(ctx, q, func(row scanner) (page string, err error) { return page, row(&page) },
		"SELECT COALESCE(string_agg(key, ' '), '') FROM (SELECT key FROM vault_entries"+where+
			" ORDER BY key LIMIT $4) AS page", args...)
	keys := strings.Fields(page)
	if !slices.IsSorted(keys) { // only an ORDER BY in string_agg, which sorts again, would promise it
		slices.Sort(keys)
	}
	return keys, err
}

// VaultEntries lists entries without opening them.
func (q Queries) VaultEntries(ctx context.Context, org string, r VaultRange) ([]VaultEntry, error) {
	where, args := r.where(org)
	return many(ctx, q, scanVaultEntry, "SELECT "+vaultColumns+" FROM vault_entries"+where+
		" ORDER BY key LIMIT $4", args...)
}

// where pages by key, so that a page costs the same wherever it lies. The
// clauses keep their texts few: statements are prepared once each.
func (r VaultRange) where(org string) (string, []any) {
	from, op := r.From, ">="
	if r.After >= from && r.After != "" {
		from, op = r.After, ">"
	}
	to := r.To
	if to == "" {
		to = "\x7f" // above every byte of a key
	}
	// The next text after a key. No key holds a control character, and PostgreSQL no
	// zero byte.
	to = strings.ReplaceAll(to, "\x00", "\x01")
	clause := " WHERE org_id = $1 AND key " + op + " $2 AND key < $3"
	args := []any{org, from, to, r.Limit}
	if r.HasTOTP != nil {
		clause += " AND has_totp = $5"
		args = append(args, *r.HasTOTP)
	}
	return clause, args
}
