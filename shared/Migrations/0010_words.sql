-- The words of names, tags and descriptions as they were written, for what is still being typed. The full-text index gathers every term that begins
-- with what was typed, which grows with the number of agents; here the first few are found by the key.
CREATE TABLE marketplace.words (word text COLLATE "C" PRIMARY KEY);

-- In the parser's order, which is the same for everybody: two publishers of the same new words must not wait for each other.
CREATE FUNCTION marketplace.words_of(name text, tags text[], description text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT lexeme FROM unnest(tsvector_to_array(to_tsvector('simple', replace(name, '-', ' ') || ' ' || array_to_string(tags, ' ') || ' ' || coalesce(description, '')))) AS lexeme
    WHERE lexeme ~ '^[[:alnum:]]{2,40}$'
$$;

INSERT INTO marketplace.words
SELECT DISTINCT word FROM marketplace.agents a CROSS JOIN LATERAL marketplace.words_of(a.name, a.tags, a.description) AS word ORDER BY word;

-- A word that half of all agents have makes a bitmap of as many rows, of which the function takes the first few thousand: kept by the page instead of by the
-- row it takes half the time with a million agents. Rare words stay below the limit.
ALTER FUNCTION marketplace.search_agents(tsquery, integer) SET work_mem = '256kB';
