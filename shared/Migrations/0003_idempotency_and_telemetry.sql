-- Who holds a claim: a process that was taken for dead must not store its answer over its successor's. Rows of older builds have none.
ALTER TABLE platform.idempotency_keys ADD COLUMN claim uuid;

-- Telemetry is forgotten by age, oldest first.
CREATE INDEX telemetry_created_at ON marketplace.telemetry (created_at);

-- Bodies are encrypted from here on.
DELETE FROM platform.idempotency_keys;
