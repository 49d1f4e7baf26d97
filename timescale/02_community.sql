-- Community edition only: chunks that no reorg reaches any more are compressed.
--
-- Integer partitions need to be told what "now" is: the finalized height, once the history below it is
-- complete. Before that nothing is due: a chunk that history is being filled into stays plain. Two chunks
-- stay uncompressed above it, so that the chunk being written and the one a page reads most are plain.

CREATE OR REPLACE FUNCTION finalized_height() RETURNS bigint
    LANGUAGE sql STABLE
    RETURN coalesce((
        SELECT finalized_number FROM chain_state, chain, coverage
        WHERE blocks @> int8range(start_block, finalized_number, '[]')
    ), 0);

SELECT set_integer_now_func('transactions', 'finalized_height', replace_if_exists => true);
SELECT set_integer_now_func('logs', 'finalized_height', replace_if_exists => true);

ALTER TABLE transactions SET (timescaledb.compress, timescaledb.compress_orderby = 'block_number, tx_index');
ALTER TABLE logs SET (timescaledb.compress, timescaledb.compress_orderby = 'block_number, log_index');

SELECT add_compression_policy('transactions', compress_after => BIGINT '100000', if_not_exists => true);
SELECT add_compression_policy('logs', compress_after => BIGINT '100000', if_not_exists => true);
