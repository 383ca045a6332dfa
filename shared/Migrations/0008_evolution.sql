-- Evolution trials (DEAN's Evolution API).
CREATE SCHEMA evolution;

CREATE TABLE evolution.trials (
    id                  text PRIMARY KEY,
    number              bigint GENERATED ALWAYS AS IDENTITY,
    -- As it was asked for, and what fitness is measured on: the same, or the built-in corpus.
    repository          text,
    corpus              text NOT NULL,
    -- No foreign key: a trial outlives its repository, and fails where that goes while it runs. Null: the built-in corpus.
    repository_id       uuid,
    generations         integer NOT NULL,
    population_size     integer NOT NULL,
    mutation_rate       double precision NOT NULL,
    crossover_rate      double precision NOT NULL,
    selection_method    text NOT NULL,
    fitness_threshold   double precision NOT NULL,
    max_runtime_minutes integer NOT NULL,
    parameters          jsonb NOT NULL,
    seed                bigint NOT NULL,
    status              text NOT NULL CHECK (status IN ('initializing', 'running', 'paused', 'completed', 'failed', 'cancelled')),
    started_at          timestamptz NOT NULL,
    -- What max_runtime_minutes counts from: the start, later by every pause.
    runtime_from        timestamptz NOT NULL,
    paused_at           timestamptz,
    completed_at        timestamptz,
    updated_at          timestamptz NOT NULL,
    is_prepared         boolean NOT NULL DEFAULT false,
    current_generation  integer NOT NULL DEFAULT 0,
    initial_fitness     double precision NOT NULL DEFAULT 0,
    best_fitness        double precision NOT NULL DEFAULT 0,
    best_genome         double precision[],
    diversity           double precision NOT NULL DEFAULT 0,
    improvements        double precision[] NOT NULL DEFAULT '{}',
    patterns_discovered integer NOT NULL DEFAULT 0,
    -- Of the first members to the last generation: SHA-256 over genomes and fitness, bit for bit.
    result_hash         text,
    best_agent_id       text,
    default_fitness     double precision,
    held_out_default    double precision,
    held_out_best       double precision,
    stop_reason         text,
    error               text,
    -- Of the live updates; counts up with every one.
    last_event          integer NOT NULL DEFAULT 0,
    CONSTRAINT trials_over CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL))
);
CREATE INDEX trials_started ON evolution.trials (started_at, number);
CREATE INDEX trials_status ON evolution.trials (status, started_at, number);
CREATE INDEX trials_repository ON evolution.trials ((coalesce(repository, corpus)), started_at, number);
CREATE INDEX trials_open ON evolution.trials (updated_at) WHERE completed_at IS NULL;
CREATE INDEX trials_fitness ON evolution.trials (best_fitness, number) WHERE status = 'completed';

-- A trial that is over stays as it is, whoever comes late.
CREATE FUNCTION evolution.keep_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'trial % is %', OLD.id, OLD.status;
END $$;
CREATE TRIGGER trials_ended BEFORE UPDATE ON evolution.trials FOR EACH ROW
    WHEN (OLD.completed_at IS NOT NULL AND OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION evolution.keep_ended();

-- What fitness is measured on (ObjectiveFile.cs), made once per trial: the repository may be indexed anew meanwhile. Goes when the trial is over.
CREATE TABLE evolution.objectives (
    trial_id text PRIMARY KEY REFERENCES evolution.trials ON DELETE CASCADE,
    data     bytea NOT NULL
);

CREATE TABLE evolution.generations (
    trial_id   text NOT NULL REFERENCES evolution.trials ON DELETE CASCADE,
    generation integer NOT NULL,
    -- All members' weights, one member after the other.
    genomes    double precision[] NOT NULL,
    fitness    double precision[] NOT NULL,
    -- Of this generation and the hash before.
    hash       bytea NOT NULL,
    PRIMARY KEY (trial_id, generation)
);

CREATE TABLE evolution.patterns (
    id            text PRIMARY KEY,
    trial_id      text NOT NULL REFERENCES evolution.trials ON DELETE CASCADE,
    generation    integer NOT NULL,
    name          text NOT NULL,
    type          text NOT NULL,
    description   text NOT NULL,
    confidence    double precision NOT NULL,
    occurrences   integer NOT NULL,
    impact_score  double precision NOT NULL,
    repositories  text[] NOT NULL,
    discovered_at timestamptz NOT NULL,
    CONSTRAINT patterns_generation_key UNIQUE (trial_id, generation)
);
CREATE INDEX patterns_impact ON evolution.patterns (impact_score, id);

-- Live updates as they were sent.
CREATE TABLE evolution.events (
    trial_id text NOT NULL REFERENCES evolution.trials ON DELETE CASCADE,
    number   integer NOT NULL,
    frame    text NOT NULL,
    PRIMARY KEY (trial_id, number)
);
