-- Credentials of the broker, what may be called with them, and which secrets take the place of theirs. A scope is two
-- columns: both empty are global, the workspace's alone is a workspace. Seals cover every column but the times.

-- +goose Up
CREATE TABLE credentials (
  org_id       TEXT NOT NULL REFERENCES organizations (id),
  uid          TEXT NOT NULL UNIQUE,
  id           TEXT NOT NULL,
  version      BIGINT NOT NULL,
  provider     TEXT NOT NULL,
  workspace_id TEXT NOT NULL,
  group_id     TEXT NOT NULL,
  priority     BIGINT NOT NULL,
  meta         TEXT NOT NULL,
  sealed       BLOB NOT NULL,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX credentials_id ON credentials (org_id, id);
CREATE INDEX credentials_tier ON credentials (org_id, provider, workspace_id, group_id);
CREATE INDEX credentials_workspace ON credentials (org_id, workspace_id) WHERE workspace_id <> '';

-- Which secrets a credential uses: an index of its meta. A secret may be gone while its row here is not.
CREATE TABLE credential_secrets (
  org_id         TEXT NOT NULL,
  credential_uid TEXT NOT NULL REFERENCES credentials (uid) ON DELETE CASCADE,
  field          TEXT NOT NULL,
  secret_id      TEXT NOT NULL
);
CREATE UNIQUE INDEX credential_secrets_field ON credential_secrets (credential_uid, field);
CREATE INDEX credential_secrets_secret ON credential_secrets (org_id, secret_id);

-- Where attachments of its secrets bring a credential: credential_secrets and secret_attachments joined, and found by
-- provider, so that what else is attached to a group costs nothing.
CREATE TABLE credential_reach (
  org_id         TEXT NOT NULL,
  provider       TEXT NOT NULL,
  workspace_id   TEXT NOT NULL,
  group_id       TEXT NOT NULL,
  credential_uid TEXT NOT NULL REFERENCES credentials (uid) ON DELETE CASCADE
);
CREATE UNIQUE INDEX credential_reach_group ON credential_reach (org_id, workspace_id, group_id, provider, credential_uid);
CREATE INDEX credential_reach_credential ON credential_reach (credential_uid);

CREATE TABLE capabilities (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  uid        TEXT NOT NULL UNIQUE,
  id         TEXT NOT NULL,
  version    BIGINT NOT NULL,
  meta       TEXT NOT NULL,
  sealed     BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX capabilities_id ON capabilities (org_id, id);

-- Limits on a capability, built in or own.
CREATE TABLE capability_policies (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  uid        TEXT NOT NULL UNIQUE,
  capability TEXT NOT NULL,
  version    BIGINT NOT NULL,
  meta       TEXT NOT NULL,
  sealed     BLOB NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX capability_policies_capability ON capability_policies (org_id, capability);

-- target is the id of a capability, which has a slash, or of a credential.
CREATE TABLE bindings (
  org_id       TEXT NOT NULL REFERENCES organizations (id),
  uid          TEXT NOT NULL UNIQUE,
  version      BIGINT NOT NULL,
  workspace_id TEXT NOT NULL,
  group_id     TEXT NOT NULL,
  target       TEXT NOT NULL,
  consumer     TEXT NOT NULL,
  field        TEXT NOT NULL,
  secret_id    TEXT NOT NULL,
  sealed       BLOB NOT NULL,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX bindings_target ON bindings (org_id, target, workspace_id, group_id, consumer, field);
CREATE INDEX bindings_uid ON bindings (org_id, uid);
CREATE INDEX bindings_workspace ON bindings (org_id, workspace_id) WHERE workspace_id <> '';

-- +goose Down
DROP TABLE bindings;
DROP TABLE capability_policies;
DROP TABLE capabilities;
DROP TABLE credential_reach;
DROP TABLE credential_secrets;
DROP TABLE credentials;
