-- What reorgs removed. Canonical tables hold the canonical chain and nothing else; what a reorg
-- takes out of them is moved here, so that "was in block X, dropped by reorg Y" stays answerable.

CREATE TABLE reorgs (
    id              bigint      PRIMARY KEY,
    ancestor_number bigint      NOT NULL,
    ancestor_hash   bytea       NOT NULL,
    old_head_number bigint      NOT NULL,
    old_head_hash   bytea       NOT NULL,
    new_head_number bigint      NOT NULL,
    new_head_hash   bytea       NOT NULL,
    dropped_blocks  integer     NOT NULL,
    dropped_txs     integer     NOT NULL,
    detected_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE reorgs IS 'Every reorg that was followed; the id is the fork epoch it began.';

CREATE TABLE orphaned_blocks       (reorg_id bigint NOT NULL REFERENCES reorgs, LIKE blocks);
CREATE TABLE orphaned_withdrawals  (reorg_id bigint NOT NULL REFERENCES reorgs, LIKE withdrawals);
CREATE TABLE orphaned_transactions (reorg_id bigint NOT NULL REFERENCES reorgs, LIKE transactions);
CREATE TABLE orphaned_logs         (reorg_id bigint NOT NULL REFERENCES reorgs, LIKE logs);

-- A block can be dropped, come back and be dropped again: the reorg is part of the key.
ALTER TABLE orphaned_blocks       ADD PRIMARY KEY (reorg_id, number);
ALTER TABLE orphaned_withdrawals  ADD PRIMARY KEY (reorg_id, block_number, position);
ALTER TABLE orphaned_transactions ADD PRIMARY KEY (reorg_id, block_number, tx_index);
ALTER TABLE orphaned_logs         ADD PRIMARY KEY (reorg_id, block_number, log_index);

CREATE INDEX orphaned_blocks_hash       ON orphaned_blocks (hash);
CREATE INDEX orphaned_transactions_hash ON orphaned_transactions (hash);

COMMENT ON TABLE orphaned_blocks       IS 'Blocks that reorgs dropped, as they were.';
COMMENT ON TABLE orphaned_withdrawals  IS 'Withdrawals of dropped blocks.';
COMMENT ON TABLE orphaned_transactions IS 'Inclusions of transactions in dropped blocks; the same transaction may be canonical elsewhere.';
COMMENT ON TABLE orphaned_logs         IS 'Logs of dropped blocks.';
