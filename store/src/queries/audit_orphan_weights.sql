-- The same for the blocks that one reorg ($3) dropped.
SELECT number, sum(bytes)::bigint
FROM (
    SELECT number, (1000 + octet_length(extra_data))::bigint AS bytes
    FROM orphaned_blocks WHERE reorg_id = $3 AND number BETWEEN $1 AND $2
    UNION ALL
    SELECT block_number, (1500 + octet_length(input) + coalesce(4 * pg_column_size(access_list), 0)
                          + coalesce(4 * pg_column_size(authorization_list), 0))::bigint
    FROM orphaned_transactions WHERE reorg_id = $3 AND block_number BETWEEN $1 AND $2
    UNION ALL
    SELECT block_number, (300 + octet_length(data))::bigint
    FROM orphaned_logs WHERE reorg_id = $3 AND block_number BETWEEN $1 AND $2
    UNION ALL
    SELECT block_number, 100 FROM orphaned_withdrawals
    WHERE reorg_id = $3 AND block_number BETWEEN $1 AND $2
) AS rows
GROUP BY number ORDER BY number
