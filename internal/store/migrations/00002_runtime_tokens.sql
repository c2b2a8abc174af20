-- A token that was minted. Its text is not stored, and its attenuations share its row.

-- +goose Up
CREATE TABLE runtime_tokens (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  id         TEXT NOT NULL UNIQUE,
  runtime_id TEXT NOT NULL REFERENCES runtimes (id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE INDEX runtime_tokens_runtime ON runtime_tokens (runtime_id);
CREATE INDEX runtime_tokens_expiry ON runtime_tokens (expires_at);

-- +goose Down
DROP TABLE runtime_tokens;
