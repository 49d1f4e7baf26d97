-- How far a piece of history is merged into the counters is told in rows, no longer in pages of a
-- temporary table: the same rows in the same order are put together in memory, too.
ALTER TABLE tally_state RENAME COLUMN pending_page TO pending_row;
COMMENT ON COLUMN tally_state.pending IS 'History that is being added: some of its rows are in, up to a row of a stage.';
COMMENT ON COLUMN tally_state.pending_stage IS 'Which of the tables is being merged; -1: not known, everything is counted again.';
UPDATE tally_state SET pending_stage = -1, pending_row = 0 WHERE pending IS NOT NULL;
