-- Per section 64 bytes that say which trigrams it may have (SectionSignature.cs); empty in segments made before, which are read whole.
ALTER TABLE indexagent.segments ADD COLUMN signatures bytea NOT NULL DEFAULT '';
-- Half of the bits are set, at random: compressing would only cost time.
ALTER TABLE indexagent.segments ALTER COLUMN signatures SET STORAGE EXTERNAL;
