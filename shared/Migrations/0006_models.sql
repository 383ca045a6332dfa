-- The model registry (Hokusai): keys, improvements, predictions, and MLflow's tracking store and registry underneath.
CREATE SCHEMA models;
CREATE SCHEMA mlflow;

-- Names and keys are compared and sorted by code point, as MLflow's own store does; it also keeps prefix searches on plain indexes.
-- Times that only go over MLflow's wire are its milliseconds since 1970, as the client sent them.

CREATE SEQUENCE mlflow.experiment_ids;

CREATE TABLE mlflow.experiments (
    id                bigint PRIMARY KEY DEFAULT nextval('mlflow.experiment_ids'),
    -- Also reserved while deleted: MLflow refuses to create it anew and offers restore.
    name              text COLLATE "C" NOT NULL CONSTRAINT experiments_name_key UNIQUE,
    -- Null: under our own artifact store. Otherwise a URI of the client's that the client alone reads and writes.
    artifact_location text,
    created_ms        bigint NOT NULL,
    updated_ms        bigint NOT NULL,
    deleted_at        timestamptz
);
CREATE INDEX experiments_updated ON mlflow.experiments (updated_ms DESC, id);
CREATE INDEX experiments_deleted ON mlflow.experiments (deleted_at) WHERE deleted_at IS NOT NULL;
INSERT INTO mlflow.experiments (id, name, created_ms, updated_ms)
VALUES (0, 'Default', extract(epoch FROM now())::bigint * 1000, extract(epoch FROM now())::bigint * 1000);

CREATE TABLE mlflow.experiment_tags (
    experiment_id bigint NOT NULL REFERENCES mlflow.experiments ON DELETE CASCADE,
    key           text COLLATE "C" NOT NULL,
    value         text COLLATE "C" NOT NULL,
    PRIMARY KEY (experiment_id, key)
);

CREATE TABLE mlflow.runs (
    id            uuid PRIMARY KEY,
    experiment_id bigint NOT NULL REFERENCES mlflow.experiments,
    name          text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    status        text NOT NULL,
    start_ms      bigint NOT NULL,
    end_ms        bigint,
    deleted_at    timestamptz
);
CREATE INDEX runs_newest ON mlflow.runs (experiment_id, start_ms DESC, id);
CREATE INDEX runs_deleted ON mlflow.runs (deleted_at) WHERE deleted_at IS NOT NULL;

-- Every point ever logged. The key is the whole point, so a batch that is sent twice is stored once; it is also the order of a history.
-- No foreign key: a check per point would cost more than the point. Writers lock the run's row instead (RunStore.LogBatchAsync).
CREATE TABLE mlflow.metric_points (
    run_id       uuid NOT NULL,
    key          text COLLATE "C" NOT NULL,
    timestamp_ms bigint NOT NULL,
    step         bigint NOT NULL,
    value        double precision NOT NULL,
    PRIMARY KEY (run_id, key, timestamp_ms, step, value)
);

-- Per run and key the point with the highest step, then timestamp, then value: what a run shows and what is searched.
CREATE TABLE mlflow.latest_metrics (
    run_id       uuid NOT NULL,
    key          text COLLATE "C" NOT NULL,
    value        double precision NOT NULL,
    timestamp_ms bigint NOT NULL,
    step         bigint NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX latest_metrics_value ON mlflow.latest_metrics (key, value, run_id);

CREATE TABLE mlflow.params (
    run_id uuid NOT NULL,
    key    text COLLATE "C" NOT NULL,
    value  text COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, key)
);
-- An index row has room for the beginning of a value only.
CREATE INDEX params_value ON mlflow.params (key, left(value, 200), run_id);

