-- What happened in runtimes and workspaces, for whoever follows it: numbered without a gap in each organization, and
-- kept for a while.

-- +goose Up
CREATE TABLE events (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  seq        BIGINT NOT NULL,
  runtime_id TEXT NOT NULL,
  at         BIGINT NOT NULL,
  body       TEXT NOT NULL,
  proof      BLOB NOT NULL,
  PRIMARY KEY (org_id, seq)
);
CREATE INDEX events_runtime ON events (org_id, runtime_id, seq);
CREATE INDEX events_age ON events (at);

-- +goose Down
DROP TABLE events;
