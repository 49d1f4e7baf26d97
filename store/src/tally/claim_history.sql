-- The piece of history that is being added to the counters; if none is, the highest bucket that is all
-- indexed, or the part of it that is not included yet, which becomes that piece.
WITH gap AS (
    SELECT lower(r) AS low, upper(r) - 1 AS high
    FROM coverage c, tally_state t, unnest(c.blocks - t.blocks) AS r
    ORDER BY lower(r) DESC LIMIT 1
), bucket AS (
    SELECT high / bucket_blocks * bucket_blocks AS low FROM gap, chain
), piece AS (
    SELECT greatest(gap.low, bucket.low) AS low, high FROM gap, bucket, chain
    WHERE gap.low <= greatest(bucket.low, start_block)
       OR EXISTS (SELECT FROM tally_state WHERE blocks @> gap.low - 1)
), claimed AS (
    UPDATE tally_state SET pending = int8range(piece.low, piece.high, '[]'), pending_stage = 0, pending_row = 0
    FROM piece WHERE pending IS NULL
    RETURNING lower(pending) AS low, upper(pending) - 1 AS high
)
SELECT low, high FROM claimed
UNION ALL
SELECT lower(pending), upper(pending) - 1 FROM tally_state WHERE pending IS NOT NULL
