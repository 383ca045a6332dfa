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
