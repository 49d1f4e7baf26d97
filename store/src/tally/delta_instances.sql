-- What the blocks from $1 to $2 add to token_instances; $4 is 1, or -1 to take it away.
SELECT token, token_id, $4 * count(*) AS transfer_count,
       $4 * coalesce(sum(amount) FILTER (WHERE from_address = '\x0000000000000000000000000000000000000000'), 0) AS minted,
       $4 * coalesce(sum(amount) FILTER (WHERE to_address = '\x0000000000000000000000000000000000000000'), 0) AS burnt
FROM token_transfers
WHERE block_number BETWEEN $1 AND $2 AND token_id IS NOT NULL AND $3 > 0
GROUP BY token, token_id
