package store

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
)

// Secret is a secret with a scope.
type Secret struct {
	ID      string
	Version int64
	// Scope names its workspace by id.
	Scope bctrl.Scope
	Name  string
	// Provider is the one that it is pinned to, or empty.
	Provider string
	// AttachedOnly secrets are visible through their attachments alone.
	AttachedOnly bool
	// Meta is the part that may be listed, as JSON; Sealed covers it.
	Meta []byte
	// Sealed is the value, encrypted.
	Sealed               []byte
	CreatedAt, UpdatedAt time.Time
}

const secretColumns = "id, version, workspace_id, group_id, name, provider, attached_only, meta, sealed, " +
	"created_at, updated_at"

func scanSecret(row scanner) (s Secret, err error) {
	var workspace, group string
	var created, updated int64
	err = row(&s.ID, &s.Version, &workspace, &group, &s.Name, &s.Provider, &s.AttachedOnly, &s.Meta,
		&s.Sealed, &created, &updated)
	s.Scope = scopeOf(workspace, group)
	s.CreatedAt, s.UpdatedAt = fromMillis(created), fromMillis(updated)
	return s, err
}

// Secret returns the secret with this id.
func (q Queries) Secret(ctx context.Context, org, id string) (Secret, error) {
	return one(ctx, q, scanSecret, "SELECT "+secretColumns+" FROM secrets WHERE org_id = $1 AND id = $2", org, id)
}

// SecretByName returns the secret of a scope that has this name or alias.
func (q Queries) SecretByName(ctx context.Context, org string, scope bctrl.Scope, name string) (Secret, error) {
	return one(ctx, q, scanSecret, "SELECT "+secretColumns+` FROM secrets WHERE org_id = $1 AND id =
		(SELECT secret_id FROM secret_names WHERE org_id = $1 AND name = $2 AND workspace_id = $3 AND group_id = $4)`,
		org, name, scope.WorkspaceID(), scope.GroupID())
}

// SecretRange selects secrets by id, which is by age.
type SecretRange struct {
	// After is the last id of the page before; empty for the first page.
	After string
	Limit int
	// Scope, when not zero, is where they live.
	Scope bctrl.Scope
	// Name is a name or alias of theirs, when not empty.
	Name string
	// Provider is the one that they are pinned to, when not empty.
	Provider string
	// AttachedTo is a group that they are attached to, when not zero.
	AttachedTo bctrl.Scope
}

// Secrets lists secrets without opening them.
func (q Queries) Secrets(ctx context.Context, org string, r SecretRange) ([]Secret, error) {
	args := []any{org, r.After, r.Limit}
	arg := func(v string) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	in := func(scope bctrl.Scope) string {
		return "workspace_id = " + arg(scope.WorkspaceID()) + " AND group_id = " + arg(scope.GroupID())
	}
	where := ""
	if !r.Scope.IsZero() {
		where += " AND " + in(r.Scope)
	}
	if r.Provider != "" {
		where += " AND provider <> '' AND provider = " + arg(r.Provider)
	}
	if r.Name != "" {
		where += " AND id IN (SELECT secret_id FROM secret_names WHERE org_id = $1 AND name = " + arg(r.Name) + ")"
	}
	if !r.AttachedTo.IsZero() {
		where += " AND id IN (SELECT secret_id FROM secret_attachments WHERE org_id = $1 AND " + in(r.AttachedTo) + ")"
	}
	return many(ctx, q, scanSecret, "SELECT "+secretColumns+" FROM secrets WHERE org_id = $1 AND id > $2"+where+
		" ORDER BY id LIMIT $3", args...)
}

// SecretsInWorkspace returns some of the secrets whose scope is a workspace or a
// group of it.
func (q Queries) SecretsInWorkspace(ctx context.Context, org, workspace string, limit int) ([]Secret, error) {
	return many(ctx, q, scanSecret, "SELECT "+secretColumns+` FROM secrets
		WHERE org_id = $1 AND workspace_id = $2 AND workspace_id <> '' ORDER BY group_id, id LIMIT $3`, org, workspace, limit)
}

// SecretsAttachedIn returns secrets that are attached to groups of a workspace,
// by id, after the id given.
func (q Queries) SecretsAttachedIn(ctx context.Context, org, workspace, after string, limit int) ([]Secret, error) {
	return many(ctx, q, scanSecret, "SELECT "+secretColumns+` FROM secrets WHERE org_id = $1 AND id > $3 AND id IN
		(SELECT secret_id FROM secret_attachments WHERE org_id = $1 AND workspace_id = $2) ORDER BY id LIMIT $4`, org,
		workspace, after, limit)
}

// SecretIndex is what a secret can be found by, taken from its meta.
type SecretIndex struct {
	// Names are its name and its aliases.
	Names []string
	// Attachments are the groups that it is attached to.
	Attachments []bctrl.Scope
}

