-- What the blocks from $1 to $2 add to token_totals, holders left out; $4 is 1, or -1 to take it away.
SELECT token,
       $4 * count(*) FILTER (WHERE kind = 1) AS erc20_count,
       $4 * count(*) FILTER (WHERE kind = 2) AS erc721_count,
       $4 * count(*) FILTER (WHERE kind = 3) AS erc1155_count,
       $4 * count(*) FILTER (WHERE kind > 3) AS wrap_count,
       $4 * coalesce(sum(amount) FILTER (WHERE from_address = '\x0000000000000000000000000000000000000000'), 0) AS minted,
       $4 * coalesce(sum(amount) FILTER (WHERE to_address = '\x0000000000000000000000000000000000000000'), 0) AS burnt
FROM token_transfers
WHERE block_number BETWEEN $1 AND $2 AND $3 > 0
GROUP BY token
