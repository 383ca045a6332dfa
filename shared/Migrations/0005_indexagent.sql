-- The code index, its agents and patterns (DEAN's IndexAgent).
CREATE SCHEMA indexagent;

CREATE TABLE indexagent.repositories (
    id                 uuid PRIMARY KEY,
    name               text NOT NULL CONSTRAINT repositories_name_key UNIQUE,
    -- What searches see. Moves to a newer one in the transaction that completes that one.
    current_generation bigint,
    created_at         timestamptz NOT NULL
);

-- One upload of a repository and the index made of it.
CREATE TABLE indexagent.generations (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id  uuid NOT NULL REFERENCES indexagent.repositories ON DELETE CASCADE,
    state          text NOT NULL CHECK (state IN ('indexing', 'ready', 'failed')),
    -- The archive: stored at once where it was sent, or once it was fetched from source_url.
    blob_name      text,
    source_url     text,
    archive_bytes  bigint,
    -- The folder that all of the archive is in, taken off every path ("name-1.2.0/").
    root           text NOT NULL DEFAULT '',
    files          integer NOT NULL DEFAULT 0,
    lines          bigint NOT NULL DEFAULT 0,
    bytes          bigint NOT NULL DEFAULT 0,
    -- Files per language, and files left out per reason.
    languages      jsonb NOT NULL DEFAULT '{}',
    skipped        jsonb NOT NULL DEFAULT '{}',
    error          text,
    created_at     timestamptz NOT NULL,
    finished_at    timestamptz
);
-- Two uploads of one name at a time would race for which is the newer.
CREATE UNIQUE INDEX generations_indexing_key ON indexagent.generations (repository_id) WHERE state = 'indexing';
CREATE INDEX generations_blob_name ON indexagent.generations (blob_name);
CREATE INDEX generations_repository ON indexagent.generations (repository_id, id);

-- A complete small index of a part of the archive: entries first_entry up to end_entry. Never changes; its id is a key for caches.
CREATE TABLE indexagent.segments (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    generation_id bigint NOT NULL REFERENCES indexagent.generations ON DELETE CASCADE,
    number        integer NOT NULL,
    first_entry   integer NOT NULL,
    end_entry     integer NOT NULL,
    is_last       boolean NOT NULL,
    file_count    integer NOT NULL,
    section_count integer NOT NULL,
    -- Words of each section, 16 bits each, lowest byte first; and their sum.
    lengths       bytea NOT NULL,
    word_count    bigint NOT NULL,
    skipped       jsonb NOT NULL,
    CONSTRAINT segments_number_key UNIQUE (generation_id, number)
);

-- Segments that are gone and whose rows in the three tables below are still there. Those have no foreign key: checking one per row would double
-- the time to index, and a cascade would hold a request up until half a million rows are deleted. A timer deletes them.
CREATE TABLE indexagent.dropped_segments (
    id bigint PRIMARY KEY
);

CREATE FUNCTION indexagent.drop_segment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO indexagent.dropped_segments (id) VALUES (OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER segments_dropped AFTER DELETE ON indexagent.segments FOR EACH ROW EXECUTE FUNCTION indexagent.drop_segment();

CREATE TABLE indexagent.files (
    segment_id    bigint NOT NULL,
    number        integer NOT NULL,
    path          text NOT NULL,
    language      text NOT NULL,
    -- FileRole: 0 source, 1 test, 2 docs, 3 config.
    role          smallint NOT NULL,
    first_section integer NOT NULL,
    lines         integer NOT NULL,
    bytes         integer NOT NULL,
    PRIMARY KEY (segment_id, number)
);

CREATE TABLE indexagent.sections (
    segment_id  bigint NOT NULL,
    number      integer NOT NULL,
    file        integer NOT NULL,
    first_line  integer NOT NULL,
    symbol_line integer NOT NULL,
    symbol      text,
    kind        text,
    is_definition boolean NOT NULL,
    container   text,
    doc         text,
    text        text NOT NULL,
    PRIMARY KEY (segment_id, number)
);
CREATE INDEX sections_symbol ON indexagent.sections (segment_id, lower(symbol) COLLATE "C") WHERE is_definition;

-- Where each term occurs (Postings.cs). Dense already: compressing would only cost time.
CREATE TABLE indexagent.postings (
    segment_id bigint NOT NULL,
    term       bigint NOT NULL,
    data       bytea NOT NULL,
    PRIMARY KEY (segment_id, term)
);
ALTER TABLE indexagent.postings ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE indexagent.populations (
    id               text PRIMARY KEY,
    size             integer NOT NULL,
    mutation_rate    double precision NOT NULL,
    crossover_rate   double precision NOT NULL,
    selection_method text NOT NULL,
    -- The same seed on the same repository gives the same generations.
    seed             bigint NOT NULL,
    repository       text,
    generation       integer NOT NULL,
    best_fitness     double precision NOT NULL,
    created_at       timestamptz NOT NULL
);

-- A search agent: a genome and the fitness that was measured for it. Members of past generations stay, as ancestors.
CREATE TABLE indexagent.agents (
    id            text PRIMARY KEY,
    number        bigint GENERATED ALWAYS AS IDENTITY,
    name          text NOT NULL,
    language      text NOT NULL,
    capabilities  text[] NOT NULL,
    parameters    jsonb NOT NULL,
    -- Weights in the order of RankingFeature.
    genome        double precision[] NOT NULL,
    fitness       double precision NOT NULL,
    generation    integer NOT NULL,
    population_id text REFERENCES indexagent.populations ON DELETE CASCADE,
    -- Place in its generation; elders that live on keep their row and get a new place.
    place         integer NOT NULL DEFAULT 0,
    parents       text[] NOT NULL DEFAULT '{}',
    status        text NOT NULL CHECK (status IN ('active', 'retired')),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
CREATE INDEX agents_active ON indexagent.agents (number) WHERE status = 'active';
CREATE INDEX agents_population ON indexagent.agents (population_id, place) WHERE status = 'active';

-- agents_created, search_queries, search_microseconds, patterns_extracted.
CREATE TABLE indexagent.counters (
    name  text PRIMARY KEY,
    value bigint NOT NULL
);

-- A mined pattern: a few lines that many files have in the same structure. hash: of the language and the lines.
CREATE TABLE indexagent.patterns (
    id          text PRIMARY KEY,
    language    text NOT NULL,
    type        text NOT NULL,
    description text NOT NULL,
    -- Structural lines, as they are matched.
    shingle     text[] NOT NULL,
    created_at  timestamptz NOT NULL
);

-- Where it was found; what lists show is summed up over repositories.
CREATE TABLE indexagent.pattern_repositories (
    pattern_id    text NOT NULL REFERENCES indexagent.patterns ON DELETE CASCADE,
    repository_id uuid NOT NULL REFERENCES indexagent.repositories ON DELETE CASCADE,
    -- Files that have it, files that have its beginning, and places.
    files         integer NOT NULL,
    begun_files   integer NOT NULL,
    occurrences   integer NOT NULL,
    PRIMARY KEY (pattern_id, repository_id)
);
CREATE INDEX pattern_repositories_repository ON indexagent.pattern_repositories (repository_id);
