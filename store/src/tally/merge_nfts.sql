-- As merge_balances.sql.
WITH moved AS MATERIALIZED (
    SELECT d.token, d.token_id, d.holder, b.balance AS before, coalesce(b.balance, 0) + d.delta AS after
    FROM ({delta}) AS d LEFT JOIN LATERAL (
        SELECT balance FROM nft_balances
        WHERE token = d.token AND token_id = d.token_id AND holder = d.holder LIMIT 1
    ) AS b ON true
), added AS (
    INSERT INTO nft_balances (token, token_id, holder, balance)
    SELECT token, token_id, holder, after FROM moved WHERE before IS NULL
), changed AS (
    INSERT INTO nft_balances (token, token_id, holder, balance)
    SELECT token, token_id, holder, after FROM moved WHERE before IS NOT NULL
    ON CONFLICT (token, token_id, holder) DO UPDATE SET balance = excluded.balance
), held AS (
    SELECT token, token_id, sum((after > 0)::integer - (coalesce(before, 0) > 0)::integer) AS holders
    FROM moved GROUP BY token, token_id
)
INSERT INTO token_instances AS t (token, token_id, transfer_count, holder_count, minted, burnt)
SELECT token, token_id, 0, holders, 0, 0 FROM held WHERE holders <> 0 ORDER BY token, token_id
ON CONFLICT (token, token_id) DO UPDATE SET holder_count = t.holder_count + excluded.holder_count
