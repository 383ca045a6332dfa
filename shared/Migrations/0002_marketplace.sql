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
    -- Weights: name A, tags B, description C, the readme's beginning D. And '§' with the category, which no typed word can be:
    -- the index then intersects words and category by itself.
    search         tsvector NOT NULL
);
CREATE UNIQUE INDEX agents_scope_name_key ON marketplace.agents (lower(scope), name);
CREATE INDEX agents_search ON marketplace.agents USING gin (search) WHERE latest_version IS NOT NULL AND NOT is_deprecated;

-- Visible agents that match, at most so many, always through the index. The planner takes every prefix for frequent and would rather walk
-- the whole table for one that nothing matches: 1.1 s instead of 0.2 ms with 200,000 agents.
CREATE FUNCTION marketplace.search_agents(query tsquery, cap integer) RETURNS SETOF uuid LANGUAGE sql STABLE ROWS 1000
    SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off SET max_parallel_workers_per_gather = 0 SET jit = off
AS $$
    SELECT id FROM marketplace.agents WHERE search @@ query AND latest_version IS NOT NULL AND NOT is_deprecated LIMIT cap
$$;
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
-- All descending, so that a cursor is one row comparison, which an index starts at; most agents share a few counts.
CREATE INDEX agent_counters_downloads ON marketplace.agent_counters (download_count DESC, agent_id DESC) WHERE is_listed;
CREATE INDEX agent_counters_stars ON marketplace.agent_counters (star_count DESC, agent_id DESC) WHERE is_listed;
CREATE INDEX agent_counters_newest ON marketplace.agent_counters (created_at DESC, agent_id DESC) WHERE is_listed;
CREATE INDEX agent_counters_category_downloads ON marketplace.agent_counters (category, download_count DESC, agent_id DESC) WHERE is_listed;
CREATE INDEX agent_counters_category_stars ON marketplace.agent_counters (category, star_count DESC, agent_id DESC) WHERE is_listed;
CREATE INDEX agent_counters_category_newest ON marketplace.agent_counters (category, created_at DESC, agent_id DESC) WHERE is_listed;
CREATE INDEX agent_counters_author ON marketplace.agent_counters (author_id, download_count DESC, agent_id DESC) WHERE is_listed;

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

-- Downloads per agent and hour. Kept for 31 days.
CREATE TABLE marketplace.download_hours (
    hour      timestamptz NOT NULL,
    agent_id  uuid NOT NULL REFERENCES marketplace.agents ON DELETE CASCADE,
    downloads bigint NOT NULL,
    PRIMARY KEY (hour, agent_id)
);
CREATE INDEX download_hours_agent_id ON marketplace.download_hours (agent_id);

-- The sums of those hours that trending is read from by index: added by trigger, taken off as hours leave a period (move_trends).
-- Summing the hours of a month when asked took 1.2 s with 1.4 million of them.
CREATE TABLE marketplace.agent_trends (
    agent_id uuid PRIMARY KEY REFERENCES marketplace.agents ON DELETE CASCADE,
    day      bigint NOT NULL,
    week     bigint NOT NULL,
    month    bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX agent_trends_day ON marketplace.agent_trends (day DESC, agent_id DESC);
CREATE INDEX agent_trends_week ON marketplace.agent_trends (week DESC, agent_id DESC);
CREATE INDEX agent_trends_month ON marketplace.agent_trends (month DESC, agent_id DESC);

-- One row: the first hour that each sum holds.
CREATE TABLE marketplace.trend_periods (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    day_from   timestamptz NOT NULL,
    week_from  timestamptz NOT NULL,
    month_from timestamptz NOT NULL
);
INSERT INTO marketplace.trend_periods (day_from, week_from, month_from) VALUES (now() - interval '1 day', now() - interval '7 days', now() - interval '30 days');

CREATE FUNCTION marketplace.count_trend() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    period marketplace.trend_periods;
    agent  uuid := CASE TG_OP WHEN 'DELETE' THEN OLD.agent_id ELSE NEW.agent_id END;
    day    bigint := 0;
    week   bigint := 0;
    month  bigint := 0;
BEGIN
    SELECT * INTO period FROM marketplace.trend_periods;
    IF TG_OP <> 'DELETE' THEN
        IF NEW.hour >= period.day_from THEN day := NEW.downloads; END IF;
        IF NEW.hour >= period.week_from THEN week := NEW.downloads; END IF;
        IF NEW.hour >= period.month_from THEN month := NEW.downloads; END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        IF OLD.hour >= period.day_from THEN day := day - OLD.downloads; END IF;
        IF OLD.hour >= period.week_from THEN week := week - OLD.downloads; END IF;
        IF OLD.hour >= period.month_from THEN month := month - OLD.downloads; END IF;
    END IF;
    IF (day, week, month) <> (0, 0, 0) THEN
        INSERT INTO marketplace.agent_trends AS t (agent_id, day, week, month) VALUES (agent, day, week, month)
        ON CONFLICT (agent_id) DO UPDATE SET day = t.day + excluded.day, week = t.week + excluded.week, month = t.month + excluded.month;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER download_hours_counted AFTER INSERT OR UPDATE OR DELETE ON marketplace.download_hours
    FOR EACH ROW EXECUTE FUNCTION marketplace.count_trend();

-- Takes off the hours that left a period since the last call. Downloads under way add to the present hour only, which no period is leaving.
CREATE FUNCTION marketplace.move_trends(present timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old marketplace.trend_periods;
    new marketplace.trend_periods;
BEGIN
    SELECT * INTO old FROM marketplace.trend_periods FOR UPDATE;
    new := old;
    new.day_from := greatest(old.day_from, present - interval '1 day');
    new.week_from := greatest(old.week_from, present - interval '7 days');
    new.month_from := greatest(old.month_from, present - interval '30 days');
    UPDATE marketplace.agent_trends t SET day = t.day - gone.day, week = t.week - gone.week, month = t.month - gone.month
    FROM (
        SELECT agent_id, coalesce(sum(downloads) FILTER (WHERE hour >= old.day_from AND hour < new.day_from), 0) AS day,
            coalesce(sum(downloads) FILTER (WHERE hour >= old.week_from AND hour < new.week_from), 0) AS week,
            coalesce(sum(downloads) FILTER (WHERE hour >= old.month_from AND hour < new.month_from), 0) AS month
        FROM marketplace.download_hours
        WHERE (hour >= old.day_from AND hour < new.day_from) OR (hour >= old.week_from AND hour < new.week_from)
            OR (hour >= old.month_from AND hour < new.month_from)
        GROUP BY agent_id) gone
    WHERE t.agent_id = gone.agent_id;
    UPDATE marketplace.trend_periods SET day_from = new.day_from, week_from = new.week_from, month_from = new.month_from;
END $$;

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
