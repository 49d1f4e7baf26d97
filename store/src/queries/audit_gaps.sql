-- Heights of a range that have no block, as ranges.
SELECT number + 1, next - 1
FROM (
    SELECT number, lead(number, 1, $2 + 1) OVER (ORDER BY number) AS next
    FROM (
        SELECT $1 - 1 AS number
        UNION ALL SELECT number FROM blocks WHERE number BETWEEN $1 AND $2
    ) AS there
) AS pairs
WHERE next > number + 1 ORDER BY number
