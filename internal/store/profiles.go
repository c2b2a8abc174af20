package store

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// Profile is a browser profile. Its folder is named after UID, so that a new
// profile with an old id has nothing of the old one's.
type Profile struct {
	ID, UID, Label       string
	CreatedAt, UpdatedAt time.Time
}

const profileColumns = "org_id, id, uid, label, created_at, updated_at, proof"

func scanProfile(row scanner) (f Profile, p provenRow, err error) {
	var created, updated int64
	err = row(&p.org, &f.ID, &f.UID, &f.Label, &created, &updated, &p.proof)
	f.CreatedAt, f.UpdatedAt = fromMillis(created), fromMillis(updated)
	p.kind, p.uid, p.cells = KindProfile, f.UID, f.cells(p.org)
	return f, p, err
}

func (p Profile) cells(org string) tuple.Encoding {
	return cellsOf(KindProfile).Text(org, p.ID, p.UID, p.Label).Number(millis(p.CreatedAt), millis(p.UpdatedAt))
}

// Profile returns the profile with this id.
func (q Queries) Profile(ctx context.Context, org, id string) (Profile, error) {
	return one(ctx, q, checked(q, scanProfile), "SELECT "+profileColumns+
		" FROM browser_profiles WHERE org_id = $1 AND id = $2", org, id)
}

// ProfileByUID returns the profile with this uid.
func (q Queries) ProfileByUID(ctx context.Context, org, uid string) (Profile, error) {
	return one(ctx, q, checked(q, scanProfile), "SELECT "+profileColumns+
		" FROM browser_profiles WHERE org_id = $1 AND uid = $2", org, uid)
}

// Profiles lists profiles by id, after the id given.
func (q Queries) Profiles(ctx context.Context, org, after string, limit int) ([]Profile, error) {
	return many(ctx, q, checked(q, scanProfile), "SELECT "+profileColumns+
		" FROM browser_profiles WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3", org, after, limit)
}

// InsertProfile adds a profile; an id in use gives [ErrExists].
func (tx *Tx) InsertProfile(ctx context.Context, org string, p Profile) error {
	proof, err := tx.prove(KindProfile, p.cells(org), false)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "INSERT INTO browser_profiles (org_id, id, uid, label, created_at, updated_at, proof) "+
		"VALUES ($1, $2, $3, $4, $5, $6, $7)",
		org, p.ID, p.UID, p.Label, millis(p.CreatedAt), millis(p.UpdatedAt), proof)
	return err
}

// UpdateProfile replaces the label.
func (tx *Tx) UpdateProfile(ctx context.Context, org string, p Profile) error {
	proof, err := tx.prove(KindProfile, p.cells(org), false)
	if err != nil {
		return err
	}
	return tx.execChanging(ctx, "UPDATE browser_profiles SET label = $1, updated_at = $2, proof = $3 "+
		"WHERE org_id = $4 AND uid = $5",
		p.Label, millis(p.UpdatedAt), proof, org, p.UID)
}

// DeleteProfile removes a profile.
func (tx *Tx) DeleteProfile(ctx context.Context, org, uid string) error {
	return tx.execChanging(ctx, "DELETE FROM browser_profiles WHERE org_id = $1 AND uid = $2", org, uid)
}

// RuntimeUsingProfile returns the live runtime that uses a profile. Nobody uses that of no uid, as those
// have that run without a profile.
func (q Queries) RuntimeUsingProfile(ctx context.Context, org, uid string) (Runtime, error) {
	if uid == "" {
		return Runtime{}, ErrNotFound
	}
	return one(ctx, q, checked(q, scanRuntime), "SELECT "+runtimeColumns+
		" FROM runtimes WHERE org_id = $1 AND profile_uid = $2 AND live", org, uid)
}

// ProfileUIDExists reports whether a profile of any organization has this uid,
// for the sweep of folders, which are nobody's.
func (q Queries) ProfileUIDExists(ctx context.Context, uid string) (bool, error) {
	return one(ctx, q, func(row scanner) (exists bool, err error) { return exists, row(&exists) },
		"SELECT EXISTS (SELECT 1 FROM browser_profiles WHERE uid = $1)", uid)
}
