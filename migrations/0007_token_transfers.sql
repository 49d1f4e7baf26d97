-- Token transfers, decoded from proven logs in the same commit, and what blocks credit by themselves.
--
-- One row a transfer: ERC-20, ERC-721, each item of an ERC-1155 transfer, deposits into and withdrawals
-- from wrapped native coins. A wallet's page merges two index ranges (from, to) and is never an OR over
-- both; both are read between two heights, so that one chunk is opened and not all.

CREATE TABLE token_transfers (
    block_number bigint   NOT NULL,
    log_index    integer  NOT NULL,
    tx_index     integer  NOT NULL,
    position     integer  NOT NULL,
    kind         smallint NOT NULL,
    token        bytea    NOT NULL,
    from_address bytea    NOT NULL,
    to_address   bytea    NOT NULL,
    token_id     numeric(78, 0),
    amount       numeric(78, 0) NOT NULL,
    PRIMARY KEY (block_number, log_index, position)
);
CREATE INDEX token_transfers_token ON token_transfers (token, block_number, log_index, position);
CREATE INDEX token_transfers_from  ON token_transfers (from_address, block_number, log_index, position);
CREATE INDEX token_transfers_to    ON token_transfers (to_address, block_number, log_index, position);
COMMENT ON TABLE token_transfers IS 'Token transfers of the canonical chain, as their logs say.';
COMMENT ON COLUMN token_transfers.position IS 'Position within a batch (ERC-1155 TransferBatch); 0 for all others.';
COMMENT ON COLUMN token_transfers.kind IS '1 = ERC-20, 2 = ERC-721, 3 = ERC-1155, 4 = deposit (native coin wrapped), 5 = withdrawal (unwrapped).';
COMMENT ON COLUMN token_transfers.from_address IS 'The zero address for mints and deposits.';
COMMENT ON COLUMN token_transfers.to_address IS 'The zero address for burns and withdrawals.';
COMMENT ON COLUMN token_transfers.token_id IS 'Which token (ERC-721, ERC-1155); null for fungible ones.';
COMMENT ON COLUMN token_transfers.amount IS 'Base units; 1 for ERC-721.';

CREATE TABLE block_credits (
    block_number bigint   NOT NULL,
    kind         smallint NOT NULL,
    address      bytea    NOT NULL,
    amount       numeric(78, 0) NOT NULL,
    PRIMARY KEY (address, block_number, kind)
);
COMMENT ON TABLE block_credits IS 'Native coin that a block credits outside of its transactions'' values.';
COMMENT ON COLUMN block_credits.kind IS '1 = fees to the block''s producer, burnt fees left out; 2 = withdrawals from the consensus layer, summed.';
COMMENT ON COLUMN block_credits.amount IS 'Wei. A producer''s row is there, with 0, on chains with proof of work as well: static rewards follow from it.';

COMMENT ON COLUMN block_stats.token_transfers IS 'Token transfers, one for each item of a batch.';
