package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/tuple"
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

const runtimeColumns = `org_id, id, workspace_id, alias, driver, status, reason, live, launch, mounts, launched,
	group_id, profile_uid, created_at, updated_at, proof`

// runtimeRow is a runtime as it is stored.
type runtimeRow struct {
	Runtime
	launch, mounts, launched []byte
}

func scanRuntimeRow(row scanner) (r runtimeRow, p provenRow, err error) {
	var created, updated int64
	err = row(&p.org, &r.ID, &r.WorkspaceID, &r.Alias, &r.Driver, &r.Status, &r.Reason, &r.Live, &r.launch,
		&r.mounts, &r.launched,
		&r.Group, &r.ProfileUID, &created, &updated, &p.proof)
	r.CreatedAt, r.UpdatedAt = fromMillis(created), fromMillis(updated)
	p.kind, p.uid, p.cells, p.ended = KindRuntime, r.ID, r.cells(p.org), !r.Live
	return r, p, err
}

func scanRuntime(row scanner) (Runtime, provenRow, error) {
	r, p, err := scanRuntimeRow(row)
	if err == nil {
		err = errors.Join(json.Unmarshal(r.launch, &r.Launch), json.Unmarshal(r.mounts, &r.Mounts),
			json.Unmarshal(r.launched, &r.Launched))
	}
	return r.Runtime, p, err
}

func (r *runtimeRow) cells(org string) tuple.Encoding {
	return cellsOf(KindRuntime).Text(org, r.ID, r.WorkspaceID, r.Alias, string(r.Driver), string(r.Status), r.Reason).
		Flag(r.Live).
		Bytes(r.launch).Bytes(r.mounts).Bytes(r.launched).Text(r.Group, r.ProfileUID).
		Number(millis(r.CreatedAt), millis(r.UpdatedAt))
}

// Runtime returns the runtime with this id, live or not.
func (q Queries) Runtime(ctx context.Context, org, id string) (Runtime, error) {
	return one(ctx, q, newest(q, scanRuntime),
		"SELECT "+runtimeColumns+newestEvent(KindRuntime, "runtimes")+" FROM runtimes WHERE org_id = $1 AND id = $2", org, id)
}

// RuntimeCeiling returns the version of a runtime's workspace, which changes
// with its mounts, and whether the runtime is live. A caller who knows the runtime
// asks this to learn whether what it knows is still true.
func (q Queries) RuntimeCeiling(ctx context.Context, org, id string) (version int64, live bool, err error) {
	_, err = one(ctx, q, func(row scanner) (none struct{}, err error) {
		var ws Workspace
		var mounts []byte
		var ceiling provenRow
		var declaredBy, ceilingBy []byte
		// A row of one table after that of the other, read at once.
		rt, declared, err := scanRuntimeRow(func(dest ...any) error {
			ceiling, err = scanWorkspaceRow(
				func(more ...any) error { return row(append(append(dest, more...), &declaredBy, &ceilingBy)...) }, &ws, &mounts)
			return err
		})
		if err == nil {
			err = q.checkProof(declared)
		}
		if err == nil {
			err = q.checkProof(ceiling)
		}
		if err == nil {
			err = q.isNewest(declared, declaredBy)
		}
		if err == nil {
			err = q.isNewest(ceiling, ceilingBy)
		}
		version, live = ws.Version, rt.Live
		return none, err
	}, "SELECT "+columnsOfAlias("r", runtimeColumns)+", "+columnsOfAlias("w", workspaceColumns)+newestEvent(KindRuntime,
		"r")+newestEvent(KindWorkspace, "w")+` FROM runtimes r
		JOIN workspaces w ON w.org_id = r.org_id AND w.id = r.workspace_id WHERE r.org_id = $1 AND r.id = $2`, org, id)
	if err != nil {
		return 0, false, err
	}
	return version, live, nil
}

// RuntimeByAlias returns the live runtime with this alias, else the newest
// that had it.
func (q Queries) RuntimeByAlias(ctx context.Context, org, workspace, alias string) (Runtime, error) {
	return one(ctx, q, newest(q, scanRuntime), "SELECT "+
		runtimeColumns+newestEvent(KindRuntime, "runtimes")+` FROM runtimes
		WHERE org_id = $1 AND workspace_id = $2 AND alias = $3 ORDER BY live DESC, id DESC LIMIT 1`, org, workspace, alias)
}

// Runtimes lists the runtimes of a workspace by id, which is by age.
func (q Queries) Runtimes(ctx context.Context, org, workspace, after string, limit int) ([]Runtime, error) {
	return many(ctx, q, checked(q, scanRuntime), "SELECT "+runtimeColumns+` FROM runtimes
		WHERE org_id = $1 AND workspace_id = $2 AND id > $3 ORDER BY id LIMIT $4`, org, workspace, after, limit)
}

