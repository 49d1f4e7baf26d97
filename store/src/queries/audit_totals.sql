-- What derived tables hold in all, beside what must follow from the blocks and transactions. Rows of
-- a block are compared one by one elsewhere; this finds rows that belong to no block.
SELECT 'rows of tx_lookup', (SELECT count(*) FROM tx_lookup), (SELECT count(*) FROM transactions)
UNION ALL
SELECT 'rows of block_lookup', (SELECT count(*) FROM block_lookup), (SELECT count(*) FROM blocks)
UNION ALL
SELECT 'rows of block_stats', (SELECT count(*) FROM block_stats), (SELECT count(*) FROM blocks)
UNION ALL
SELECT 'rows of logs', (SELECT count(*) FROM logs),
       (SELECT coalesce(sum(log_count), 0)::bigint FROM blocks)
UNION ALL
SELECT 'rows of transactions', (SELECT count(*) FROM transactions),
       (SELECT coalesce(sum(tx_count), 0)::bigint FROM blocks)
UNION ALL
SELECT 'rows of withdrawals', (SELECT count(*) FROM withdrawals),
       (SELECT count(*) FROM withdrawals JOIN blocks ON number = block_number)
UNION ALL
SELECT 'rows of address_activity', (SELECT count(*) FROM address_activity),
       (SELECT count(*) FROM (
           SELECT block_number, tx_index, from_address FROM transactions
           UNION SELECT block_number, tx_index, to_address FROM transactions WHERE to_address IS NOT NULL
           UNION SELECT block_number, tx_index, contract_address FROM transactions WHERE contract_address IS NOT NULL
       ) AS parts)
