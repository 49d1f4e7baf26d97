-- Canonical transactions with their receipts, logs, and the two ways to find them.
--
-- A transaction has exactly one receipt, proven in the same commit and read with it on every page,
-- so both are one row; `receipts` is a view of it.

CREATE TABLE transactions (
    block_number             bigint   NOT NULL,
    nonce                    bigint   NOT NULL,
    gas_limit                bigint   NOT NULL,
    gas_used                 bigint   NOT NULL,
    cumulative_gas_used      bigint   NOT NULL,
    chain_id                 bigint,
    blob_gas_used            bigint,
    tx_index                 integer  NOT NULL,
    first_log_index          integer  NOT NULL,
    log_count                integer  NOT NULL,
    tx_type                  smallint NOT NULL,
    status                   boolean,
    y_parity                 boolean  NOT NULL,
    hash                     bytea    NOT NULL,
    from_address             bytea    NOT NULL,
    to_address               bytea,
    contract_address         bytea,
    state_root               bytea,
    r                        bytea    NOT NULL,
    s                        bytea    NOT NULL,
    input                    bytea    NOT NULL,
    value                    numeric(78, 0) NOT NULL,
    effective_gas_price      numeric(78, 0) NOT NULL,
    gas_price                numeric(78, 0),
    max_fee_per_gas          numeric(78, 0),
    max_priority_fee_per_gas numeric(78, 0),
    max_fee_per_blob_gas     numeric(78, 0),
    blob_gas_price           numeric(78, 0),
    blob_versioned_hashes    bytea[],
    access_list              jsonb,
    authorization_list       jsonb,
    PRIMARY KEY (block_number, tx_index)
);
COMMENT ON TABLE transactions IS 'Transactions of the canonical chain with their receipts, in block order.';
COMMENT ON COLUMN transactions.tx_type IS 'EIP-2718 type: 0 legacy, 1 access list, 2 dynamic fee, 3 blob, 4 set code.';
COMMENT ON COLUMN transactions.chain_id IS 'Chain id that was signed; null for legacy transactions without replay protection (EIP-155).';
COMMENT ON COLUMN transactions.status IS 'Whether it succeeded (EIP-658); null before Byzantium, where state_root stands instead.';
COMMENT ON COLUMN transactions.contract_address IS 'Contract created at the top level; null when the creation failed.';
COMMENT ON COLUMN transactions.gas_price IS 'Wei per gas as signed; null for types that bid with max_fee_per_gas.';
COMMENT ON COLUMN transactions.effective_gas_price IS 'Wei per gas as paid (EIP-1559).';
COMMENT ON COLUMN transactions.access_list IS 'EIP-2930 access list; null when empty.';
COMMENT ON COLUMN transactions.authorization_list IS 'EIP-7702 authorizations as signed.';

CREATE VIEW receipts AS
SELECT block_number, tx_index, hash AS tx_hash, status, state_root, cumulative_gas_used, gas_used,
       effective_gas_price, contract_address, blob_gas_used, blob_gas_price, first_log_index, log_count
FROM transactions;
COMMENT ON VIEW receipts IS 'The receipt''s columns of each transaction.';

CREATE TABLE logs (
    block_number bigint  NOT NULL,
    log_index    integer NOT NULL,
    tx_index     integer NOT NULL,
    address      bytea   NOT NULL,
    topic0       bytea,
    topic1       bytea,
    topic2       bytea,
    topic3       bytea,
    data         bytea   NOT NULL,
    PRIMARY KEY (block_number, log_index)
);
COMMENT ON TABLE logs IS 'Logs of the canonical chain; a transaction''s are the log_count ones from its first_log_index.';
COMMENT ON COLUMN logs.log_index IS 'Position in the block, counted by us: nodes have been seen to count per transaction.';

CREATE TABLE tx_lookup (
    hash_prefix  bigint  NOT NULL,
    block_number bigint  NOT NULL,
    tx_index     integer NOT NULL
);
CREATE INDEX tx_lookup_key ON tx_lookup (hash_prefix, block_number, tx_index);
COMMENT ON TABLE tx_lookup IS 'First eight bytes of a transaction hash → where it is; not unique, the full hash is compared in the row.';

-- A wallet page is one range of this key, newest last, never an OR over sender and recipient.
CREATE TABLE address_activity (
    block_number bigint   NOT NULL,
    tx_index     integer  NOT NULL,
    roles        smallint NOT NULL,
    address      bytea    NOT NULL,
    PRIMARY KEY (address, block_number, tx_index) INCLUDE (roles)
);
COMMENT ON TABLE address_activity IS 'Which transactions an address took part in; one row an address and transaction.';
COMMENT ON COLUMN address_activity.roles IS 'Sum of 1 = sender, 2 = recipient, 4 = created contract.';
