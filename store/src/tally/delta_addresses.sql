-- What the blocks from $1 to $2 add to address_totals, in buckets of $3 blocks; $4 is 1, or -1 to take
-- it away. An address that is both parties of a transaction or a transfer took part once. Each part is
-- grouped by itself first: a bucket has millions of rows and far fewer addresses.
SELECT address, bucket,
       $4 * sum(tx)::bigint AS tx_count, $4 * sum(sent)::bigint AS sent_count,
       $4 * sum(received)::bigint AS received_count, $4 * sum(created)::bigint AS created_count,
       $4 * sum(moved)::bigint AS transfer_count, $4 * sum(emitted)::bigint AS emitted_count
FROM (
    SELECT from_address AS address, block_number / $3 AS bucket, count(*) AS tx, count(*) AS sent,
           count(*) FILTER (WHERE to_address = from_address) AS received, 0 AS created, 0 AS moved, 0 AS emitted
    FROM transactions WHERE block_number BETWEEN $1 AND $2 GROUP BY 1, 2
    UNION ALL
    SELECT to_address, block_number / $3, count(*), 0, count(*), 0, 0, 0
    FROM transactions WHERE block_number BETWEEN $1 AND $2 AND to_address <> from_address GROUP BY 1, 2
    UNION ALL
    SELECT contract_address, block_number / $3, count(*), 0, 0, count(*), 0, 0
    FROM transactions WHERE block_number BETWEEN $1 AND $2 AND contract_address IS NOT NULL GROUP BY 1, 2
    UNION ALL
    SELECT from_address, block_number / $3, 0, 0, 0, 0, count(*), 0
    FROM token_transfers WHERE block_number BETWEEN $1 AND $2 GROUP BY 1, 2
    UNION ALL
    SELECT to_address, block_number / $3, 0, 0, 0, 0, count(*), 0
    FROM token_transfers WHERE block_number BETWEEN $1 AND $2 AND to_address <> from_address GROUP BY 1, 2
    UNION ALL
    SELECT token, block_number / $3, 0, 0, 0, 0, 0, count(*)
    FROM token_transfers WHERE block_number BETWEEN $1 AND $2 GROUP BY 1, 2
) AS parts
GROUP BY address, bucket
