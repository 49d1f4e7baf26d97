-- Figures of the newest $1 blocks. Rates are over the time from the first of them to the last, so
-- the first block's own transactions do not count towards the rate.
WITH newest AS (
    SELECT * FROM block_stats ORDER BY "time" DESC, number DESC LIMIT $1
), bounds AS (
    SELECT count(*) AS blocks,
           extract(epoch FROM max("time") - min("time"))::float8 AS seconds,
           min(number) AS first_number,
           max(number) AS last_number
    FROM newest
)
SELECT bounds.blocks,
       seconds / nullif(blocks - 1, 0) AS block_time,
       (coalesce(sum(tx_count) FILTER (WHERE number > first_number), 0) / nullif(seconds, 0))::float8 AS tps,
       coalesce(sum(tx_count), 0)::bigint AS tx_count,
       coalesce(sum(failed_tx_count), 0)::bigint AS failed_tx_count,
       coalesce(sum(native_transfers), 0)::bigint AS native_transfers,
       coalesce(sum(token_transfers), 0)::bigint AS token_transfers,
       (sum(gas_used) / nullif(sum(gas_limit), 0))::float8 AS gas_utilisation,
       max(base_fee_per_gas) FILTER (WHERE number = last_number) AS base_fee_per_gas,
       coalesce(sum(burnt_fees), 0) AS burnt_fees,
       coalesce(sum(fees), 0) AS fees
FROM bounds LEFT JOIN newest ON true
GROUP BY bounds.blocks, bounds.seconds
