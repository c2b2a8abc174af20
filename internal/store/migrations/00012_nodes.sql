-- The servers that share the database, which of them has which runtime, and the number of the newest change of rules.
-- Times are by the database's clock, in milliseconds.

-- +goose Up
CREATE TABLE nodes (
  id          TEXT PRIMARY KEY,
  number      BIGINT NOT NULL UNIQUE,
  name        TEXT NOT NULL,
  address     TEXT NOT NULL,
  version     TEXT NOT NULL,
  state       TEXT NOT NULL,
  runtimes    BIGINT NOT NULL,
  room        BIGINT NOT NULL,
  heard       BIGINT NOT NULL,
  started_at  BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  log_from    BIGINT NOT NULL,
  settled     BOOLEAN NOT NULL
);

CREATE TABLE runtime_nodes (
  org_id     TEXT NOT NULL,
  runtime_id TEXT NOT NULL,
  node_id    TEXT NOT NULL,
  PRIMARY KEY (org_id, runtime_id)
);
CREATE INDEX runtime_nodes_of ON runtime_nodes (node_id);

CREATE TABLE rule_changes (
  id     BIGINT PRIMARY KEY,
  number BIGINT NOT NULL
);

-- +goose Down
DROP TABLE rule_changes;
DROP TABLE runtime_nodes;
DROP TABLE nodes;
