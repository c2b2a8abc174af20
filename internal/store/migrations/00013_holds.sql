-- What one node at a time may do, and which does it: a request with an idempotency key, a renewal of a token. What a
-- node holds that does not live any more is anybody's.

-- +goose Up
CREATE TABLE holds (
  name    TEXT PRIMARY KEY,
  node_id TEXT NOT NULL
);

-- +goose Down
DROP TABLE holds;
