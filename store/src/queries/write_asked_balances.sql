-- The newest reading of each address counts; an older one that comes late does not.
INSERT INTO asked_balances AS b (address, block_number, balance, proven)
SELECT a.address, a.block_number, a.balance::numeric, a.proven
FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::bool[]) AS a(address, block_number, balance, proven)
ORDER BY a.address
ON CONFLICT (address) DO UPDATE
SET block_number = excluded.block_number, balance = excluded.balance, proven = excluded.proven
WHERE excluded.block_number >= b.block_number
