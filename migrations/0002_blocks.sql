-- Canonical blocks.
--
-- The key is the height, so that the database itself forbids two canonical blocks at one height.
-- Hypertables are partitioned by it as well (see timescale/): a rollback touches the newest chunk.
-- Total difficulty is not here: no root covers it, so it cannot be proven.

CREATE TABLE blocks (
    number                   bigint  NOT NULL,
    "timestamp"              bigint  NOT NULL,
    gas_limit                bigint  NOT NULL,
    gas_used                 bigint  NOT NULL,
    size                     bigint,
    blob_gas_used            bigint,
    excess_blob_gas          bigint,
    slot_number              bigint,
    tx_count                 integer NOT NULL,
    log_count                integer NOT NULL,
    uncles_proven            boolean NOT NULL,
    hash                     bytea   NOT NULL,
    parent_hash              bytea   NOT NULL,
    sha3_uncles              bytea   NOT NULL,
    miner                    bytea   NOT NULL,
    state_root               bytea   NOT NULL,
    transactions_root        bytea   NOT NULL,
    receipts_root            bytea   NOT NULL,
    logs_bloom               bytea   NOT NULL,
    extra_data               bytea   NOT NULL,
    mix_hash                 bytea   NOT NULL,
    nonce                    bytea   NOT NULL,
    withdrawals_root         bytea,
    parent_beacon_block_root bytea,
    requests_hash            bytea,
    block_access_list_hash   bytea,
    uncles                   bytea[] NOT NULL,
    difficulty               numeric(78, 0) NOT NULL,
    base_fee_per_gas         numeric(78, 0),
    PRIMARY KEY (number)
);
COMMENT ON TABLE blocks IS 'Headers of the canonical chain, one row a block, every field recomputed into the block hash.';
COMMENT ON COLUMN blocks."timestamp" IS 'Seconds since 1970-01-01 UTC.';
COMMENT ON COLUMN blocks.size IS 'Bytes of the block''s RLP encoding; null when uncle headers were not to be had.';
COMMENT ON COLUMN blocks.uncles_proven IS 'Whether the uncle hashes were recomputed into sha3_uncles; only then are they more than the node''s word.';

CREATE TABLE withdrawals (
    block_number     bigint  NOT NULL,
    withdrawal_index bigint  NOT NULL,
    validator_index  bigint  NOT NULL,
    amount_gwei      bigint  NOT NULL,
    position         integer NOT NULL,
    address          bytea   NOT NULL,
    PRIMARY KEY (block_number, position)
);
COMMENT ON TABLE withdrawals IS 'Withdrawals from the consensus layer (EIP-4895), in the block''s order.';
COMMENT ON COLUMN withdrawals.amount_gwei IS 'Billionths of the native coin: the one amount that is not in wei.';

-- The first eight bytes of a hash as a signed integer: a narrow key for lookups by hash.
CREATE FUNCTION hash_prefix(hash bytea) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ('x' || encode(substring(hash FROM 1 FOR 8), 'hex'))::bit(64)::bigint;

-- Hashes that stand in one string, 32 bytes each, as an array: how lists of hashes arrive.
CREATE FUNCTION split_hashes(hashes bytea) RETURNS bytea[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(
        SELECT substring(hashes FROM 32 * i + 1 FOR 32)
        FROM generate_series(0, octet_length(hashes) / 32 - 1) AS i ORDER BY i
    );

-- Hash → height, beside the hypertable: asking every chunk for a hash costs more with every chunk.
-- Prefixes are not unique; the full hash is compared in the row they lead to.
CREATE TABLE block_lookup (
    hash_prefix  bigint NOT NULL,
    block_number bigint NOT NULL
);
CREATE INDEX block_lookup_key ON block_lookup (hash_prefix, block_number);
COMMENT ON TABLE block_lookup IS 'First eight bytes of a block hash → height.';

-- One row a block for charts and network statistics; everything here follows from the block itself.
-- Block time is not stored: it is the difference of two rows, and history may arrive newest first.
CREATE TABLE block_stats (
    "time"            timestamptz NOT NULL,
    number            bigint      NOT NULL,
    gas_used          bigint      NOT NULL,
    gas_limit         bigint      NOT NULL,
    size              bigint,
    tx_count          integer     NOT NULL,
    failed_tx_count   integer     NOT NULL,
    log_count         integer     NOT NULL,
    native_transfers  integer     NOT NULL,
    token_transfers   integer     NOT NULL,
    contracts_created integer     NOT NULL,
    active_addresses  integer     NOT NULL,
    base_fee_per_gas  numeric(78, 0),
    burnt_fees        numeric(78, 0) NOT NULL,
    fees              numeric(78, 0) NOT NULL,
    PRIMARY KEY ("time", number)
);
COMMENT ON TABLE block_stats IS 'Network metrics, one row a block, partitioned by time.';
COMMENT ON COLUMN block_stats.native_transfers IS 'Transactions that succeeded and moved a value above zero.';
COMMENT ON COLUMN block_stats.token_transfers IS 'Logs shaped like an ERC-20, ERC-721 or ERC-1155 transfer.';
COMMENT ON COLUMN block_stats.active_addresses IS 'Distinct senders, recipients and created contracts.';
COMMENT ON COLUMN block_stats.burnt_fees IS 'Wei: base fee × gas used (EIP-1559).';
COMMENT ON COLUMN block_stats.fees IS 'Wei: effective gas price × gas used, over all transactions; burnt fees included.';
