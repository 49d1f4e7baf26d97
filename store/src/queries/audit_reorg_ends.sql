-- Reorgs one of whose ends is nowhere: the ancestor and the new head were canonical when the reorg was
-- followed, so they are in the chain, or a later reorg dropped them.
SELECT id, what, number
FROM (
    SELECT id, 'ancestor' AS what, ancestor_number AS number, ancestor_hash AS hash FROM reorgs
    UNION ALL
    SELECT id, 'new head', new_head_number, new_head_hash FROM reorgs
) AS ends
WHERE NOT EXISTS (SELECT FROM blocks b WHERE b.number = ends.number AND b.hash = ends.hash)
  AND NOT EXISTS (SELECT FROM orphaned_blocks o
                  WHERE o.reorg_id > ends.id AND o.number = ends.number AND o.hash = ends.hash)
ORDER BY id, what
