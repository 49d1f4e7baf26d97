-- The balances there were are looked up one by one: a plan that reads the whole table for a few changes
-- is never right here, and statistics of a table that grows are always old.
WITH moved AS MATERIALIZED (
    SELECT d.holder, d.token, coalesce(b.balance, 0) AS before, coalesce(b.balance, 0) + d.delta AS after
    FROM ({delta}) AS d LEFT JOIN LATERAL (
        SELECT balance FROM token_balances
        WHERE holder = d.holder AND token = d.token LIMIT 1
    ) AS b ON true
), merged AS (
    INSERT INTO token_balances (holder, token, balance)
    SELECT holder, token, after FROM moved ORDER BY holder, token
    ON CONFLICT (holder, token) DO UPDATE SET balance = excluded.balance
)
INSERT INTO token_totals AS t (token, erc20_count, erc721_count, erc1155_count, wrap_count, holder_count,
                               minted, burnt)
SELECT token, 0, 0, 0, 0, sum((after > 0)::integer - (before > 0)::integer), 0, 0
FROM moved GROUP BY token
HAVING sum((after > 0)::integer - (before > 0)::integer) <> 0
ORDER BY token
ON CONFLICT (token) DO UPDATE SET holder_count = t.holder_count + excluded.holder_count
