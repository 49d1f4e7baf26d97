INSERT INTO token_instances AS t (token, token_id, transfer_count, holder_count, minted, burnt)
SELECT token, token_id, transfer_count, 0, minted, burnt FROM ({delta}) AS d ORDER BY token, token_id
ON CONFLICT (token, token_id) DO UPDATE SET
    transfer_count = t.transfer_count + excluded.transfer_count,
    minted = t.minted + excluded.minted,
    burnt = t.burnt + excluded.burnt
