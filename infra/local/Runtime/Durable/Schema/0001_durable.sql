-- One row per instance. A turn locks it (locked_by), works without a transaction, and commits only if the lock is still its own.
CREATE TABLE durable.instances (
    instance_id text COLLATE "C" PRIMARY KEY,
    -- Changes with every restart and ContinueAsNew; what belongs to an earlier one is dropped.
    execution uuid NOT NULL,
    name text NOT NULL,
    -- OrchestrationRuntimeStatus.
    status smallint NOT NULL,
    -- Committed turns of this execution: a cached history of as many turns is current.
    turns integer NOT NULL DEFAULT 0,
    input text,
    output text,
    failure text,
    custom_status text,
    parent_id text COLLATE "C",
    parent_name text,
    parent_execution uuid,
    parent_task integer,
    created_at timestamptz NOT NULL,
    start_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    locked_by uuid,
    -- Turns begun since the last commit.
    attempts integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE INDEX instances_created ON durable.instances (created_at, instance_id);
CREATE INDEX instances_parent ON durable.instances (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE durable.history (
    execution uuid NOT NULL,
    sequence integer NOT NULL,
    turn integer NOT NULL,
    kind smallint NOT NULL,
    task integer,
    name text,
    target text,
    payload text,
    due_at timestamptz,
    at timestamptz NOT NULL,
    PRIMARY KEY (execution, sequence)
);

-- One recorded result per task, whatever happens: completed, failed, fired.
CREATE UNIQUE INDEX history_one_result ON durable.history (execution, task) WHERE kind IN (2, 3, 5, 7, 8);

-- What an instance has not worked on yet. Timers lie here until they are due.
CREATE TABLE durable.messages (
    instance_id text COLLATE "C" NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    execution uuid,
    kind smallint NOT NULL,
    task integer,
    name text,
    payload text,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (instance_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);

CREATE INDEX messages_due ON durable.messages (due_at);

-- Activities that have no result yet; name and input are in the history.
CREATE TABLE durable.activities (
    execution uuid NOT NULL,
    task integer NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    instance_id text COLLATE "C" NOT NULL,
    sequence integer NOT NULL,
    locked_by uuid,
    attempts integer NOT NULL,
    PRIMARY KEY (execution, task)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);

CREATE INDEX activities_free ON durable.activities (id) WHERE locked_by IS NULL;

-- Who may hold locks. A worker is dead when its lease has ended, or when its session has (then its advisory lock is free).
CREATE TABLE durable.workers (
    worker_id uuid PRIMARY KEY,
    lease_until timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
