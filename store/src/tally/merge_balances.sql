-- The balances there were are looked up one by one: a plan that reads the whole table for a few changes
-- is never right here, and statistics of a table that grows are always old. Nobody else changes balances
-- meanwhile (tally_state is locked), so those that were not found are new, and inserted as such.
WITH moved AS MATERIALIZED (
    SELECT d.holder, d.token, b.balance AS before, coalesce(b.balance, 0) + d.delta AS after
    FROM ({delta}) AS d LEFT JOIN LATERAL (
        SELECT balance FROM token_balances
        WHERE holder = d.holder AND token = d.token LIMIT 1
    ) AS b ON true
), added AS (
    INSERT INTO token_balances (holder, token, balance)
    SELECT holder, token, after FROM moved WHERE before IS NULL
), changed AS (
    INSERT INTO token_balances (holder, token, balance)
    SELECT holder, token, after FROM moved WHERE before IS NOT NULL
    ON CONFLICT (holder, token) DO UPDATE SET balance = excluded.balance
), held AS (
    SELECT token, sum((after > 0)::integer - (coalesce(before, 0) > 0)::integer) AS holders
    FROM moved GROUP BY token
)
INSERT INTO token_totals AS t (token, erc20_count, erc721_count, erc1155_count, wrap_count, holder_count,
                               minted, burnt)
SELECT token, 0, 0, 0, 0, holders, 0, 0 FROM held WHERE holders <> 0 ORDER BY token
ON CONFLICT (token) DO UPDATE SET holder_count = t.holder_count + excluded.holder_count
