-- Counters as they would be in buckets of :bucket blocks, with some heights not counted yet.
UPDATE chain SET bucket_blocks = :bucket;
UPDATE tally_state SET blocks = blocks - int8multirange(int8range(:uncounted_low, :uncounted_high, '[]'));
TRUNCATE address_totals;
INSERT INTO address_totals
SELECT address, block_number / :bucket, sum(tx), sum(sent), sum(received), sum(created), sum(moved),
       sum(emitted), sum(internal)
FROM (
    SELECT address, block_number, 1 AS tx, roles & 1 AS sent, (roles & 2) / 2 AS received,
           (roles & 4) / 4 AS created, 0 AS moved, 0 AS emitted, 0 AS internal
    FROM address_activity
    UNION ALL SELECT from_address, block_number, 0, 0, 0, 0, 1, 0, 0 FROM token_transfers
    UNION ALL SELECT to_address, block_number, 0, 0, 0, 0, 1, 0, 0 FROM token_transfers
              WHERE to_address <> from_address
    UNION ALL SELECT token, block_number, 0, 0, 0, 0, 0, 1, 0 FROM token_transfers
) AS parts
WHERE block_number NOT BETWEEN :uncounted_low AND :uncounted_high
GROUP BY 1, 2;
-- Internal transfers are counted when they are read.
INSERT INTO address_totals
SELECT address, block_number / :bucket, 0, 0, 0, 0, 0, 0, count(*)
FROM (
    SELECT from_address AS address, block_number FROM internal_transfers
    UNION ALL SELECT to_address, block_number FROM internal_transfers WHERE to_address <> from_address
) AS parts
GROUP BY 1, 2
ON CONFLICT (address, bucket) DO UPDATE SET internal_count = excluded.internal_count;
UPDATE enrichment SET status = 'working',
    blocks = int8multirange(int8range(:traced_from, :head, '[]')) WHERE kind = 'traces';
-- What some tokens say of themselves.
INSERT INTO token_metadata
SELECT token, 1, 18, 'Token ' || left(encode(token, 'hex'), 4), 'T' || left(encode(token, 'hex'), 2), 1000000
FROM token_totals ORDER BY token LIMIT 3
ON CONFLICT (token) DO UPDATE SET read_at = 1, decimals = 18, name = excluded.name,
    symbol = excluded.symbol, total_supply = excluded.total_supply;
