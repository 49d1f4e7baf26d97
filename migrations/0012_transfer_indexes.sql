-- Narrower: what a page needs is the height; within a block its few rows are sorted when they are read.
-- One statement each: an index of a hypertable cannot be dropped along with others.
DROP INDEX token_transfers_token;
DROP INDEX token_transfers_from;
DROP INDEX token_transfers_to;
CREATE INDEX token_transfers_token ON token_transfers (token, block_number);
CREATE INDEX token_transfers_from  ON token_transfers (from_address, block_number);
CREATE INDEX token_transfers_to    ON token_transfers (to_address, block_number);
