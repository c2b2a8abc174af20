-- On SQLite the log is found by an index in a file of its own, which follows it: see logindex.go. So a transaction writes
-- of the log what decisions and the chain need, and no more. PostgreSQL keeps the columns and their indexes.

-- +goose Up
ALTER TABLE audit_events RENAME TO audit_events_before;
CREATE TABLE audit_events (
  seq    INTEGER PRIMARY KEY,
  at     BIGINT NOT NULL,
  org_id TEXT NOT NULL,
  body   BLOB NOT NULL,
  hash   BLOB NOT NULL,
  intent BIGINT,
  record TEXT
);
INSERT INTO audit_events SELECT seq, at, org_id, body, hash, intent, record FROM audit_events_before;
DROP TABLE audit_events_before;
CREATE UNIQUE INDEX audit_events_intent ON audit_events (intent) WHERE intent IS NOT NULL;
CREATE INDEX audit_events_record ON audit_events (record, seq) WHERE record IS NOT NULL;

-- +goose Down
ALTER TABLE audit_events RENAME TO audit_events_before;
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
INSERT INTO audit_events SELECT seq, at, org_id, body, hash, intent,
  CASE WHEN intent IS NULL THEN NULLIF(body->>'workspace', '') END,
  CASE WHEN intent IS NULL THEN NULLIF(body->>'runtime', '') END,
  CASE WHEN intent IS NULL THEN NULLIF(body->>'action', '') END,
  CASE WHEN intent IS NULL THEN NULLIF(body->>'object', '') END,
  CASE WHEN intent IS NULL THEN COALESCE(body->>'decision' = 'deny', FALSE) END,
  NULLIF(NULLIF(body->>'outcome', 'ok'), ''), record FROM audit_events_before;
DROP TABLE audit_events_before;
CREATE UNIQUE INDEX audit_events_intent ON audit_events (intent) WHERE intent IS NOT NULL;
CREATE INDEX audit_events_org ON audit_events (org_id, seq) WHERE intent IS NULL;
CREATE INDEX audit_events_workspace ON audit_events (org_id, workspace_id, seq) WHERE workspace_id IS NOT NULL;
CREATE INDEX audit_events_runtime ON audit_events (org_id, runtime_id, seq) WHERE runtime_id IS NOT NULL;
CREATE INDEX audit_events_action ON audit_events (org_id, action, seq) WHERE action IS NOT NULL;
CREATE INDEX audit_events_object ON audit_events (org_id, object, seq) WHERE object IS NOT NULL;
CREATE INDEX audit_events_denied ON audit_events (org_id, seq) WHERE denied;
CREATE INDEX audit_events_failed ON audit_events (org_id, outcome, (COALESCE(intent, seq))) WHERE outcome IS NOT NULL;
CREATE INDEX audit_events_record ON audit_events (record, seq) WHERE record IS NOT NULL;
