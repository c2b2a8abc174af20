-- Every row carries its organization, and every query filters by it. Identity is an internal uid, never a name that
-- can be used again. Times are Unix milliseconds. The SQL is the subset that SQLite and PostgreSQL share.

-- +goose Up
-- One with a parent is a subaccount of it. A closed one lets nobody in, and is emptied and then removed.
CREATE TABLE organizations (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  parent_id  TEXT REFERENCES organizations (id),
  closed     BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX organizations_name ON organizations (parent_id, name) WHERE parent_id IS NOT NULL AND NOT closed;

CREATE TABLE api_keys (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  hash       BLOB NOT NULL UNIQUE,
  label      TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT
);

CREATE TABLE deks (
  scope      TEXT PRIMARY KEY,
  id         TEXT NOT NULL UNIQUE,
  kek_id     TEXT NOT NULL,
  wrapped    BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE sealed_values (
  name   TEXT PRIMARY KEY,
  sealed BLOB NOT NULL
);

CREATE TABLE vault_entries (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  key        TEXT NOT NULL,
  folded     TEXT NOT NULL,
  uid        TEXT NOT NULL UNIQUE,
  version    BIGINT NOT NULL,
  has_totp   BOOLEAN NOT NULL,
  meta       TEXT NOT NULL,
  sealed     BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX vault_entries_key ON vault_entries (org_id, key);
CREATE UNIQUE INDEX vault_entries_folded ON vault_entries (org_id, folded);

CREATE TABLE ai_credentials (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  id         TEXT NOT NULL,
  uid        TEXT NOT NULL UNIQUE,
  version    BIGINT NOT NULL,
  meta       TEXT NOT NULL,
  sealed     BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX ai_credentials_id ON ai_credentials (org_id, id);

CREATE TABLE workspaces (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  id         TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  version    BIGINT NOT NULL,
  mounts     TEXT NOT NULL,
  namespace  TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX workspaces_name ON workspaces (org_id, name);
CREATE UNIQUE INDEX workspaces_namespace ON workspaces (org_id, namespace) WHERE namespace <> '';

-- What a workspace's ai mount means: the credential that had the id when it was mounted.
CREATE TABLE ai_mounts (
  org_id         TEXT NOT NULL REFERENCES organizations (id),
  workspace_id   TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  credential_id  TEXT NOT NULL,
  credential_uid TEXT NOT NULL
);
CREATE UNIQUE INDEX ai_mounts_id ON ai_mounts (workspace_id, credential_id);
CREATE INDEX ai_mounts_uid ON ai_mounts (org_id, credential_uid);

CREATE TABLE browser_profiles (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  id         TEXT NOT NULL,
  uid        TEXT NOT NULL UNIQUE,
  label      TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX browser_profiles_id ON browser_profiles (org_id, id);

CREATE TABLE runtimes (
  org_id       TEXT NOT NULL REFERENCES organizations (id),
  id           TEXT NOT NULL UNIQUE,
  workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  alias        TEXT NOT NULL,
  driver       TEXT NOT NULL,
  status       TEXT NOT NULL,
  reason       TEXT NOT NULL,
  live         BOOLEAN NOT NULL,
  launch       TEXT NOT NULL,
  mounts       TEXT NOT NULL,
  launched     TEXT NOT NULL,
  group_id     TEXT NOT NULL,
  profile_uid  TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX runtimes_alias ON runtimes (workspace_id, alias) WHERE live;
CREATE UNIQUE INDEX runtimes_profile ON runtimes (org_id, profile_uid) WHERE live AND profile_uid <> '';
CREATE INDEX runtimes_workspace ON runtimes (org_id, workspace_id, id);

CREATE TABLE operations (
  org_id       TEXT NOT NULL REFERENCES organizations (id),
  id           TEXT NOT NULL UNIQUE,
  workspace_id TEXT NOT NULL,
  runtime_id   TEXT NOT NULL,
  final        BOOLEAN NOT NULL,
  body         TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL
);
CREATE INDEX operations_unfinished ON operations (org_id, workspace_id, id) WHERE NOT final;

-- A row is one version of a file: an overwrite replaces it by one with another id. folder is the path up to and
-- including its last slash, or empty.
CREATE TABLE objects (
  org_id       TEXT NOT NULL REFERENCES organizations (id),
  id           TEXT NOT NULL UNIQUE,
  namespace    TEXT NOT NULL,
  path         TEXT NOT NULL,
  folder       TEXT NOT NULL,
  blob_id      TEXT NOT NULL UNIQUE,
  sha256       TEXT NOT NULL,
  size_bytes   BIGINT NOT NULL,
  content_type TEXT NOT NULL,
  filename     TEXT NOT NULL,
  source       TEXT NOT NULL,
  runtime_id   TEXT NOT NULL,
  driver       TEXT NOT NULL,
  target       TEXT NOT NULL,
  created_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX objects_path ON objects (org_id, namespace, path);
CREATE INDEX objects_folder ON objects (org_id, namespace, folder, path);
CREATE INDEX objects_runtime ON objects (org_id, runtime_id, namespace, path) WHERE runtime_id <> '';

-- What lies below each folder at any depth, kept up to date with every write, so that no listing counts. The folder
-- with the empty path is the namespace itself and has no parent.
CREATE TABLE folders (
  org_id      TEXT NOT NULL REFERENCES organizations (id),
  namespace   TEXT NOT NULL,
  path        TEXT NOT NULL,
  parent      TEXT,
  file_count  BIGINT NOT NULL,
  total_bytes BIGINT NOT NULL
);
CREATE UNIQUE INDEX folders_path ON folders (org_id, namespace, path);
CREATE INDEX folders_parent ON folders (org_id, namespace, parent, path);

CREATE TABLE idempotency (
  org_id     TEXT NOT NULL,
  key        TEXT NOT NULL,
  status     BIGINT NOT NULL,
  sealed     BLOB NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX idempotency_key ON idempotency (org_id, key);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- The log: rows are added and never changed, and hash chains each to all before it. The columns after it only index
-- the bodies, and verifying proves them: empty ones are NULL, outcome too where it is ok, and an outcome's row has but
-- the number of its intent. INTEGER, not BIGINT, makes seq SQLite's row id.
CREATE TABLE audit_events (
  seq          INTEGER PRIMARY KEY,
  at           BIGINT NOT NULL,
  org_id       TEXT NOT NULL,
  body         BLOB NOT NULL,
  hash         BLOB NOT NULL,
  intent       BIGINT,
  workspace_id TEXT,
  runtime_id   TEXT,
  action       TEXT,
  object       TEXT,
  denied       BOOLEAN,
  outcome      TEXT,
  record       TEXT
);
CREATE UNIQUE INDEX audit_events_intent ON audit_events (intent) WHERE intent IS NOT NULL;
CREATE INDEX audit_events_org ON audit_events (org_id, seq) WHERE intent IS NULL;
CREATE INDEX audit_events_workspace ON audit_events (org_id, workspace_id, seq) WHERE workspace_id IS NOT NULL;
CREATE INDEX audit_events_runtime ON audit_events (org_id, runtime_id, seq) WHERE runtime_id IS NOT NULL;
CREATE INDEX audit_events_action ON audit_events (org_id, action, seq) WHERE action IS NOT NULL;
CREATE INDEX audit_events_object ON audit_events (org_id, object, seq) WHERE object IS NOT NULL;
CREATE INDEX audit_events_denied ON audit_events (org_id, seq) WHERE denied;
CREATE INDEX audit_events_failed ON audit_events (org_id, outcome, (COALESCE(intent, seq))) WHERE outcome IS NOT NULL;
CREATE INDEX audit_events_record ON audit_events (record, seq) WHERE record IS NOT NULL;

-- Where the chain stood, signed with a key that is not in the database.
CREATE TABLE audit_checkpoints (
  seq       BIGINT PRIMARY KEY,
  previous  BIGINT NOT NULL,
  head      BLOB NOT NULL,
  at        BIGINT NOT NULL,
  signature BLOB NOT NULL
);

-- +goose Down
DROP TABLE audit_checkpoints;
DROP TABLE audit_events;
DROP TABLE idempotency;
DROP TABLE folders;
DROP TABLE objects;
DROP TABLE operations;
DROP TABLE runtimes;
DROP TABLE browser_profiles;
DROP TABLE ai_mounts;
DROP TABLE workspaces;
DROP TABLE ai_credentials;
DROP TABLE vault_entries;
DROP TABLE sealed_values;
DROP TABLE deks;
DROP TABLE api_keys;
DROP TABLE organizations;
