-- How many offers of a launch that waits for room its node has given up: another node takes the runtime by the newest alone.

-- +goose Up
ALTER TABLE runtime_nodes ADD COLUMN offer BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE runtime_nodes DROP COLUMN offer;
