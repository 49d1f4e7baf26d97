-- One row in every table that is partitioned by height, which makes the chunk that it falls into; the
-- rows are taken out again by the same transaction.
WITH
b AS (INSERT INTO blocks (number, "timestamp", gas_limit, gas_used, tx_count, log_count, uncles_proven, hash,
                          parent_hash, sha3_uncles, miner, state_root, transactions_root, receipts_root,
                          logs_bloom, extra_data, mix_hash, nonce, uncles, difficulty)
      VALUES ($1, 0, 0, 0, 0, 0, false, '', '', '', '', '', '', '', '', '', '', '', '{}', 0)),
w AS (INSERT INTO withdrawals (block_number, withdrawal_index, validator_index, amount_gwei, position, address)
      VALUES ($1, 0, 0, 0, -1, '')),
t AS (INSERT INTO transactions (block_number, nonce, gas_limit, gas_used, cumulative_gas_used, tx_index,
                                first_log_index, log_count, tx_type, y_parity, hash, from_address, r, s, input,
                                value, effective_gas_price)
      VALUES ($1, 0, 0, 0, 0, -1, 0, 0, 0, false, '', '', '', '', '', 0, 0)),
l AS (INSERT INTO logs (block_number, log_index, tx_index, address, data) VALUES ($1, -1, -1, '', '')),
x AS (INSERT INTO token_transfers (block_number, log_index, tx_index, position, kind, token, from_address,
                                   to_address, amount)
      VALUES ($1, -1, -1, -1, 0, '', '', '', 0)),
c AS (INSERT INTO block_credits (block_number, kind, address, amount) VALUES ($1, -1, '', 0))
INSERT INTO address_activity (block_number, tx_index, roles, address) VALUES ($1, -1, 0, '')
