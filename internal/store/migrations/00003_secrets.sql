-- Secrets with scopes. What a secret is lies in its meta, which its seal covers; the columns beside it and the two tables
-- below are indexes of that, and whoever uses a secret compares them with it. An empty workspace or group is none.

-- +goose Up
CREATE TABLE secrets (
  org_id        TEXT NOT NULL REFERENCES organizations (id),
  id            TEXT NOT NULL UNIQUE,
  version       BIGINT NOT NULL,
  workspace_id  TEXT NOT NULL,
  group_id      TEXT NOT NULL,
  name          TEXT NOT NULL,
  provider      TEXT NOT NULL,
  attached_only BOOLEAN NOT NULL,
  meta          TEXT NOT NULL,
  sealed        BLOB NOT NULL,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL
);
CREATE INDEX secrets_id ON secrets (org_id, id);
CREATE INDEX secrets_scope ON secrets (org_id, workspace_id, group_id, id);
CREATE INDEX secrets_provider ON secrets (org_id, provider, workspace_id, group_id, id) WHERE provider <> '';

-- Names and aliases, in one space for each scope.
CREATE TABLE secret_names (
  org_id       TEXT NOT NULL,
  workspace_id TEXT NOT NULL,
  group_id     TEXT NOT NULL,
  name         TEXT NOT NULL,
  secret_id    TEXT NOT NULL REFERENCES secrets (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX secret_names_name ON secret_names (org_id, name, workspace_id, group_id);
CREATE INDEX secret_names_secret ON secret_names (secret_id);

CREATE TABLE secret_attachments (
  org_id       TEXT NOT NULL,
  workspace_id TEXT NOT NULL,
  group_id     TEXT NOT NULL,
  secret_id    TEXT NOT NULL REFERENCES secrets (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX secret_attachments_group ON secret_attachments (org_id, workspace_id, group_id, secret_id);
CREATE INDEX secret_attachments_secret ON secret_attachments (secret_id);

-- +goose Down
DROP TABLE secret_attachments;
DROP TABLE secret_names;
DROP TABLE secrets;
