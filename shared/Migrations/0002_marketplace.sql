-- The agent marketplace (agentx).
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE SCHEMA marketplace;

CREATE TABLE marketplace.users (
    id           uuid PRIMARY KEY,
    -- GitHub's id, which survives a rename; negative for accounts of the development sign-in.
    github_id    bigint NOT NULL CONSTRAINT users_github_id_key UNIQUE,
    username     text NOT NULL,
    display_name text,
    email        text,
    avatar_url   text,
    bio          text,
    website      text,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
-- GitHub logins are case-insensitive. A login that GitHub gave to somebody else after a rename moves with it (UserStore.UpsertAsync).
CREATE UNIQUE INDEX users_username_key ON marketplace.users (lower(username));

CREATE TABLE marketplace.tokens (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES marketplace.users ON DELETE CASCADE,
    -- SHA-256 of the token: a copy of this table signs nobody in.
    hash         bytea NOT NULL CONSTRAINT tokens_hash_key UNIQUE,
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz
);
CREATE INDEX tokens_user_id ON marketplace.tokens (user_id);

-- One sign-in under way; a row is used once.
CREATE TABLE marketplace.oauth_states (
    hash         bytea PRIMARY KEY,
    redirect_uri text NOT NULL,
    expires_at   timestamptz NOT NULL
);

CREATE TABLE marketplace.agents (
    id             uuid PRIMARY KEY,
    -- With '@', in the case it was first published with; identity ignores case.
    scope          text NOT NULL,
    name           text NOT NULL,
    author_id      uuid NOT NULL REFERENCES marketplace.users,
    -- From here to mcp_servers: of the latest version, so that list and detail read one row.
    description    text NOT NULL,
    readme         text NOT NULL,
    category       text,
    tags           text[] NOT NULL,
    license        text NOT NULL,
    repository     text,
    homepage       text,
    latest_version text,
    permissions    jsonb,
    examples       jsonb,
    mcp_servers    text[] NOT NULL,
    is_verified    boolean NOT NULL DEFAULT false,
    is_featured    boolean NOT NULL DEFAULT false,
    is_deprecated  boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    -- Weights: name A, tags B, description C, the readme's beginning D.
    search         tsvector NOT NULL
);
CREATE UNIQUE INDEX agents_scope_name_key ON marketplace.agents (lower(scope), name);
CREATE INDEX agents_search ON marketplace.agents USING gin (search);
CREATE INDEX agents_name_trigrams ON marketplace.agents USING gin (name gin_trgm_ops);

-- What lists are sorted and filtered by, apart from agents: a counted download touches this small row and its indexes only,
-- not the full-text ones. is_listed: has a published version and is not deprecated.
CREATE TABLE marketplace.agent_counters (
    agent_id       uuid PRIMARY KEY REFERENCES marketplace.agents ON DELETE CASCADE,
    author_id      uuid NOT NULL,
    category       text,
    is_listed      boolean NOT NULL,
    created_at     timestamptz NOT NULL,
    download_count bigint NOT NULL DEFAULT 0,
    star_count     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE INDEX agent_counters_downloads ON marketplace.agent_counters (download_count DESC, agent_id) WHERE is_listed;
CREATE INDEX agent_counters_stars ON marketplace.agent_counters (star_count DESC, agent_id) WHERE is_listed;
CREATE INDEX agent_counters_newest ON marketplace.agent_counters (created_at DESC, agent_id) WHERE is_listed;
CREATE INDEX agent_counters_category_downloads ON marketplace.agent_counters (category, download_count DESC, agent_id) WHERE is_listed;
CREATE INDEX agent_counters_category_stars ON marketplace.agent_counters (category, star_count DESC, agent_id) WHERE is_listed;
CREATE INDEX agent_counters_category_newest ON marketplace.agent_counters (category, created_at DESC, agent_id) WHERE is_listed;
CREATE INDEX agent_counters_author ON marketplace.agent_counters (author_id, download_count DESC, agent_id) WHERE is_listed;

CREATE TABLE marketplace.agent_versions (
    id              uuid PRIMARY KEY,
    agent_id        uuid NOT NULL REFERENCES marketplace.agents ON DELETE CASCADE,
    version         text NOT NULL,
    blob_name       text NOT NULL,
    sha256          text NOT NULL,
    size_bytes      bigint NOT NULL,
    manifest        jsonb NOT NULL,
    readme          text NOT NULL,
    download_count  bigint NOT NULL DEFAULT 0,
    published_at    timestamptz NOT NULL,
    -- An unpublished version stays reserved: nobody can put other bytes under a version that was once installed.
    unpublished_at  timestamptz,
    CONSTRAINT agent_versions_agent_id_version_key UNIQUE (agent_id, version)
);
CREATE INDEX agent_versions_newest ON marketplace.agent_versions (agent_id, published_at DESC, id);
CREATE UNIQUE INDEX agent_versions_blob_name ON marketplace.agent_versions (blob_name);

-- How many visible agents a category has, moved by trigger in the publishing transaction, so that no list counts a million rows.
-- Sixteen rows per category: concurrent publishers seldom meet on one.
CREATE TABLE marketplace.category_counts (
    category text NOT NULL,
    shard    smallint NOT NULL,
    agents   bigint NOT NULL,
    PRIMARY KEY (category, shard)
);

CREATE FUNCTION marketplace.count_agent() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before text := NULL;
    after  text := NULL;
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.is_listed THEN before := coalesce(OLD.category, ''); END IF;
    IF TG_OP <> 'DELETE' AND NEW.is_listed THEN after := coalesce(NEW.category, ''); END IF;
    IF before IS DISTINCT FROM after THEN
        INSERT INTO marketplace.category_counts AS c (category, shard, agents)
        SELECT change.category, pg_backend_pid() % 16, change.delta FROM (VALUES (before, -1), (after, 1)) AS change (category, delta)
        WHERE change.category IS NOT NULL ORDER BY change.category
        ON CONFLICT (category, shard) DO UPDATE SET agents = c.agents + excluded.agents;
    END IF;
    RETURN NULL;
END $$;
-- Not on every update: a counted download moves neither of these columns.
CREATE TRIGGER agents_counted AFTER INSERT OR DELETE OR UPDATE OF is_listed, category ON marketplace.agent_counters
    FOR EACH ROW EXECUTE FUNCTION marketplace.count_agent();

CREATE TABLE marketplace.stars (
    agent_id   uuid NOT NULL REFERENCES marketplace.agents ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES marketplace.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (agent_id, user_id)
);
CREATE INDEX stars_user_id ON marketplace.stars (user_id);

-- Downloads per agent and hour: trending sums at most 720 rows of each agent that was downloaded at all. Kept for 31 days.
CREATE TABLE marketplace.download_hours (
    hour      timestamptz NOT NULL,
    agent_id  uuid NOT NULL REFERENCES marketplace.agents ON DELETE CASCADE,
    downloads bigint NOT NULL,
    PRIMARY KEY (hour, agent_id)
);
CREATE INDEX download_hours_agent_id ON marketplace.download_hours (agent_id);

CREATE TABLE marketplace.telemetry (
    id          uuid PRIMARY KEY,
    agent_id    uuid REFERENCES marketplace.agents ON DELETE SET NULL,
    agent_name  text NOT NULL,
    version     text,
    success     boolean NOT NULL,
    duration_ms integer NOT NULL,
    error_type  text,
    os          text,
    cli_version text,
    created_at  timestamptz NOT NULL
);
CREATE INDEX telemetry_agent_id ON marketplace.telemetry (agent_id, created_at);
