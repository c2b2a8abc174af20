package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// Workspace is a workspace with its mounts.
type Workspace struct {
	ID, Name string
	Version  int64
	// Mounts name the namespace of their storage always: the workspace's own
	// is filled in.
	Mounts bctrl.Mounts
	// Namespace is the workspace's own, which it keeps when it is renamed;
	// empty until it had one.
	Namespace            string
	CreatedAt, UpdatedAt time.Time
}

const workspaceColumns = "org_id, id, name, version, mounts, namespace, created_at, updated_at, proof"

func scanWorkspace(row scanner) (w Workspace, p provenRow, err error) {
	var mounts []byte
	if p, err = scanWorkspaceRow(row, &w, &mounts); err != nil {
		return w, p, err
	}
	return w, p, json.Unmarshal(mounts, &w.Mounts)
}

// scanWorkspaceRow leaves the mounts as they are stored.
func scanWorkspaceRow(row scanner, w *Workspace, mounts *[]byte) (p provenRow, err error) {
	var created, updated int64
	err = row(&p.org, &w.ID, &w.Name, &w.Version, mounts, &w.Namespace, &created, &updated, &p.proof)
	w.CreatedAt, w.UpdatedAt = fromMillis(created), fromMillis(updated)
	p.kind, p.uid, p.cells = KindWorkspace, w.ID, w.cells(p.org, *mounts)
	return p, err
}

func (w Workspace) cells(org string, mounts []byte) tuple.Encoding {
	return cellsOf(KindWorkspace).Text(org, w.ID, w.Name, w.Namespace).Number(w.Version).Bytes(mounts).
		Number(millis(w.CreatedAt), millis(w.UpdatedAt))
}

// Workspace returns the workspace with this id.
func (q Queries) Workspace(ctx context.Context, org, id string) (Workspace, error) {
	return one(ctx, q, newest(q, scanWorkspace),
		"SELECT "+workspaceColumns+newestEvent(KindWorkspace, "workspaces")+
			" FROM workspaces WHERE org_id = $1 AND id = $2", org, id)
}

// WorkspaceByName returns the workspace with this name.
func (q Queries) WorkspaceByName(ctx context.Context, org, name string) (Workspace, error) {
	return one(ctx, q, newest(q, scanWorkspace),
		"SELECT "+workspaceColumns+newestEvent(KindWorkspace, "workspaces")+
			" FROM workspaces WHERE org_id = $1 AND name = $2", org, name)
}

// Workspaces lists workspaces by name, after the name given.
func (q Queries) Workspaces(ctx context.Context, org, after string, limit int) ([]Workspace, error) {
	return many(ctx, q, checked(q, scanWorkspace), "SELECT "+workspaceColumns+
		" FROM workspaces WHERE org_id = $1 AND name > $2 ORDER BY name LIMIT $3", org, after, limit)
}

// InsertWorkspace adds a workspace; a name in use, or the own namespace of
// another, gives [ErrExists].
func (tx *Tx) InsertWorkspace(ctx context.Context, org string, w Workspace) error {
	mounts, err := json.Marshal(w.Mounts)
	if err != nil {
		return err
	}
	proof, err := tx.prove(KindWorkspace, w.cells(org, mounts), false)
	if err != nil {
		return err
	}
	tx.wroteRecord(w.record(org, mounts))
	_, err = tx.exec(ctx, `INSERT INTO workspaces
		(org_id, id, name, version, mounts, namespace, created_at, updated_at, proof)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		org, w.ID, w.Name, w.Version, string(mounts), w.Namespace, millis(w.CreatedAt), millis(w.UpdatedAt), proof)
	return err
}

// UpdateWorkspace replaces name, mounts, own namespace and version; a name in
// use gives [ErrExists].
func (tx *Tx) UpdateWorkspace(ctx context.Context, org string, w Workspace) error {
	mounts, err := json.Marshal(w.Mounts)
	if err != nil {
		return err
	}
	proof, err := tx.prove(KindWorkspace, w.cells(org, mounts), false)
	if err != nil {
		return err
	}
	tx.wroteRecord(w.record(org, mounts))
	return tx.execChanging(ctx, `UPDATE workspaces
		SET name = $1, version = $2, mounts = $3, namespace = $4, updated_at = $5, proof = $6
		WHERE org_id = $7 AND id = $8`,
		w.Name, w.Version, string(mounts), w.Namespace, millis(w.UpdatedAt), proof, org, w.ID)
}

// DeleteWorkspace removes a workspace with its runtimes' rows and pins.
func (tx *Tx) DeleteWorkspace(ctx context.Context, org, id string) error {
	tx.wroteRecord(deleted(KindWorkspace, org, id))
	return tx.execChanging(ctx, "DELETE FROM workspaces WHERE org_id = $1 AND id = $2", org, id)
}

// MountPin says which credential an id in a workspace's ai mount meant when it
// was mounted.
type MountPin struct{ CredentialID, CredentialUID string }

// SetMountPins replaces the pins of a workspace.
func (tx *Tx) SetMountPins(ctx context.Context, org, workspace string, pins []MountPin) error {
	if _, err := tx.exec(ctx, "DELETE FROM ai_mounts WHERE org_id = $1 AND workspace_id = $2", org,
		workspace); err != nil {
		return err
	}
	for _, p := range pins {
		proof, err := tx.prove(KindMountPin, p.cells(org, workspace), false)
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, "INSERT INTO ai_mounts (org_id, workspace_id, credential_id, credential_uid, proof) "+
			"VALUES ($1, $2, $3, $4, $5)",
			org, workspace, p.CredentialID, p.CredentialUID, proof); err != nil {
			return err
		}
	}
	return nil
}

const mountPinColumns = "org_id, workspace_id, credential_id, credential_uid, proof"

func scanMountPin(row scanner) (m MountPin, p provenRow, err error) {
	var workspace string
	err = row(&p.org, &workspace, &m.CredentialID, &m.CredentialUID, &p.proof)
	p.kind, p.uid, p.cells = KindMountPin, workspace, m.cells(p.org, workspace)
	return m, p, err
}

func (m MountPin) cells(org, workspace string) tuple.Encoding {
	return cellsOf(KindMountPin).Text(org, workspace, m.CredentialID, m.CredentialUID)
}

// MountPins returns the pins of a workspace, by credential id.
func (q Queries) MountPins(ctx context.Context, org, workspace string) ([]MountPin, error) {
	return many(ctx, q, checked(q, scanMountPin),
		"SELECT "+mountPinColumns+" FROM ai_mounts WHERE org_id = $1 AND workspace_id = $2 "+
			"ORDER BY credential_id", org, workspace)
}

// WorkspacesMounting names the workspaces that mount the credential.
func (q Queries) WorkspacesMounting(ctx context.Context, org, credentialUID string) ([]string, error) {
	return many(ctx, q, func(row scanner) (name string, err error) { return name, row(&name) },
		`SELECT w.name FROM ai_mounts m JOIN workspaces w ON w.id = m.workspace_id
		WHERE m.org_id = $1 AND m.credential_uid = $2 ORDER BY w.name`, org, credentialUID)
}

// NamespaceOwner returns the id of the workspace whose own namespace this is,
// or "".
func (q Queries) NamespaceOwner(ctx context.Context, org, namespace string) (string, error) {
	id, err := one(ctx, q, func(row scanner) (id string, err error) { return id, row(&id) },
		"SELECT id FROM workspaces WHERE org_id = $1 AND namespace = $2", org, namespace)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return id, err
}
