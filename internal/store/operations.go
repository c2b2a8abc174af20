package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bctrl-go/bctrl"
)

func scanOperation(row scanner) (op bctrl.OperationInfo, err error) {
	var body []byte
	if err := row(&body); err != nil {
		return op, err
	}
	return op, json.Unmarshal(body, &op)
}

// Operation returns the operation with this id.
func (q Queries) Operation(ctx context.Context, org, id string) (bctrl.OperationInfo, error) {
	return one(ctx, q, scanOperation, "SELECT body FROM operations WHERE org_id = $1 AND id = $2", org, id)
}

// UnfinishedOperations lists what still runs in a workspace.
func (q Queries) UnfinishedOperations(ctx context.Context, org, workspace string) ([]bctrl.OperationInfo, error) {
	return many(ctx, q, scanOperation,
		"SELECT body FROM operations WHERE org_id = $1 AND workspace_id = $2 AND NOT final ORDER BY id", org, workspace)
}

// InsertOperation adds an operation.
func (tx *Tx) InsertOperation(ctx context.Context, org string, op bctrl.OperationInfo) error {
	body, err := json.Marshal(op)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO operations (org_id, id, workspace_id, runtime_id, final, body, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		org, op.ID, op.WorkspaceID, op.RuntimeID, op.Status.Final(), string(body), millis(op.CreatedAt), millis(op.UpdatedAt))
	return err
}

// UpdateOperation replaces what is known of an operation that has not ended;
// one that has gives [ErrNotFound].
func (tx *Tx) UpdateOperation(ctx context.Context, org string, op bctrl.OperationInfo) error {
	body, err := json.Marshal(op)
	if err != nil {
		return err
	}
	return tx.must(ctx, "UPDATE operations SET final = $1, body = $2, updated_at = $3 WHERE org_id = $4 AND id = $5 AND NOT final",
		op.Status.Final(), string(body), millis(op.UpdatedAt), org, op.ID)
}

// EndOperations gives every operation that a server before this one left
// unfinished its end, which end fills in.
func (tx *Tx) EndOperations(ctx context.Context, at time.Time, end func(*bctrl.OperationInfo)) error {
	type owned struct {
		org string
		op  bctrl.OperationInfo
	}
	left, err := many(ctx, tx.Queries, func(row scanner) (o owned, err error) {
		var body []byte
		if err := row(&o.org, &body); err != nil {
			return o, err
		}
		return o, json.Unmarshal(body, &o.op)
	}, "SELECT org_id, body FROM operations WHERE NOT final")
	if err != nil {
		return err
	}
	for _, o := range left {
		end(&o.op)
		o.op.UpdatedAt = at
		if err := tx.UpdateOperation(ctx, o.org, o.op); err != nil {
			return err
		}
	}
	return nil
}
