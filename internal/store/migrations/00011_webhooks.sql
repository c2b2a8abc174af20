-- Receivers of events, and what became of each event that was meant for one.

-- +goose Up
CREATE TABLE webhooks (
  uid        TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  version    BIGINT NOT NULL,
  meta       TEXT NOT NULL,
  sealed     BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX webhooks_listed ON webhooks (org_id, uid);

CREATE TABLE webhook_deliveries (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES organizations (id),
  webhook_uid TEXT NOT NULL REFERENCES webhooks (uid) ON DELETE CASCADE,
  final       BOOLEAN NOT NULL,
  due         BIGINT NOT NULL,
  body        TEXT NOT NULL,
  proof       BLOB NOT NULL
);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_uid, final, id);
CREATE INDEX webhook_deliveries_next ON webhook_deliveries (webhook_uid, final, due, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (final, due);

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
