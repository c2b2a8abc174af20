package store

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

const operationColumns = "org_id, id, workspace_id, runtime_id, final, body, created_at, updated_at, proof"

// operationRow is an operation as it is stored: what it is lies in its body, and
// the columns beside it are indexes of that.
type operationRow struct {
	id, workspace, runtime string
	final                  bool
	body                   []byte
	created, updated       int64
}

func rowOfOperation(op bctrl.OperationInfo) (r operationRow, err error) {
	r = operationRow{
		id:        op.ID,
		workspace: op.WorkspaceID,
		runtime:   op.RuntimeID,
		final:     op.Status.Final(),
		created:   millis(op.CreatedAt),
		updated:   millis(op.UpdatedAt),
	}
	r.body, err = json.Marshal(op)
	return r, err
}

func (r *operationRow) cells(org string) tuple.Encoding {
	return cellsOf(KindOperation).Text(org, r.id, r.workspace, r.runtime).Flag(r.final).Bytes(r.body).
		Number(r.created, r.updated)
}

func scanOperation(row scanner) (op bctrl.OperationInfo, p provenRow, err error) {
	var r operationRow
	if err := row(&p.org, &r.id, &r.workspace, &r.runtime, &r.final, &r.body, &r.created, &r.updated,
		&p.proof); err != nil {
		return op, p, err
	}
	p.kind, p.uid, p.cells, p.ended = KindOperation, r.id, r.cells(p.org), r.final
	return op, p, json.Unmarshal(r.body, &op)
}

// Operation returns the operation with this id.
func (q Queries) Operation(ctx context.Context, org, id string) (bctrl.OperationInfo, error) {
	return one(ctx, q, checked(q, scanOperation), "SELECT "+operationColumns+
		" FROM operations WHERE org_id = $1 AND id = $2", org, id)
}

// OperationRange selects operations of one organization, the newest first.
type OperationRange struct {
	Org string
	// Workspace and Runtime select theirs; empty is any.
	Workspace, Runtime string
	// Before is the id that comes before the first; empty begins with the newest.
	Before string
	Limit  int
}

// beyondIDs is behind every id.
const beyondIDs = "g"

// Operations lists operations.
func (q Queries) Operations(ctx context.Context, r OperationRange) ([]bctrl.OperationInfo, error) {
	query := "SELECT " + operationColumns + " FROM operations WHERE org_id = $1 AND id < $2"
	args := []any{r.Org, cmp.Or(r.Before, beyondIDs), r.Limit}
	switch {
	case r.Runtime != "" && r.Workspace != "":
		query += " AND runtime_id = $4 AND workspace_id = $5"
		args = append(args, r.Runtime, r.Workspace)
	case r.Runtime != "":
		query += " AND runtime_id = $4"
		args = append(args, r.Runtime)
	case r.Workspace != "":
		query += " AND workspace_id = $4"
		args = append(args, r.Workspace)
	}
	return many(ctx, q, checked(q, scanOperation), query+" ORDER BY id DESC LIMIT $3", args...)
}

// UnfinishedOperations lists what still runs in a workspace.
func (q Queries) UnfinishedOperations(ctx context.Context, org, workspace string) ([]bctrl.OperationInfo, error) {
	return many(ctx, q, checked(q, scanOperation),
		"SELECT "+operationColumns+" FROM operations WHERE org_id = $1 AND workspace_id = $2 AND NOT final "+
			"ORDER BY id", org, workspace)
}

// InsertOperation adds an operation.
func (tx *Tx) InsertOperation(ctx context.Context, org string, op bctrl.OperationInfo) error {
	r, err := rowOfOperation(op)
	if err != nil {
		return err
	}
	proof, err := tx.prove(KindOperation, r.cells(org), r.final)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO operations (org_id, id, workspace_id, runtime_id, final, body,
		created_at, updated_at, proof)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		org, r.id, r.workspace, r.runtime, r.final, string(r.body), r.created, r.updated, proof)
	return err
}

// UpdateOperation replaces what is known of an operation that has not ended;
// one that has gives [ErrNotFound].
func (tx *Tx) UpdateOperation(ctx context.Context, org string, op bctrl.OperationInfo) error {
	r, err := rowOfOperation(op)
	if err != nil {
		return err
	}
	proof, err := tx.prove(KindOperation, r.cells(org), r.final)
	if err != nil {
		return err
	}
	return tx.execChanging(ctx,
		"UPDATE operations SET final = $1, body = $2, updated_at = $3, proof = $4 WHERE org_id = $5 "+
			"AND id = $6 AND NOT final",
		r.final, string(r.body), r.updated, proof, org, r.id)
}

// EndOperations gives every operation that has not ended, of a runtime that no node has,
// its end, which end fills in. One that is not proven stays as it is.
func (tx *Tx) EndOperations(
	ctx context.Context, at time.Time, end func(org string, op *bctrl.OperationInfo) error,
) error {
	type owned struct {
		org string
		op  bctrl.OperationInfo
	}
	left, err := manyProven(ctx, tx.Queries, checked(tx.Queries, func(row scanner) (owned, provenRow, error) {
		op, p, err := scanOperation(row)
		return owned{p.org, op}, p, err
	}), "SELECT "+operationColumns+" FROM operations WHERE NOT final AND "+
		ofNoNode("operations.org_id", "operations.runtime_id"))
	if err != nil {
		return err
	}
	for _, o := range left {
		if err := end(o.org, &o.op); err != nil {
			return err
		}
		o.op.UpdatedAt = at
		if err := tx.UpdateOperation(ctx, o.org, o.op); err != nil {
			return err
		}
	}
	return nil
}
