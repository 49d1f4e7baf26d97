-- What the blocks from $1 to $2 add to nft_balances; $4 is 1, or -1 to take it away.
SELECT x.token, x.token_id, p.holder, $4 * sum(p.amount) AS delta
FROM token_transfers x CROSS JOIN LATERAL (VALUES
    (x.to_address, x.amount), (x.from_address, -x.amount)
) AS p(holder, amount)
WHERE x.block_number BETWEEN $1 AND $2 AND x.token_id IS NOT NULL
  AND p.holder <> '\x0000000000000000000000000000000000000000' AND $3 > 0
GROUP BY x.token, x.token_id, p.holder
HAVING sum(p.amount) <> 0
