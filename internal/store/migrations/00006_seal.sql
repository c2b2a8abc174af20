-- The key encryption keys that the data was ever sealed under, of which the newest is in use. None of a key is in
-- here. What a passphrase's key is made with is in derivation. Each but the first took over from the one before it at
-- an event of the log, and signs that: seq and head say which, and the log up to there may carry the former's signature.
-- Data keys get a version, since a rotation wraps them anew.

-- +goose Up
ALTER TABLE deks ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

CREATE TABLE seal_keys (
  n          BIGINT PRIMARY KEY,
  id         TEXT NOT NULL,
  public     BLOB NOT NULL,
  source     TEXT NOT NULL,
  derivation BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  seq        BIGINT NOT NULL,
  head       BLOB NOT NULL,
  signature  BLOB NOT NULL
);

-- +goose Down
DROP TABLE seal_keys;
ALTER TABLE deks DROP COLUMN version;
