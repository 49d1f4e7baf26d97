-- Dropped blocks cut into pieces of so many blocks ($1), reorg by reorg.
SELECT reorg_id, min(number), max(number), count(*)
FROM (
    SELECT reorg_id, number,
           (row_number() OVER (PARTITION BY reorg_id ORDER BY number) - 1) / $1 AS piece
    FROM orphaned_blocks
) AS numbered
GROUP BY reorg_id, piece ORDER BY reorg_id, piece
