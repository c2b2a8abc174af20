-- What agents did in a workspace when it went well, to do it again without a model. It holds no value of the vault.

-- +goose Up
CREATE TABLE agent_cache (
  org_id       TEXT NOT NULL REFERENCES organizations (id),
  workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  task         TEXT NOT NULL,
  body         TEXT NOT NULL,
  updated_at   BIGINT NOT NULL,
  proof        BLOB NOT NULL,
  UNIQUE (workspace_id, task)
);
CREATE INDEX agent_cache_age ON agent_cache (workspace_id, updated_at);

-- +goose Down
DROP TABLE agent_cache;
