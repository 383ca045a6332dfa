-- DSPy programs (spec-hokusai.md, "DSPy Pipeline Endpoints") and evaluations of data sets that are too large to wait for.

CREATE TABLE models.dspy_programs (
    id            text COLLATE "C" PRIMARY KEY,
    -- Counts up only, as long as the program exists.
    last_revision integer NOT NULL
);

-- What a program was at each PUT. The program itself is a blob.
CREATE TABLE models.dspy_revisions (
    program_id  text COLLATE "C" NOT NULL REFERENCES models.dspy_programs ON DELETE CASCADE,
    revision    integer NOT NULL,
    name        text NOT NULL,
    version     text NOT NULL,
    description text,
    -- [{"input_fields": [..], "output_fields": [..]}]
    signatures  json NOT NULL,
    blob_name   text NOT NULL CONSTRAINT dspy_revisions_blob_name_key UNIQUE,
    -- SHA-256 of the text: the same PUT twice is one revision.
    hash        bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    PRIMARY KEY (program_id, revision)
);

-- Inputs and outputs are json, not jsonb: what a language model writes may hold what jsonb refuses, and nobody searches in them.
CREATE TABLE models.dspy_executions (
    id           uuid PRIMARY KEY,
    batch_id     uuid,
    program_id   text COLLATE "C" NOT NULL,
    revision     integer NOT NULL,
    mode         text NOT NULL,
    success      boolean NOT NULL,
    inputs       json NOT NULL,
    outputs      json,
    error        text,
    metadata     json NOT NULL,
    -- Whether it asked the language model: neither a dry run nor an answer that was kept.
    is_counted   boolean NOT NULL,
    duration_ms  double precision NOT NULL,
    created_at   timestamptz NOT NULL
);
CREATE INDEX dspy_executions_created ON models.dspy_executions (created_at);
CREATE INDEX dspy_executions_counted ON models.dspy_executions (created_at DESC) WHERE is_counted;

-- One row: statistics outlive the executions themselves.
CREATE TABLE models.dspy_totals (
    id          boolean PRIMARY KEY DEFAULT true CHECK (id),
    executions  bigint NOT NULL DEFAULT 0,
    successes   bigint NOT NULL DEFAULT 0,
    duration_ms double precision NOT NULL DEFAULT 0,
    min_ms      double precision,
    max_ms      double precision
) WITH (fillfactor = 50);
INSERT INTO models.dspy_totals DEFAULT VALUES;

-- Answers that are given again for the same program, inputs and language model.
CREATE TABLE models.dspy_cache (
    key        bytea PRIMARY KEY,
    outputs    json NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX dspy_cache_created ON models.dspy_cache (created_at DESC);

CREATE TABLE models.evaluations (
    id           uuid PRIMARY KEY,
    model_name   text COLLATE "C" NOT NULL,
    version      text NOT NULL,
    dataset_path text NOT NULL,
    metrics      text[] NOT NULL,
    -- queued, succeeded or failed
    status       text NOT NULL,
    -- {"metric": number or null}
    results      json,
    rows         bigint,
    error        text,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz
);
CREATE INDEX evaluations_queued ON models.evaluations (created_at) WHERE status = 'queued';
CREATE INDEX evaluations_created ON models.evaluations (created_at);
