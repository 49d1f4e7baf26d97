-- What was created is put into the queue of those whose code is to be read.
WITH d AS MATERIALIZED ({delta}), coded AS (
    INSERT INTO contract_code (address) SELECT DISTINCT address FROM d WHERE created_count > 0
    ORDER BY address ON CONFLICT (address) DO NOTHING
)
INSERT INTO address_totals AS t (address, bucket, tx_count, sent_count, received_count, created_count,
                                 transfer_count, emitted_count, internal_count)
SELECT address, bucket, tx_count, sent_count, received_count, created_count, transfer_count, emitted_count, 0
FROM d ORDER BY address, bucket
ON CONFLICT (address, bucket) DO UPDATE SET
    tx_count = t.tx_count + excluded.tx_count,
    sent_count = t.sent_count + excluded.sent_count,
    received_count = t.received_count + excluded.received_count,
    created_count = t.created_count + excluded.created_count,
    transfer_count = t.transfer_count + excluded.transfer_count,
    emitted_count = t.emitted_count + excluded.emitted_count
