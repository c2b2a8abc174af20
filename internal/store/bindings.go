package store

import (
	"context"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
)

// Binding puts another secret in place of a credential's own.
type Binding struct {
	UID     string
	Version int64
	BindingKey
	Secret string
	// Sealed is the seal over all of it; it holds no secret.
	Sealed               []byte
	CreatedAt, UpdatedAt time.Time
}

// BindingKey tells a binding from every other of the organization.
type BindingKey struct {
	Scope bctrl.Scope
	// Target is the id of a capability, which has a slash, or of a credential.
	Target string
	// Consumer is the only one that it is for; empty for all.
	Consumer string
	// Field is the one whose secret it replaces; empty for the only one.
	Field string
}

const bindingColumns = "uid, version, workspace_id, group_id, target, consumer, field, secret_id, sealed, " +
	"created_at, updated_at"

func scanBinding(row scanner) (b Binding, err error) {
	var workspace, group string
	var created, updated int64
	err = row(&b.UID, &b.Version, &workspace, &group, &b.Target, &b.Consumer, &b.Field, &b.Secret,
		&b.Sealed, &created, &updated)
	b.Scope = scopeOf(workspace, group)
	b.CreatedAt, b.UpdatedAt = fromMillis(created), fromMillis(updated)
	return b, err
}

func (b Binding) record(org string) Record {
	row := cellsOf(KindBinding).Text(org, b.Scope.WorkspaceID(), b.Scope.GroupID()).
		Text(b.Target, b.Consumer, b.Field, b.Secret).Bytes(b.Sealed).
		Number(millis(b.CreatedAt), millis(b.UpdatedAt))
	return recordOf(KindBinding, org, b.UID, b.Version, row)
}

// Binding returns the binding with this key.
func (q Queries) Binding(ctx context.Context, org string, k BindingKey) (Binding, error) {
	return one(ctx, q, scanBinding, "SELECT "+bindingColumns+` FROM bindings
		WHERE org_id = $1 AND target = $2 AND workspace_id = $3 AND group_id = $4 AND consumer = $5 AND field = $6`,
		org, k.Target, k.Scope.WorkspaceID(), k.Scope.GroupID(), k.Consumer, k.Field)
}

// BindingRange selects bindings by uid, which is by age.
type BindingRange struct {
	// After is the last uid of the page before; empty for the first page.
	After string
	Limit int
	// Target, Consumer and Secret, an id, select when they are not empty, Scope
	// when not zero.
	Target, Consumer, Secret string
	Scope                    bctrl.Scope
}

// Bindings lists bindings.
func (q Queries) Bindings(ctx context.Context, org string, r BindingRange) ([]Binding, error) {
	args := []any{org, r.After, r.Limit}
	where := ""
	equals := func(column, value string) {
		args = append(args, value)
		where += " AND " + column + " = $" + strconv.Itoa(len(args))
	}
	if r.Target != "" {
		equals("target", r.Target)
	}
	if r.Consumer != "" {
		equals("consumer", r.Consumer)
	}
	if r.Secret != "" {
		equals("secret_id", r.Secret)
	}
	if !r.Scope.IsZero() {
		equals("workspace_id", r.Scope.WorkspaceID())
		equals("group_id", r.Scope.GroupID())
	}
	return many(ctx, q, scanBinding, "SELECT "+bindingColumns+" FROM bindings WHERE org_id = $1 AND uid > $2"+where+
		" ORDER BY uid LIMIT $3", args...)
}

// BindingsAt returns the bindings of a target for a consumer in a scope, one
// for each field.
func (q Queries) BindingsAt(ctx context.Context, org string, k BindingKey) ([]Binding, error) {
	return many(ctx, q, scanBinding, "SELECT "+bindingColumns+` FROM bindings
		WHERE org_id = $1 AND target = $2 AND workspace_id = $3 AND group_id = $4 AND consumer = $5 ORDER BY field`,
		org, k.Target, k.Scope.WorkspaceID(), k.Scope.GroupID(), k.Consumer)
}

