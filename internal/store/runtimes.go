package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
)

// Runtime is a browser in a workspace.
type Runtime struct {
	ID, WorkspaceID, Alias string
	Driver                 bctrl.Driver
	Status                 bctrl.RuntimeStatus
	// Reason says why it stopped or failed.
	Reason string
	// Live runtimes hold their alias and their profile.
	Live   bool
	Launch bctrl.Launch
	// Mounts is what the runtime declared, where absent means inherited.
	Mounts bctrl.Mounts
	// Launched is what workspace and runtime permitted together at launch.
	Launched bctrl.Mounts
	Group    string
	// ProfileUID is the profile in use, or empty.
	ProfileUID           string
	CreatedAt, UpdatedAt time.Time
}

const runtimeColumns = "id, workspace_id, alias, driver, status, reason, live, launch, mounts, launched, group_id, profile_uid, created_at, updated_at"

func scanRuntime(row scanner) (r Runtime, err error) {
	var launch, mounts, launched []byte
	var created, updated int64
	if err := row(&r.ID, &r.WorkspaceID, &r.Alias, &r.Driver, &r.Status, &r.Reason, &r.Live, &launch, &mounts, &launched,
		&r.Group, &r.ProfileUID, &created, &updated); err != nil {
		return r, err
	}
	r.CreatedAt, r.UpdatedAt = fromMillis(created), fromMillis(updated)
	if err := json.Unmarshal(launch, &r.Launch); err != nil {
		return r, err
	}
	return r, errors.Join(json.Unmarshal(mounts, &r.Mounts), json.Unmarshal(launched, &r.Launched))
}

// Runtime returns the runtime with this id, live or not.
func (q Queries) Runtime(ctx context.Context, org, id string) (Runtime, error) {
	return one(ctx, q, scanRuntime, "SELECT "+runtimeColumns+" FROM runtimes WHERE org_id = $1 AND id = $2", org, id)
}

// RuntimeCeiling returns the version of a runtime's workspace, which changes
// with its mounts, and whether the runtime is live. It is for who knows the
// rest and asks whether it still holds.
func (q Queries) RuntimeCeiling(ctx context.Context, org, id string) (version int64, live bool, err error) {
	_, err = one(ctx, q, func(row scanner) (none struct{}, err error) { return none, row(&version, &live) },
		`SELECT w.version, r.live FROM runtimes r JOIN workspaces w ON w.org_id = r.org_id AND w.id = r.workspace_id
		WHERE r.org_id = $1 AND r.id = $2`, org, id)
	return version, live, err
}

// RuntimeByAlias returns the live runtime with this alias, else the newest
// that had it.
func (q Queries) RuntimeByAlias(ctx context.Context, org, workspace, alias string) (Runtime, error) {
	return one(ctx, q, scanRuntime, "SELECT "+runtimeColumns+` FROM runtimes
		WHERE org_id = $1 AND workspace_id = $2 AND alias = $3 ORDER BY live DESC, id DESC LIMIT 1`, org, workspace, alias)
}

// Runtimes lists the runtimes of a workspace by id, which is by age.
func (q Queries) Runtimes(ctx context.Context, org, workspace, after string, limit int) ([]Runtime, error) {
	return many(ctx, q, scanRuntime, "SELECT "+runtimeColumns+` FROM runtimes
		WHERE org_id = $1 AND workspace_id = $2 AND id > $3 ORDER BY id LIMIT $4`, org, workspace, after, limit)
}

// LiveRuntimes lists the live runtimes of a workspace.
func (q Queries) LiveRuntimes(ctx context.Context, org, workspace string) ([]Runtime, error) {
	return many(ctx, q, scanRuntime, "SELECT "+runtimeColumns+` FROM runtimes
		WHERE org_id = $1 AND workspace_id = $2 AND live ORDER BY id`, org, workspace)
}

// InsertRuntime adds a runtime; a live one with the alias, or with the
// profile, gives [ErrExists].
func (tx *Tx) InsertRuntime(ctx context.Context, org string, r Runtime) error {
	launch, err := json.Marshal(r.Launch)
	if err != nil {
		return err
	}
	mounts, err := json.Marshal(r.Mounts)
	if err != nil {
		return err
	}
	launched, err := json.Marshal(r.Launched)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO runtimes (org_id, id, workspace_id, alias, driver, status, reason, live, launch, mounts, launched,
		group_id, profile_uid, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		org, r.ID, r.WorkspaceID, r.Alias, string(r.Driver), string(r.Status), r.Reason, r.Live, string(launch), string(mounts), string(launched),
		r.Group, r.ProfileUID, millis(r.CreatedAt), millis(r.UpdatedAt))
	return err
}

// SetRuntimeStatus changes a live runtime's status; one that is no longer live
// gives [ErrNotFound], so that the first end of a runtime is the one recorded.
func (tx *Tx) SetRuntimeStatus(ctx context.Context, org, id string, status bctrl.RuntimeStatus, reason string, at time.Time) error {
	live := status == bctrl.RuntimeStarting || status == bctrl.RuntimeActive
	return tx.must(ctx, "UPDATE runtimes SET status = $1, reason = $2, live = $3, updated_at = $4 WHERE org_id = $5 AND id = $6 AND live",
		string(status), reason, live, millis(at), org, id)
}

// FailLiveRuntimes ends every runtime that a server before this one left live.
func (tx *Tx) FailLiveRuntimes(ctx context.Context, reason string, at time.Time) error {
	_, err := tx.exec(ctx, "UPDATE runtimes SET status = $1, reason = $2, live = $3, updated_at = $4 WHERE live",
		string(bctrl.RuntimeFailed), reason, false, millis(at))
	return err
}
