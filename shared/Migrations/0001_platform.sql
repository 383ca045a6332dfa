-- What every slice shares: stored answers for Idempotency-Key.
CREATE SCHEMA IF NOT EXISTS platform;

-- One row per caller, route and key. status is null while the first request is still running; locked_at tells a running request
-- from one whose process died. caller and key are hashed together so that no token or address is stored.
CREATE TABLE platform.idempotency_keys (
    id           bytea PRIMARY KEY,
    fingerprint  bytea NOT NULL,
    locked_at    timestamptz NOT NULL,
    status       integer,
    content_type text,
    location     text,
    body         bytea,
    created_at   timestamptz NOT NULL
);

CREATE INDEX idempotency_keys_created_at ON platform.idempotency_keys (created_at);