// BindingsInWorkspace returns some of the bindings whose scope is a workspace or
// a group of it.
func (q Queries) BindingsInWorkspace(ctx context.Context, org, workspace string, limit int) ([]Binding, error) {
	return many(ctx, q, scanBinding, "SELECT "+bindingColumns+` FROM bindings
		WHERE org_id = $1 AND workspace_id = $2 AND workspace_id <> '' LIMIT $3`, org, workspace, limit)
}

// CandidateBindings returns the bindings of a capability and of a credential
// for a consumer that a context may see. It reads nothing else.
func (q Queries) CandidateBindings(
	ctx context.Context, org, capability, credential, consumer string, in bctrl.Scope,
) ([]Binding, error) {
	switch {
	case in.WorkspaceID() == "":
		return many(ctx, q, scanBinding, bindingsInScope, org, capability, credential, consumer, "", "")
	case in.GroupID() == "":
		return many(ctx, q, scanBinding, bindingsInScope+" UNION ALL "+bindingsGlobal, org, capability, credential,
			consumer, in.WorkspaceID(), "")
	}
	return many(ctx, q, scanBinding, bindingsInScope+" UNION ALL "+bindingsWorkspace+" UNION ALL "+bindingsGlobal,
		org, capability, credential, consumer, in.WorkspaceID(), in.GroupID())
}

// The consumer is compared twice rather than with a list, for which SQLite may
// read the bindings of all consumers. One that is empty finds a row twice.
const (
	bindingsFor       = "SELECT " + bindingColumns + " FROM bindings WHERE org_id = $1 AND target IN ($2, $3) AND "
	bindingsInScope   = bindingsFor + inScope + forAll + " UNION ALL " + bindingsFor + inScope + forOne
	bindingsWorkspace = bindingsFor + inWorkspace + forAll + " UNION ALL " + bindingsFor + inWorkspace + forOne
	bindingsGlobal    = bindingsFor + globally + forAll + " UNION ALL " + bindingsFor + globally + forOne

	inScope     = "workspace_id = $5 AND group_id = $6"
	inWorkspace = "workspace_id = $5 AND group_id = ''"
	globally    = "workspace_id = '' AND group_id = ''"
	forAll      = " AND consumer = ''"
	forOne      = " AND consumer = $4"
)

// InsertBinding adds a binding; one with its key gives [ErrExists].
func (tx *Tx) InsertBinding(ctx context.Context, org string, b Binding) error {
	tx.wroteRecord(b.record(org))
	_, err := tx.exec(ctx, `INSERT INTO bindings (org_id, uid, version, workspace_id, group_id, target, consumer, field,
		secret_id, sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		org, b.UID, b.Version, b.Scope.WorkspaceID(), b.Scope.GroupID(), b.Target, b.Consumer, b.Field, b.Secret, b.Sealed,
		millis(b.CreatedAt), millis(b.UpdatedAt))
	return err
}

// UpdateBinding replaces the secret of the binding with b's UID.
func (tx *Tx) UpdateBinding(ctx context.Context, org string, b Binding) error {
	tx.wroteRecord(b.record(org))
	return tx.execChanging(ctx, "UPDATE bindings SET version = $1, secret_id = $2, sealed = $3, updated_at = $4 "+
		"WHERE org_id = $5 AND uid = $6",
		b.Version, b.Secret, b.Sealed, millis(b.UpdatedAt), org, b.UID)
}

// DeleteBinding removes the binding.
func (tx *Tx) DeleteBinding(ctx context.Context, org, uid string) error {
	tx.wroteRecord(deleted(KindBinding, org, uid))
	return tx.execChanging(ctx, "DELETE FROM bindings WHERE org_id = $1 AND uid = $2", org, uid)
}
