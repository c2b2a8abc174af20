-- How many calls of a capability began lately, for limits of calls a minute. No record: it says nothing that lasts.

-- +goose Up
CREATE TABLE invoke_rates (
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  capability TEXT NOT NULL,
  calls      TEXT NOT NULL,
  UNIQUE (org_id, capability)
);

-- +goose Down
DROP TABLE invoke_rates;
