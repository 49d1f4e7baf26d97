-- The range cut into pieces of so many blocks ($3) that are there: heights that are not cost nothing,
-- however far a damaged head is from the blocks.
SELECT min(number), max(number), count(*)
FROM (
    SELECT number, (row_number() OVER (ORDER BY number) - 1) / $3 AS piece
    FROM blocks WHERE number BETWEEN $1 AND $2
) AS numbered
GROUP BY piece ORDER BY piece
