-- The audit log of servers that share a database is a chain for each of them, its lane: see lanes.go. A row of before is of
-- lane 0, as those of a server alone are; one without previous follows the number before its own. A node without a lane is of
-- a version before. None of these joins any more, as one would that lost its lease: it would go on with one chain.

-- +goose Up
ALTER TABLE audit_events ADD COLUMN lane BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_events ADD COLUMN previous BIGINT;
CREATE INDEX audit_events_lane ON audit_events (lane, seq);
ALTER TABLE nodes ADD COLUMN lane BIGINT CHECK (lane >= 0);
ALTER TABLE nodes ALTER COLUMN lane SET DEFAULT -1;
CREATE UNIQUE INDEX nodes_lane ON nodes (lane) WHERE state <> 'ended' AND lane > 0;

-- +goose Down
DROP INDEX nodes_lane;
ALTER TABLE nodes DROP COLUMN lane;
DROP INDEX audit_events_lane;
ALTER TABLE audit_events DROP COLUMN previous;
ALTER TABLE audit_events DROP COLUMN lane;
