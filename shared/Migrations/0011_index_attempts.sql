-- How often the present step of indexing was begun without coming to its end, so that an archive that kills every worker is given up.
ALTER TABLE indexagent.generations ADD COLUMN attempts integer NOT NULL DEFAULT 0;
