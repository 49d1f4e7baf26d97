-- How many bytes the rows of each height take in memory, by what varies: measured and not believed,
-- since a damaged row may say anything of itself. Long values are not read for it.
SELECT number, sum(bytes)::bigint
FROM (
    SELECT number, (1000 + octet_length(extra_data))::bigint AS bytes
    FROM blocks WHERE number BETWEEN $1 AND $2
    UNION ALL
    SELECT block_number, (1500 + octet_length(input) + coalesce(4 * pg_column_size(access_list), 0)
                          + coalesce(4 * pg_column_size(authorization_list), 0))::bigint
    FROM transactions WHERE block_number BETWEEN $1 AND $2
    UNION ALL
    SELECT block_number, (300 + octet_length(data))::bigint
    FROM logs WHERE block_number BETWEEN $1 AND $2
    UNION ALL
    SELECT block_number, 100 FROM withdrawals WHERE block_number BETWEEN $1 AND $2
) AS rows
GROUP BY number ORDER BY number
