-- History is merged into the counters in two lanes at the same time, which never change the same row: each
-- has the addresses and the tokens whose last byte is even, or odd. How far each is, it writes itself. A
-- merge without lanes is one that an earlier version began: everything is counted again.
CREATE TABLE tally_progress (
    lane  smallint PRIMARY KEY,
    stage smallint NOT NULL,
    row   bigint   NOT NULL
);
COMMENT ON TABLE tally_progress IS 'How far the merge of tally_state.pending is, lane by lane; empty while nothing is pending.';
COMMENT ON COLUMN tally_progress.stage IS 'Which of the five tables is being merged; 5: all are.';
COMMENT ON COLUMN tally_progress.row IS 'Rows of that table that are merged.';
ALTER TABLE tally_state DROP COLUMN pending_stage, DROP COLUMN pending_row;
COMMENT ON COLUMN tally_state.pending IS 'History that is being added: some of its rows are in, as far as tally_progress says.';
