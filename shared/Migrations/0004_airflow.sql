-- Airflow: DAGs, their runs and tasks. The rows are the truth; an orchestration moves them.
CREATE SCHEMA airflow;

-- Every text of a DAG's file that a run was started with: a run keeps its version while the file changes.
CREATE TABLE airflow.dag_versions (
    dag_id     text NOT NULL,
    version    text NOT NULL,
    file_name  text NOT NULL,
    source     text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (dag_id, version)
);

CREATE TABLE airflow.dag_tasks (
    dag_id    text NOT NULL,
    version   text NOT NULL,
    position  integer NOT NULL,
    task_id   text NOT NULL,
    operator  text NOT NULL,
    pool      text NOT NULL,
    max_tries integer NOT NULL,
    PRIMARY KEY (dag_id, version, position),
    FOREIGN KEY (dag_id, version) REFERENCES airflow.dag_versions ON DELETE CASCADE
);

-- The row is also the lock of its DAG: whoever moves a run between states holds it, so that max_active_runs and the counters are exact.
-- Lock order everywhere: dags, dag_runs, task_instances.
CREATE TABLE airflow.dags (
    dag_id          text PRIMARY KEY,
    version         text NOT NULL,
    file_name       text NOT NULL,
    description     text NOT NULL,
    owners          text[] NOT NULL,
    tags            text[] NOT NULL,
    schedule        text,
    max_active_runs integer NOT NULL,
    is_active       boolean NOT NULL,
    is_paused       boolean NOT NULL DEFAULT false,
    next_run_at     timestamptz,
    parsed_at       timestamptz NOT NULL,
    runs_queued     bigint NOT NULL DEFAULT 0,
    runs_running    bigint NOT NULL DEFAULT 0,
    runs_success    bigint NOT NULL DEFAULT 0,
    runs_failed     bigint NOT NULL DEFAULT 0,
    FOREIGN KEY (dag_id, version) REFERENCES airflow.dag_versions
) WITH (fillfactor = 50);

-- conf is json, not jsonb: it is given back as it was sent. generation counts the orchestrations of a run: each clear starts a new one,
-- and what an older one still does is refused.
CREATE TABLE airflow.dag_runs (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dag_id           text NOT NULL REFERENCES airflow.dags,
    run_id           text NOT NULL,
    version          text NOT NULL,
    generation       integer NOT NULL DEFAULT 1,
    state            text NOT NULL CHECK (state IN ('queued', 'running', 'success', 'failed')),
    external_trigger boolean NOT NULL,
    logical_at       timestamptz NOT NULL,
    interval_end_at  timestamptz NOT NULL,
    queued_at        timestamptz NOT NULL,
    started_at       timestamptz,
    ended_at         timestamptz,
    updated_at       timestamptz NOT NULL,
    checked_at       timestamptz NOT NULL,
    conf             json NOT NULL,
    note             text,
    CONSTRAINT dag_runs_run_id UNIQUE (dag_id, run_id)
);

-- A list of runs is a merge of one index scan per state (and kind of trigger), so that any filter by state and any order reads only its page. The other
-- dates are included, because a filter by them must not fetch every row that it throws away.
CREATE INDEX dag_runs_dag_id ON airflow.dag_runs (dag_id, state, external_trigger, id) INCLUDE (logical_at, started_at, ended_at);
CREATE INDEX dag_runs_dag_logical ON airflow.dag_runs (dag_id, state, logical_at, id) INCLUDE (external_trigger, started_at, ended_at);
CREATE INDEX dag_runs_dag_started ON airflow.dag_runs (dag_id, state, started_at, id) INCLUDE (external_trigger, logical_at, ended_at);
CREATE INDEX dag_runs_dag_ended ON airflow.dag_runs (dag_id, state, ended_at, id) INCLUDE (external_trigger, logical_at, started_at);
CREATE INDEX dag_runs_dag_run_id ON airflow.dag_runs (dag_id, state, run_id, id) INCLUDE (logical_at, started_at, ended_at);
CREATE INDEX dag_runs_id ON airflow.dag_runs (state, external_trigger, id) INCLUDE (logical_at, started_at, ended_at);
CREATE INDEX dag_runs_dag ON airflow.dag_runs (state, dag_id, id) INCLUDE (logical_at, started_at, ended_at);
CREATE INDEX dag_runs_logical ON airflow.dag_runs (state, logical_at, id) INCLUDE (dag_id, external_trigger, started_at, ended_at);
CREATE INDEX dag_runs_started ON airflow.dag_runs (state, started_at, id) INCLUDE (dag_id, external_trigger, logical_at, ended_at);
CREATE INDEX dag_runs_ended ON airflow.dag_runs (state, ended_at, id) INCLUDE (dag_id, external_trigger, logical_at, started_at);
CREATE INDEX dag_runs_run ON airflow.dag_runs (state, run_id, id) INCLUDE (logical_at, started_at, ended_at);
CREATE INDEX dag_runs_updated ON airflow.dag_runs (updated_at);
-- For the sweeper.
CREATE INDEX dag_runs_running ON airflow.dag_runs (checked_at) WHERE state = 'running';

CREATE TABLE airflow.task_instances (
    run_id     bigint NOT NULL REFERENCES airflow.dag_runs ON DELETE CASCADE,
    task_id    text NOT NULL,
    position   integer NOT NULL,
    operator   text NOT NULL,
    pool       text NOT NULL,
    state      text NOT NULL DEFAULT 'none' CHECK (state IN (
        'none', 'queued', 'running', 'deferred', 'up_for_retry', 'success', 'failed', 'upstream_failed', 'skipped')),
    try_number integer NOT NULL DEFAULT 0,
    max_tries  integer NOT NULL,
    queued_at  timestamptz,
    started_at timestamptz,
    ended_at   timestamptz,
    resume_at  timestamptz,
    output     json,
    note       text,
    PRIMARY KEY (run_id, task_id)
) WITH (fillfactor = 80);

CREATE INDEX task_instances_state ON airflow.task_instances (state, run_id);
CREATE INDEX task_instances_pool ON airflow.task_instances (pool, state) WHERE state IN ('queued', 'running', 'deferred');

CREATE TABLE airflow.task_logs (
    run_id     bigint NOT NULL,
    task_id    text NOT NULL,
    try_number integer NOT NULL,
    content    text NOT NULL,
    PRIMARY KEY (run_id, task_id, try_number),
    FOREIGN KEY (run_id, task_id) REFERENCES airflow.task_instances ON DELETE CASCADE
);

-- slots -1: no limit.
CREATE TABLE airflow.pools (
    name        text PRIMARY KEY,
    slots       integer NOT NULL CHECK (slots >= -1),
    description text
);
INSERT INTO airflow.pools VALUES ('default_pool', 128, 'Default pool');

CREATE TABLE airflow.variables (
    key         text PRIMARY KEY,
    value       text NOT NULL,
    description text
);

-- One row: when a scheduler last looked.
CREATE TABLE airflow.scheduler (
    id           boolean PRIMARY KEY DEFAULT true CHECK (id),
    heartbeat_at timestamptz NOT NULL
);
