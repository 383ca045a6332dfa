-- The data registry (DHG). Names and types of columns are the original's, so that its importers fill these tables as they are
-- (search_path=dhg); what they leave out has a default. Columns of our own come last in each table.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE SCHEMA dhg;

CREATE TABLE dhg.media (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    filename         varchar(512) NOT NULL,
    filepath         varchar(1024) NOT NULL,
    file_size_bytes  bigint NOT NULL,
    mime_type        varchar(128) NOT NULL,
    duration_seconds double precision,
    status           varchar(32) NOT NULL DEFAULT 'pending',
    meta_data        jsonb,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
-- Every list is newest first, and a cursor is one row comparison, which these indexes start at.
CREATE INDEX media_newest ON dhg.media (created_at DESC, id DESC);
CREATE INDEX media_status ON dhg.media (status);

CREATE TABLE dhg.transcripts (
    id                      uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    media_id                uuid NOT NULL CONSTRAINT transcripts_media_id_fkey REFERENCES dhg.media ON DELETE CASCADE,
    full_text               text NOT NULL,
    language                varchar(16),
    confidence_score        double precision,
    model_name              varchar(64),
    model_version           varchar(32),
    processing_time_seconds double precision NOT NULL,
    meta_data               jsonb,
    created_at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transcripts_newest ON dhg.transcripts (created_at DESC, id DESC);
CREATE INDEX transcripts_media_id ON dhg.transcripts (media_id, created_at DESC, id DESC);

CREATE TABLE dhg.segments (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    transcript_id      uuid NOT NULL CONSTRAINT segments_transcript_id_fkey REFERENCES dhg.transcripts ON DELETE CASCADE,
    segment_index      integer NOT NULL,
    start_time_seconds double precision NOT NULL,
    end_time_seconds   double precision NOT NULL,
    text               text NOT NULL,
    confidence_score   double precision,
    speaker_id         varchar(64),
    meta_data          jsonb,
    created_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX segments_newest ON dhg.segments (created_at DESC, id DESC);
-- Not unique: the contract takes an index twice.
CREATE INDEX segments_transcript_id ON dhg.segments (transcript_id, segment_index, id);

-- The audit log, written in the transaction of what it tells of. No foreign keys: it outlives what it tells of.
CREATE TABLE dhg.events (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type  varchar(64) NOT NULL,
    entity_type varchar(64) NOT NULL,
    entity_id   uuid,
    user_id     varchar(128),
    description text,
    meta_data   jsonb,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_newest ON dhg.events (created_at DESC, id DESC);
CREATE INDEX events_event_type ON dhg.events (event_type, created_at DESC, id DESC);
CREATE INDEX events_entity_type ON dhg.events (entity_type, created_at DESC, id DESC);
CREATE INDEX events_entity_id ON dhg.events (entity_id, created_at DESC, id DESC) WHERE entity_id IS NOT NULL;

CREATE TABLE dhg.projects (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name                varchar(512) NOT NULL,
    project_id          varchar(256) CONSTRAINT projects_project_id_key UNIQUE,
    description         text,
    custom_instructions text,
    knowledge_files     jsonb,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    meta_data           jsonb
);
CREATE INDEX projects_newest ON dhg.projects (created_at DESC, id DESC);

CREATE TABLE dhg.conversations (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title           varchar(1024) NOT NULL,
    conversation_id varchar(256) CONSTRAINT conversations_conversation_id_key UNIQUE,
    export_source   varchar(64) NOT NULL,
    model_name      varchar(128),
    project_id      uuid CONSTRAINT conversations_project_id_fkey REFERENCES dhg.projects ON DELETE SET NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    meta_data       jsonb
);
CREATE INDEX conversations_newest ON dhg.conversations (created_at DESC, id DESC);
CREATE INDEX conversations_project_id ON dhg.conversations (project_id, created_at DESC, id DESC);
CREATE INDEX conversations_export_source ON dhg.conversations (export_source, created_at DESC, id DESC);

-- Lower case in every script: a database of the C locale lowers nothing but A to Z by itself. Servers built without ICU do what they can.
DO $do$ BEGIN
    EXECUTE format('CREATE FUNCTION dhg.fold(content text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $f$ SELECT lower(content%s) $f$',
        CASE WHEN EXISTS (SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu') THEN ' COLLATE "und-x-icu"' ELSE '' END);
END $do$;

-- In place of the original's plain index, which 1,024 characters can be too long for.
CREATE INDEX conversations_title_trigrams ON dhg.conversations USING gin (dhg.fold(title) gin_trgm_ops);

-- A text's words for searching. Punctuation ends a word: the parser would otherwise keep "lib/mail.py" and "api.example.com" whole, and
-- nobody would find them by a part. Words end at 100,000 characters: a tsvector holds 1 MB, and a longer text must not be refused.
CREATE FUNCTION dhg.words(content text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('pg_catalog.english'::regconfig, translate(dhg.fold(left(content, 100000)), './\-_@:#&?=+*~%<>|''"()[]{},;!$^`', repeat(' ', 32)))
$$;

-- For words too short to have trigrams.
CREATE INDEX conversations_title_words ON dhg.conversations USING gin (dhg.words(title));

CREATE TABLE dhg.messages (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL CONSTRAINT messages_conversation_id_fkey REFERENCES dhg.conversations ON DELETE CASCADE,
    message_index   integer NOT NULL,
    role            varchar(32) NOT NULL,
    content         text NOT NULL,
    -- Any JSON: the importer stores arrays.
    attachments     jsonb,
    created_at      timestamptz NOT NULL DEFAULT now(),
    meta_data       jsonb,
    search          tsvector GENERATED ALWAYS AS (dhg.words(content)) STORED
);
-- Not unique: merging an export adds its messages again.
CREATE INDEX messages_conversation_id ON dhg.messages (conversation_id, message_index, id);
CREATE INDEX messages_newest ON dhg.messages (created_at DESC, id DESC);
-- A short pending list: every search reads it from end to end.
CREATE INDEX messages_search ON dhg.messages USING gin (search) WITH (gin_pending_list_limit = 512);

-- Messages that match, at most so many, in bounded time. The index has to collect all of a word's messages before it gives the first: a tenth of a
-- second for a word of a few hundred thousand. So the newest messages are walked for a word that the statistics call frequent, where it is met soon,
-- and the index is asked for the others. A NULL query matches nothing. Volatile only because EXPLAIN is not allowed otherwise.
CREATE FUNCTION dhg.find_messages(query tsquery, cap integer) RETURNS TABLE (id uuid, conversation_id uuid, rank real) LANGUAGE plpgsql ROWS 100
    -- The planner takes what it has no statistics of for frequent and would rather read the whole table for a word that nothing matches.
    SET enable_seqscan = off SET max_parallel_workers_per_gather = 0 SET jit = off SET work_mem = '16MB'
AS $$
DECLARE
    frequent CONSTANT integer := 20000;
    walked   CONSTANT integer := 10000;
    plan     json;
    found    integer := 0;
BEGIN
    IF query IS NULL OR numnode(query) = 0 THEN RETURN; END IF;
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM dhg.messages WHERE search @@ %L::tsquery', query) INTO plan;
    IF (plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint > frequent THEN
        RETURN QUERY SELECT m.id, m.conversation_id, ts_rank(m.search, query)
            FROM (SELECT n.id, n.conversation_id, n.search FROM dhg.messages n ORDER BY n.created_at DESC, n.id DESC LIMIT walked) m
            WHERE m.search @@ query LIMIT cap;
        GET DIAGNOSTICS found = ROW_COUNT;
    END IF;
    -- Statistics may be old, and a word frequent once and not lately.
    IF found < 50 THEN
        RETURN QUERY SELECT m.id, m.conversation_id, ts_rank(m.search, query) FROM dhg.messages m WHERE m.search @@ query LIMIT cap;
    END IF;
END $$;

CREATE TABLE dhg.artifacts (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL CONSTRAINT artifacts_conversation_id_fkey REFERENCES dhg.conversations ON DELETE CASCADE,
    message_id      uuid CONSTRAINT artifacts_message_id_fkey REFERENCES dhg.messages ON DELETE SET NULL,
    title           varchar(512) NOT NULL,
    artifact_type   varchar(64) NOT NULL,
    language        varchar(64),
    content         text NOT NULL,
    file_path       varchar(1024),
    published_url   varchar(1024),
    created_at      timestamptz NOT NULL DEFAULT now(),
    meta_data       jsonb
);
CREATE INDEX artifacts_newest ON dhg.artifacts (created_at DESC, id DESC);
CREATE INDEX artifacts_conversation_id ON dhg.artifacts (conversation_id, created_at, id);
CREATE INDEX artifacts_message_id ON dhg.artifacts (message_id);
CREATE INDEX artifacts_artifact_type ON dhg.artifacts (artifact_type, created_at DESC, id DESC);

CREATE TABLE dhg.agents (
    id                      varchar(255) PRIMARY KEY,
    name                    varchar(255) NOT NULL,
    version                 varchar(50) NOT NULL,
    division                varchar(100) NOT NULL,
    type                    varchar(100) NOT NULL,
    description             text,
    deployment_type         varchar(50) NOT NULL DEFAULT 'langsmith_cloud',
    deployment_url          text,
    langsmith_deployment_id varchar(255),
    langsmith_org           varchar(255),
    github_repo             varchar(255),
    github_branch           varchar(100) DEFAULT 'main',
    github_path             varchar(255),
    endpoint                text,
    capabilities            jsonb,
    io_schema               jsonb,
    models                  jsonb,
    external_apis           jsonb,
    observability           jsonb,
    status                  varchar(50) NOT NULL DEFAULT 'healthy',
    last_heartbeat          timestamptz,
    registered_at           timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
-- One for each filter of the list; not the status, so that a heartbeat changes no index.
CREATE INDEX agents_type ON dhg.agents (type);
CREATE INDEX agents_division ON dhg.agents (division);
CREATE INDEX agents_deployment_type ON dhg.agents (deployment_type);

CREATE TABLE dhg.agent_heartbeats (
    id                          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id                    varchar(255) NOT NULL REFERENCES dhg.agents ON DELETE CASCADE,
    status                      varchar(50) NOT NULL,
    timestamp                   timestamptz NOT NULL DEFAULT now(),
    models                      jsonb,
    requests_total              integer NOT NULL DEFAULT 0,
    requests_success            integer NOT NULL DEFAULT 0,
    requests_failed             integer NOT NULL DEFAULT 0,
    avg_latency_ms              double precision NOT NULL DEFAULT 0,
    total_tokens                integer NOT NULL DEFAULT 0,
    total_cost_usd              double precision NOT NULL DEFAULT 0,
    langsmith_deployment_status varchar(50),
    langsmith_traces_count      integer,
    deployment_tier             varchar(50)
);
CREATE INDEX agent_heartbeats_agent_id ON dhg.agent_heartbeats (agent_id, timestamp DESC);
-- For pruning by age.
CREATE INDEX agent_heartbeats_timestamp ON dhg.agent_heartbeats (timestamp);

CREATE TABLE dhg.antigravity_chats (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id text NOT NULL CONSTRAINT antigravity_chats_conversation_id_key UNIQUE,
    title           text,
    summary         text,
    user_objective  text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_modified   timestamptz NOT NULL DEFAULT now(),
    message_count   integer NOT NULL DEFAULT 0,
    total_tokens    integer NOT NULL DEFAULT 0,
    total_cost_usd  double precision NOT NULL DEFAULT 0,
    status          text NOT NULL DEFAULT 'active',
    tags            text[],
    metadata        jsonb
);
CREATE INDEX antigravity_chats_newest ON dhg.antigravity_chats (last_modified DESC, id DESC);
CREATE INDEX antigravity_chats_status ON dhg.antigravity_chats (status, last_modified DESC, id DESC);

CREATE TABLE dhg.antigravity_files (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id text NOT NULL CONSTRAINT antigravity_files_conversation_id_fkey REFERENCES dhg.antigravity_chats (conversation_id) ON DELETE CASCADE,
    file_path       text NOT NULL,
    file_type       text,
    file_size_bytes bigint,
    artifact_type   text,
    summary         text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_modified   timestamptz NOT NULL DEFAULT now(),
    metadata        jsonb
);
CREATE INDEX antigravity_files_newest ON dhg.antigravity_files (created_at DESC, id DESC);
CREATE INDEX antigravity_files_conversation_id ON dhg.antigravity_files (conversation_id, created_at DESC, id DESC);
CREATE INDEX antigravity_files_artifact_type ON dhg.antigravity_files (artifact_type, created_at DESC, id DESC);

-- Its times are UTC without a zone, as in the original.
CREATE TABLE dhg.research_requests (
    request_id          varchar PRIMARY KEY,
    user_id             varchar NOT NULL,
    agent_type          varchar NOT NULL DEFAULT 'cme_research',
    status              varchar NOT NULL DEFAULT 'pending',
    input_params        jsonb NOT NULL,
    output_summary      jsonb,
    processing_metadata jsonb,
    error_message       text,
    created_at          timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    started_at          timestamp,
    completed_at        timestamp,
    updated_at          timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE INDEX research_requests_newest ON dhg.research_requests (created_at DESC, request_id DESC);
CREATE INDEX research_requests_user_id ON dhg.research_requests (user_id, created_at DESC, request_id DESC);
CREATE INDEX research_requests_status ON dhg.research_requests (status, created_at DESC, request_id DESC);
