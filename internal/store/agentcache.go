package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// maxCachedTasks bounds what is kept of a workspace; the oldest gives way.
const maxCachedTasks = 1000

const cachedTaskColumns = "org_id, workspace_id, task, body, updated_at, proof"

// cachedTask is what an agent did for a task.
type cachedTask struct {
	workspace, task, body string
	updated               int64
}

func (c *cachedTask) cells(org string) tuple.Encoding {
	return cellsOf(KindCachedTask).Text(org, c.workspace, c.task, c.body).Number(c.updated)
}

func scanCachedTask(row scanner) (steps []bctrl.TranscriptStep, p provenRow, err error) {
	var c cachedTask
	if err := row(&p.org, &c.workspace, &c.task, &c.body, &c.updated, &p.proof); err != nil {
		return nil, p, err
	}
	p.kind, p.uid, p.cells = KindCachedTask, c.task, c.cells(p.org)
	return steps, p, json.Unmarshal([]byte(c.body), &steps)
}

// CachedTask returns what is kept of a task in a workspace: what went well, an action a step.
func (q Queries) CachedTask(ctx context.Context, org, workspace, task string) ([]bctrl.TranscriptStep, error) {
	return one(ctx, q, checked(q, scanCachedTask), "SELECT "+cachedTaskColumns+
		" FROM agent_cache WHERE org_id = $1 AND workspace_id = $2 AND task = $3", org, workspace, task)
}

// CacheTask keeps what was done for a task, in place of those that were kept. It is an
// error where the workspace is gone.
func (tx *Tx) CacheTask(
	ctx context.Context, org, workspace, task string, steps []bctrl.TranscriptStep, at time.Time,
) error {
	body, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	c := cachedTask{
		workspace: workspace,
		task:      task,
		body:      string(body),
		updated:   millis(at),
	}
	proof, err := tx.prove(KindCachedTask, c.cells(org), false)
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, "INSERT INTO agent_cache ("+cachedTaskColumns+") VALUES ($1, $2, $3, $4, $5, $6) "+
		"ON CONFLICT (workspace_id, task) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at, "+
		"proof = excluded.proof",
		org, workspace, task, c.body, c.updated, proof); err != nil {
		return err
	}
	_, err = tx.exec(ctx, "DELETE FROM agent_cache WHERE workspace_id = $1 AND task IN ("+
		"SELECT task FROM agent_cache WHERE workspace_id = $1 ORDER BY updated_at DESC, task LIMIT 1000000 OFFSET $2)",
		workspace, maxCachedTasks)
	return err
}
