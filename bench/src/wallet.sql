-- A chain of $1 blocks for the pages of one busy wallet and one widely held token: {blocks} is how many.
--
-- Every block has 100 transactions of the wallet (half of them sent by it), 10 token transfers and 10
-- internal transfers of it, and mints the widely held token to 100 new holders.
UPDATE chain_state SET head_number = {blocks} - 1, head_hash = sha256('head'), head_timestamp = 1700000000,
                       tx_count = {blocks} * 100;
UPDATE coverage SET blocks = int8multirange(int8range(0, {blocks}));

INSERT INTO blocks (number, "timestamp", gas_limit, gas_used, tx_count, log_count, uncles_proven, hash,
                    parent_hash, sha3_uncles, miner, state_root, transactions_root, receipts_root, logs_bloom,
                    extra_data, mix_hash, nonce, uncles, difficulty)
SELECT n, 1700000000 + 2 * n, 30000000, 2100000, 100, 110, true, sha256(int8send(n)), sha256(int8send(n - 1)),
       sha256(''), '\x00', sha256(''), sha256(''), sha256(''), '\x', '\x', sha256(''), '\x', '{}', 0
FROM generate_series(0, {blocks} - 1) AS n;

INSERT INTO transactions (block_number, nonce, gas_limit, gas_used, cumulative_gas_used, tx_index,
                          first_log_index, log_count, tx_type, status, y_parity, hash, from_address, to_address,
                          r, s, input, value, effective_gas_price, gas_price)
SELECT n, n * 100 + i, 21000, 21000, 21000 * (i + 1), i, i, 1, 0, true, false, sha256(int8send(n * 100 + i)),
       CASE WHEN i % 2 = 0 THEN {wallet} ELSE a END, CASE WHEN i % 2 = 0 THEN a ELSE {wallet} END,
       sha256('r'), sha256('s'), '\x', i, 1000000000, 1000000000
FROM generate_series(0, {blocks} - 1) AS n, generate_series(0, 99) AS i,
     LATERAL (SELECT {other} AS a) AS other;

INSERT INTO address_activity (block_number, tx_index, roles, address)
SELECT block_number, tx_index, p.role, p.address
FROM transactions, LATERAL (VALUES (1, from_address), (2, to_address)) AS p(role, address)
ORDER BY p.address, block_number, tx_index;

INSERT INTO token_transfers (block_number, log_index, tx_index, position, kind, token, from_address, to_address, amount)
SELECT n, i, i, 0, 1, {token}, decode(repeat('00', 20), 'hex'), {other}, n * 100 + i + 1
FROM generate_series(0, {blocks} - 1) AS n, generate_series(0, 99) AS i
UNION ALL
SELECT n, 100 + i, i, 0, 1, decode(lpad(to_hex((n * 10 + i) % 50 + 1), 40, 'e'), 'hex'),
       CASE WHEN i % 2 = 0 THEN {wallet} ELSE {other} END, CASE WHEN i % 2 = 0 THEN {other} ELSE {wallet} END, n + 1
FROM generate_series(0, {blocks} - 1) AS n, generate_series(0, 9) AS i;

INSERT INTO internal_transfers (block_number, gas, gas_used, tx_index, trace_index, kind, from_address, to_address,
                                trace_id, value)
SELECT n, 0, 0, i, 1, 1, CASE WHEN i % 2 = 0 THEN {wallet} ELSE {other} END,
       CASE WHEN i % 2 = 0 THEN {other} ELSE {wallet} END, '0', n
FROM generate_series(0, {blocks} - 1) AS n, generate_series(0, 9) AS i;
INSERT INTO address_totals (address, bucket, tx_count, sent_count, received_count, created_count, transfer_count,
                            emitted_count, internal_count)
SELECT p.address, block_number / bucket_blocks, 0, 0, 0, 0, 0, 0, count(*)
FROM chain, internal_transfers, LATERAL (VALUES (from_address), (to_address)) AS p(address)
GROUP BY 1, 2;
UPDATE enrichment SET blocks = int8multirange(int8range(0, {blocks})), status = 'working';

INSERT INTO native_balances SELECT {wallet}, n, n, true FROM generate_series(0, {blocks} - 1) AS n;
