package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Capability is one that the organization made itself.
type Capability struct {
	UID, ID string
	Version int64
	// Meta is what it permits, as JSON.
	Meta []byte
	// Sealed is the seal over all of it; it holds no secret.
	Sealed               []byte
	CreatedAt, UpdatedAt time.Time
}

const capabilityColumns = "uid, id, version, meta, sealed, created_at, updated_at"

func scanCapability(row scanner) (c Capability, err error) {
	var created, updated int64
	err = row(&c.UID, &c.ID, &c.Version, &c.Meta, &c.Sealed, &created, &updated)
	c.CreatedAt, c.UpdatedAt = fromMillis(created), fromMillis(updated)
	return c, err
}

func (c Capability) record(org string) Record {
	row := cellsOf(KindCapability).Text(org, c.ID).Bytes(c.Meta, c.Sealed).
		Number(millis(c.CreatedAt), millis(c.UpdatedAt))
	return recordOf(KindCapability, org, c.UID, c.Version, row)
}

// Capability returns the capability with this id.
func (q Queries) Capability(ctx context.Context, org, id string) (Capability, error) {
	return one(ctx, q, scanCapability, "SELECT "+capabilityColumns+
		" FROM capabilities WHERE org_id = $1 AND id = $2", org, id)
}

// Capabilities lists capabilities by id, after the id given.
func (q Queries) Capabilities(ctx context.Context, org, after string, limit int) ([]Capability, error) {
	return many(ctx, q, scanCapability, "SELECT "+capabilityColumns+" FROM capabilities WHERE org_id = $1 AND id > $2 "+
		"ORDER BY id LIMIT $3", org, after, limit)
}

// InsertCapability adds a capability; an id in use gives [ErrExists].
func (tx *Tx) InsertCapability(ctx context.Context, org string, c Capability) error {
	tx.wroteRecord(c.record(org))
	_, err := tx.exec(ctx, `INSERT INTO capabilities (org_id, uid, id, version, meta, sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		org, c.UID, c.ID, c.Version, string(c.Meta), c.Sealed, millis(c.CreatedAt), millis(c.UpdatedAt))
	return err
}

// UpdateCapability replaces what the capability with c's UID permits.
func (tx *Tx) UpdateCapability(ctx context.Context, org string, c Capability) error {
	tx.wroteRecord(c.record(org))
	return tx.execChanging(ctx, "UPDATE capabilities SET version = $1, meta = $2, sealed = $3, updated_at = $4 "+
		"WHERE org_id = $5 AND uid = $6",
		c.Version, string(c.Meta), c.Sealed, millis(c.UpdatedAt), org, c.UID)
}

// DeleteCapability removes the capability.
func (tx *Tx) DeleteCapability(ctx context.Context, org, uid string) error {
	tx.wroteRecord(deleted(KindCapability, org, uid))
	return tx.execChanging(ctx, "DELETE FROM capabilities WHERE org_id = $1 AND uid = $2", org, uid)
}

// CapabilityPolicy limits a capability, built in or own.
type CapabilityPolicy struct {
	UID, Capability string
	Version         int64
	// Meta is the limits, as JSON.
	Meta []byte
	// Sealed is the seal over all of it; it holds no secret.
	Sealed    []byte
	UpdatedAt time.Time
}

const capabilityPolicyColumns = "uid, capability, version, meta, sealed, updated_at"

func scanCapabilityPolicy(row scanner) (p CapabilityPolicy, err error) {
	var updated int64
	err = row(&p.UID, &p.Capability, &p.Version, &p.Meta, &p.Sealed, &updated)
	p.UpdatedAt = fromMillis(updated)
	return p, err
}

func (p CapabilityPolicy) record(org string) Record {
	row := cellsOf(KindCapabilityPolicy).Text(org, p.Capability).Bytes(p.Meta, p.Sealed).Number(millis(p.UpdatedAt))
	return recordOf(KindCapabilityPolicy, org, p.UID, p.Version, row)
}

// PolicyUID is the identity of a capability's policy. A new policy has that of the
// one before it, so that the log can say whether the capability has one.
func PolicyUID(org, capability string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(org+"/"+capability)).String()
}

// CapabilityPolicy returns the policy of a capability. One that is gone, and of
// which the log does not say that it was deleted, is a [ForgedError].
func (q Queries) CapabilityPolicy(ctx context.Context, org, capability string) (CapabilityPolicy, error) {
	const tries = 3 // a policy may be set between the look-up of its row and that of its event
	for try := 1; ; try++ {
		p, err := one(ctx, q, scanCapabilityPolicy, "SELECT "+capabilityPolicyColumns+
			" FROM capability_policies WHERE org_id = $1 AND capability = $2", org, capability)
		if !errors.Is(err, ErrNotFound) {
			return p, err
		}
		if forged := q.isGone(ctx, deleted(KindCapabilityPolicy, org, PolicyUID(org, capability))); forged == nil ||
			try == tries {
			return p, cmp.Or(forged, err)
		}
	}
}

// CapabilityPolicies lists policies by capability, after the one given.
func (q Queries) CapabilityPolicies(ctx context.Context, org, after string, limit int) ([]CapabilityPolicy, error) {
	return many(ctx, q, scanCapabilityPolicy, "SELECT "+capabilityPolicyColumns+` FROM capability_policies
		WHERE org_id = $1 AND capability > $2 ORDER BY capability LIMIT $3`, org, after, limit)
}

// InsertCapabilityPolicy adds a policy; a capability that has one gives
// [ErrExists].
func (tx *Tx) InsertCapabilityPolicy(ctx context.Context, org string, p CapabilityPolicy) error {
	tx.wroteRecord(p.record(org))
	_, err := tx.exec(ctx, "INSERT INTO capability_policies "+
		"(org_id, uid, capability, version, meta, sealed, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		org, p.UID, p.Capability, p.Version, string(p.Meta), p.Sealed, millis(p.UpdatedAt))
	return err
}

// UpdateCapabilityPolicy replaces the limits of the policy with p's UID.
func (tx *Tx) UpdateCapabilityPolicy(ctx context.Context, org string, p CapabilityPolicy) error {
	tx.wroteRecord(p.record(org))
	return tx.execChanging(ctx, "UPDATE capability_policies SET version = $1, meta = $2, sealed = $3, updated_at = $4 "+
		"WHERE org_id = $5 AND uid = $6",
		p.Version, string(p.Meta), p.Sealed, millis(p.UpdatedAt), org, p.UID)
}

// DeleteCapabilityPolicy removes the policy.
func (tx *Tx) DeleteCapabilityPolicy(ctx context.Context, org, uid string) error {
	tx.wroteRecord(deleted(KindCapabilityPolicy, org, uid))
	return tx.execChanging(ctx, "DELETE FROM capability_policies WHERE org_id = $1 AND uid = $2", org, uid)
}
