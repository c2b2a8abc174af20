-- Which nodes are locked, so that an operator sees which of them are still to be unlocked.

-- +goose Up
ALTER TABLE nodes ADD COLUMN locked BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE nodes DROP COLUMN locked;
