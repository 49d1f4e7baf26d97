-- Every edition of TimescaleDB: partition what grows with the chain.
--
-- By block number, since unique keys must contain the partitioning column and heights are what must
-- be unique; block_stats by time, since charts ask for time. The intervals here are starting points:
-- the indexer sets those of an empty database from the chain's own block time.
-- Safe to run again; a table that has rows already is converted.

SELECT create_hypertable('blocks', by_range('number', 50000), create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('withdrawals', by_range('block_number', 50000), create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('transactions', by_range('block_number', 50000), create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('logs', by_range('block_number', 50000), create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('address_activity', by_range('block_number', 50000), create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('token_transfers', by_range('block_number', 50000), create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('block_credits', by_range('block_number', 50000), create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('internal_transfers', by_range('block_number', 50000), create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('block_stats', by_range('time', INTERVAL '30 days'), create_default_indexes => false, if_not_exists => true, migrate_data => true);