CREATE TABLE mlflow.tags (
    run_id uuid NOT NULL,
    key    text COLLATE "C" NOT NULL,
    value  text COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX tags_value ON mlflow.tags (key, left(value, 200), run_id);

-- Ends the statement that logs a batch, so that nothing of it stays. The message carries what the error text needs; the driver hides details.
CREATE FUNCTION mlflow.refuse_param(key text, stored text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', json_build_object('key', key, 'value', stored)::text USING ERRCODE = 'ML001';
END
$$;

CREATE TABLE mlflow.datasets (
    id            uuid PRIMARY KEY,
    experiment_id bigint NOT NULL REFERENCES mlflow.experiments ON DELETE CASCADE,
    name          text COLLATE "C" NOT NULL,
    digest        text COLLATE "C" NOT NULL,
    source_type   text NOT NULL,
    source        text NOT NULL,
    schema        text,
    profile       text,
    CONSTRAINT datasets_name_digest_key UNIQUE (experiment_id, name, digest)
);

CREATE TABLE mlflow.dataset_inputs (
    run_id     uuid NOT NULL,
    dataset_id uuid NOT NULL REFERENCES mlflow.datasets ON DELETE CASCADE,
    -- [{"key", "value"}]
    tags       jsonb NOT NULL,
    PRIMARY KEY (run_id, dataset_id)
);
CREATE INDEX dataset_inputs_dataset ON mlflow.dataset_inputs (dataset_id);

-- MLflow 3's links between runs and logged models.
CREATE TABLE mlflow.model_links (
    run_id    uuid NOT NULL,
    model_id  text COLLATE "C" NOT NULL,
    is_output boolean NOT NULL,
    step      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, model_id, is_output)
);

-- Artifacts by the path that clients use; the blob's name is ours alone, so no path ever reaches a storage's own name rules.
CREATE TABLE mlflow.artifacts (
    path         text COLLATE "C" PRIMARY KEY,
    blob_name    text NOT NULL CONSTRAINT artifacts_blob_name_key UNIQUE,
    size_bytes   bigint NOT NULL,
    content_type text NOT NULL,
    created_at   timestamptz NOT NULL
);

-- Multipart uploads under way. The client writes blocks straight into the blob; completing moves the row to artifacts.
CREATE TABLE mlflow.artifact_uploads (
    id         uuid PRIMARY KEY,
    path       text COLLATE "C" NOT NULL,
    blob_name  text NOT NULL CONSTRAINT artifact_uploads_blob_name_key UNIQUE,
    parts      integer NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE mlflow.registered_models (
    id           uuid PRIMARY KEY,
    name         text COLLATE "C" NOT NULL CONSTRAINT registered_models_name_key UNIQUE,
    description  text,
    created_ms   bigint NOT NULL,
    updated_ms   bigint NOT NULL,
    -- Counts up only: the number of a deleted version is never given again.
    last_version integer NOT NULL DEFAULT 0
);
CREATE INDEX registered_models_updated ON mlflow.registered_models (updated_ms DESC, name);

CREATE TABLE mlflow.registered_model_tags (
    model_id uuid NOT NULL REFERENCES mlflow.registered_models ON DELETE CASCADE,
    key      text COLLATE "C" NOT NULL,
    value    text COLLATE "C" NOT NULL,
    PRIMARY KEY (model_id, key)
);

CREATE TABLE mlflow.model_versions (
    model_id        uuid NOT NULL REFERENCES mlflow.registered_models ON DELETE CASCADE,
    version         integer NOT NULL,
    created_ms      bigint NOT NULL,
    updated_ms      bigint NOT NULL,
    description     text,
    user_id         text NOT NULL,
    stage           text NOT NULL DEFAULT 'None',
    -- When it came to its stage: for Production the time of its deployment.
    stage_at        timestamptz NOT NULL,
    source          text COLLATE "C" NOT NULL,
    run_id          uuid,
    run_link        text,
    logged_model_id text,
    PRIMARY KEY (model_id, version)
);
CREATE INDEX model_versions_newest ON mlflow.model_versions (updated_ms DESC, model_id, version DESC);
CREATE INDEX model_versions_run ON mlflow.model_versions (run_id);
CREATE INDEX model_versions_stage ON mlflow.model_versions (stage, stage_at DESC) WHERE stage <> 'None';

CREATE TABLE mlflow.model_version_tags (
    model_id uuid NOT NULL,
    version  integer NOT NULL,
    key      text COLLATE "C" NOT NULL,
    value    text COLLATE "C" NOT NULL,
    PRIMARY KEY (model_id, version, key),
    FOREIGN KEY (model_id, version) REFERENCES mlflow.model_versions ON DELETE CASCADE
);
CREATE INDEX model_version_tags_value ON mlflow.model_version_tags (key, left(value, 200));

-- Whose contribution a version is; addresses are written in any case.
CREATE INDEX model_version_tags_contributor ON mlflow.model_version_tags (lower(value)) WHERE key = 'contributor_address';

CREATE TABLE mlflow.model_aliases (
    model_id uuid NOT NULL,
    alias    text COLLATE "C" NOT NULL,
    version  integer NOT NULL,
    PRIMARY KEY (model_id, alias),
    FOREIGN KEY (model_id, version) REFERENCES mlflow.model_versions ON DELETE CASCADE
);
CREATE INDEX model_aliases_version ON mlflow.model_aliases (model_id, version);

-- MLflow 3's logged models: a model by itself, before and beside the registry.
CREATE TABLE mlflow.logged_models (
    id            text COLLATE "C" PRIMARY KEY,
    experiment_id bigint NOT NULL REFERENCES mlflow.experiments,
    name          text COLLATE "C" NOT NULL,
    model_type    text,
    source_run_id uuid,
    status        text NOT NULL,
    created_ms    bigint NOT NULL,
    updated_ms    bigint NOT NULL,
    -- {"key": "value"}
    tags          jsonb NOT NULL,
    params        jsonb NOT NULL,
    deleted_at    timestamptz
);
CREATE INDEX logged_models_newest ON mlflow.logged_models (experiment_id, created_ms DESC, id);

CREATE TABLE mlflow.logged_model_metrics (
    model_id       text COLLATE "C" NOT NULL REFERENCES mlflow.logged_models ON DELETE CASCADE,
    run_id         uuid NOT NULL,
    key            text COLLATE "C" NOT NULL,
    dataset_name   text NOT NULL DEFAULT '',
    dataset_digest text NOT NULL DEFAULT '',
    value          double precision NOT NULL,
    timestamp_ms   bigint NOT NULL,
    step           bigint NOT NULL,
    PRIMARY KEY (model_id, key, run_id, dataset_name, dataset_digest)
);

CREATE TABLE mlflow.traces (
    id                text COLLATE "C" PRIMARY KEY,
    experiment_id     bigint NOT NULL REFERENCES mlflow.experiments,
    request_ms        bigint NOT NULL,
    duration_ms       bigint,
    state             text NOT NULL,
    client_request_id text,
    request_preview   text,
    response_preview  text,
    -- {"key": "value"}
    metadata          jsonb NOT NULL,
    tags              jsonb NOT NULL
);
CREATE INDEX traces_newest ON mlflow.traces (experiment_id, request_ms DESC, id);

-- API keys. The key itself is nowhere: only its SHA-256.
CREATE TABLE models.api_keys (
    id                  uuid PRIMARY KEY,
    hash                bytea NOT NULL CONSTRAINT api_keys_hash_key UNIQUE,
    -- The first characters, to recognise a key by in a list.
    prefix              text NOT NULL,
    name                text NOT NULL,
    environment         text NOT NULL,
    scopes              text[] NOT NULL,
    rate_limit_per_hour integer NOT NULL,
    -- Empty: any address. Otherwise addresses or networks.
    allowed_ips         text[] NOT NULL,
    created_at          timestamptz NOT NULL,
    expires_at          timestamptz,
    last_used_at        timestamptz,
    revoked_at          timestamptz
);
CREATE INDEX api_keys_newest ON models.api_keys (created_at DESC, id);

-- Calls per key, hour, endpoint and status; added up in memory and written in batches.
CREATE TABLE models.api_key_usage (
    key_id      uuid NOT NULL REFERENCES models.api_keys ON DELETE CASCADE,
    hour        timestamptz NOT NULL,
    endpoint    text NOT NULL,
    status      integer NOT NULL,
    requests    bigint NOT NULL,
    duration_ms double precision NOT NULL,
    PRIMARY KEY (key_id, hour, endpoint, status)
);

-- Predictions that callers report, counted by day; latency and the metrics of labelled ones add up to production metrics.
CREATE TABLE models.prediction_days (
    model_id    uuid NOT NULL,
    version     integer NOT NULL,
    day         date NOT NULL,
    predictions bigint NOT NULL,
    errors      bigint NOT NULL,
    latency_ms  double precision NOT NULL,
    latencies   bigint NOT NULL,
    labelled    bigint NOT NULL,
    correct     bigint NOT NULL,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    PRIMARY KEY (model_id, version, day),
    FOREIGN KEY (model_id, version) REFERENCES mlflow.model_versions ON DELETE CASCADE
);
-- Batches already counted: a batch that is sent again counts nothing.
CREATE TABLE models.prediction_batches (
    model_id uuid NOT NULL REFERENCES mlflow.registered_models ON DELETE CASCADE,
    version  integer NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    sent_at  timestamptz NOT NULL,
    PRIMARY KEY (model_id, version, batch_id)
);