// InsertSecret adds a secret; a name that its scope has already gives
// [ErrExists].
func (tx *Tx) InsertSecret(ctx context.Context, org string, s Secret, index SecretIndex) error {
	tx.wroteRecord(s.record(org))
	if _, err := tx.exec(ctx, `INSERT INTO secrets (org_id, id, version, workspace_id, group_id, name, provider,
		attached_only, meta, sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		org, s.ID, s.Version, s.Scope.WorkspaceID(), s.Scope.GroupID(), s.Name, s.Provider, s.AttachedOnly,
		string(s.Meta), s.Sealed,
		millis(s.CreatedAt), millis(s.UpdatedAt)); err != nil {
		return err
	}
	return tx.addToSecretIndex(ctx, org, s, index)
}

// UpdateSecret replaces what the secret with s's ID is and holds, but for its
// scope; a name that its scope has already gives [ErrExists].
func (tx *Tx) UpdateSecret(ctx context.Context, org string, s Secret, index SecretIndex) error {
	tx.wroteRecord(s.record(org))
	tx.scrub = true
	if err := tx.execChanging(ctx, `UPDATE secrets
		SET version = $1, name = $2, provider = $3, attached_only = $4, meta = $5,
		sealed = $6, updated_at = $7
		WHERE org_id = $8 AND id = $9`,
		s.Version, s.Name, s.Provider, s.AttachedOnly, string(s.Meta), s.Sealed, millis(s.UpdatedAt), org, s.ID); err != nil {
		return err
	}
	before, err := tx.SecretIndex(ctx, s.ID)
	if err != nil {
		return err
	}
	for _, name := range missing(before.Names, index.Names) {
		if _, err := tx.exec(ctx, "DELETE FROM secret_names WHERE secret_id = $1 AND name = $2", s.ID, name); err != nil {
			return err
		}
	}
	for _, to := range missing(before.Attachments, index.Attachments) {
		if _, err := tx.exec(ctx,
			"DELETE FROM secret_attachments WHERE secret_id = $1 AND workspace_id = $2 AND group_id = $3",
			s.ID, to.WorkspaceID(), to.GroupID()); err != nil {
			return err
		}
		if err := tx.RemoveCredentialReach(ctx, org, s.ID, to); err != nil {
			return err
		}
	}
	return tx.addToSecretIndex(ctx, org, s,
		SecretIndex{missing(index.Names, before.Names), missing(index.Attachments, before.Attachments)})
}

// missing are those of a that b has not.
func missing[T comparable](a, b []T) []T {
	return slices.DeleteFunc(slices.Clone(a), func(v T) bool { return slices.Contains(b, v) })
}

func (tx *Tx) addToSecretIndex(ctx context.Context, org string, s Secret, index SecretIndex) error {
	for _, name := range index.Names {
		if _, err := tx.exec(ctx, "INSERT INTO secret_names (org_id, workspace_id, group_id, name, secret_id) "+
			"VALUES ($1, $2, $3, $4, $5)",
			org, s.Scope.WorkspaceID(), s.Scope.GroupID(), name, s.ID); err != nil {
			return err
		}
	}
	for _, to := range index.Attachments {
		if _, err := tx.exec(ctx, "INSERT INTO secret_attachments (org_id, workspace_id, group_id, secret_id) "+
			"VALUES ($1, $2, $3, $4)",
			org, to.WorkspaceID(), to.GroupID(), s.ID); err != nil {
			return err
		}
		if err := tx.AddCredentialReach(ctx, org, s.ID, to); err != nil {
			return err
		}
	}
	return nil
}

// SecretIndex returns what a secret can be found by.
func (q Queries) SecretIndex(ctx context.Context, id string) (index SecretIndex, err error) {
	index.Names, err = many(ctx, q, func(row scanner) (name string, err error) { return name, row(&name) },
		"SELECT name FROM secret_names WHERE secret_id = $1 ORDER BY name", id)
	if err != nil {
		return index, err
	}
	index.Attachments, err = many(ctx, q, func(row scanner) (bctrl.Scope, error) {
		var workspace, group string
		err := row(&workspace, &group)
		return bctrl.InGroup(workspace, group), err
	}, "SELECT workspace_id, group_id FROM secret_attachments WHERE secret_id = $1 ORDER BY workspace_id, group_id", id)
	return index, err
}

// DeleteSecret removes a secret, its names and its attachments. Its sealed value
// is overwritten: see [Tx.scrub].
func (tx *Tx) DeleteSecret(ctx context.Context, org, id string) error {
	index, err := tx.SecretIndex(ctx, id)
	if err != nil {
		return err
	}
	tx.wroteRecord(deleted(KindSecret, org, id))
	tx.scrub = true
	if err := tx.execChanging(ctx, "DELETE FROM secrets WHERE org_id = $1 AND id = $2", org, id); err != nil {
		return err
	}
	for _, to := range index.Attachments {
		if err := tx.RemoveCredentialReach(ctx, org, id, to); err != nil {
			return err
		}
	}
	return nil
}

// RemoveAttachmentsIn removes what is left in the index of attachments to
// groups of a workspace.
func (tx *Tx) RemoveAttachmentsIn(ctx context.Context, org, workspace string) error {
	_, err := tx.exec(ctx, "DELETE FROM secret_attachments WHERE org_id = $1 AND workspace_id = $2", org, workspace)
	return err
}

// scopeOf is the scope of two columns, in which empty is none. A group of no
// workspace, which nobody writes, is none that anything is visible in.
func scopeOf(workspace, group string) bctrl.Scope {
	switch {
	case workspace == "" && group == "":
		return bctrl.Global()
	case group == "":
		return bctrl.InWorkspace(workspace)
	}
	return bctrl.InGroup(workspace, group)
}