// LiveRuntimes lists the live runtimes of a workspace.
func (q Queries) LiveRuntimes(ctx context.Context, org, workspace string) ([]Runtime, error) {
	return many(ctx, q, checked(q, scanRuntime), "SELECT "+runtimeColumns+` FROM runtimes
		WHERE org_id = $1 AND workspace_id = $2 AND live ORDER BY id`, org, workspace)
}

// HasLiveRuntimes reports whether an organization has a live runtime, proven or not.
func (q Queries) HasLiveRuntimes(ctx context.Context, org string) (bool, error) {
	return one(ctx, q, func(row scanner) (has bool, err error) { return has, row(&has) },
		"SELECT EXISTS (SELECT 1 FROM runtimes WHERE org_id = $1 AND live)", org)
}

// InsertRuntime adds a runtime, of the node whose transaction it is; a live one with the
// alias, or with the profile, gives [ErrExists].
func (tx *Tx) InsertRuntime(ctx context.Context, org string, rt Runtime) error {
	r := runtimeRow{Runtime: rt}
	var errs [3]error
	r.launch, errs[0] = json.Marshal(r.Launch)
	r.mounts, errs[1] = json.Marshal(r.Mounts)
	r.launched, errs[2] = json.Marshal(r.Launched)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	proof, err := tx.prove(KindRuntime, r.cells(org), !r.Live)
	if err != nil {
		return err
	}
	tx.wroteRecord(r.record(org))
	_, err = tx.exec(ctx, `INSERT INTO runtimes (org_id, id, workspace_id, alias, driver, status, reason, live,
		launch, mounts, launched,
		group_id, profile_uid, created_at, updated_at, proof)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		org, r.ID, r.WorkspaceID, r.Alias, string(r.Driver), string(r.Status), r.Reason, r.Live, string(r.launch),
		string(r.mounts), string(r.launched),
		r.Group, r.ProfileUID, millis(r.CreatedAt), millis(r.UpdatedAt), proof)
	if err == nil && tx.node != "" {
		_, err = tx.exec(ctx, "INSERT INTO runtime_nodes (org_id, runtime_id, node_id) VALUES ($1, $2, $3)",
			org, r.ID, tx.node)
	}
	return err
}

// SetRuntimeStatus changes a live runtime's status; one that is no longer live
// gives [ErrNotFound], so that the first end of a runtime is the one recorded.
//
// It returns the runtime, for the event that the caller owes.
func (tx *Tx) SetRuntimeStatus(
	ctx context.Context, org, id string, status bctrl.RuntimeStatus, reason string, at time.Time,
) (Runtime, error) {
	r, err := one(ctx, tx.Queries, checked(tx.Queries, scanRuntimeRow), "SELECT "+runtimeColumns+
		" FROM runtimes WHERE org_id = $1 AND id = $2 AND live", org, id)
	if err != nil {
		return Runtime{}, err
	}
	return r.Runtime, tx.setStatus(ctx, org, r, status, reason, at)
}

func (tx *Tx) setStatus(
	ctx context.Context, org string, r runtimeRow, status bctrl.RuntimeStatus, reason string, at time.Time,
) error {
	r.Status, r.Reason, r.UpdatedAt = status, reason, fromMillis(millis(at))
	r.Live = status == bctrl.RuntimeStarting || status == bctrl.RuntimeActive
	proof, err := tx.prove(KindRuntime, r.cells(org), !r.Live)
	if err != nil {
		return err
	}
	tx.wroteRecord(r.record(org))
	return tx.execChanging(ctx, "UPDATE runtimes SET status = $1, reason = $2, live = $3, updated_at = $4, proof = $5 "+
		"WHERE org_id = $6 AND id = $7 AND live",
		string(status), reason, r.Live, millis(at), proof, org, r.ID)
}

// FailLiveRuntimes ends every runtime that is on record as live and that no node has,
// since its server has ended. One that is not proven stays as it is: it is refused where it is used. record is
// called after each.
func (tx *Tx) FailLiveRuntimes(
	ctx context.Context, reason string, at time.Time, record func(org string, r Runtime) error,
) error {
	type owned struct {
		org string
		runtimeRow
	}
	left, err := manyProven(ctx, tx.Queries, checked(tx.Queries, func(row scanner) (owned, provenRow, error) {
		r, p, err := scanRuntimeRow(row)
		return owned{p.org, r}, p, err
	}), "SELECT "+runtimeColumns+" FROM runtimes WHERE live AND "+ofNoNode("runtimes.org_id", "runtimes.id"))
	if err != nil {
		return err
	}
	for _, r := range left {
		if err := tx.setStatus(ctx, r.org, r.runtimeRow, bctrl.RuntimeFailed, reason, at); err != nil {
			return err
		}
		if err := record(r.org, r.Runtime); err != nil {
			return err
		}
	}
	return nil
}
