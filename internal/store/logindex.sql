-- The index of the log on SQLite, in a file of its own: what an event is found by, made of its body. An outcome has a
-- row only where it is an error's code: nobody looks for "ok". It holds nothing that is not in the log, and decides
-- nothing.
CREATE TABLE audit_index (
  seq          INTEGER PRIMARY KEY,
  org_id       TEXT NOT NULL,
  intent       BIGINT,
  workspace_id TEXT,
  runtime_id   TEXT,
  action       TEXT,
  object       TEXT,
  denied       BOOLEAN,
  outcome      TEXT
);
CREATE INDEX audit_index_org ON audit_index (org_id, seq) WHERE intent IS NULL;
CREATE INDEX audit_index_workspace ON audit_index (org_id, workspace_id, seq) WHERE workspace_id IS NOT NULL;
CREATE INDEX audit_index_runtime ON audit_index (org_id, runtime_id, seq) WHERE runtime_id IS NOT NULL;
CREATE INDEX audit_index_action ON audit_index (org_id, action, seq) WHERE action IS NOT NULL;
CREATE INDEX audit_index_object ON audit_index (org_id, object, seq) WHERE object IS NOT NULL;
CREATE INDEX audit_index_denied ON audit_index (org_id, seq) WHERE denied;
CREATE INDEX audit_index_failed ON audit_index (org_id, outcome, (COALESCE(intent, seq))) WHERE outcome IS NOT NULL;

-- Up to where the log is indexed, and the hash of that event: an index of another log, or of one that has since been
-- put back, is known by it.
CREATE TABLE audit_index_place (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  seq  BIGINT NOT NULL,
  hash BLOB NOT NULL
);
