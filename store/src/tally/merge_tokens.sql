-- A token that is new is put into the queue of those whose name is to be read.
WITH d AS MATERIALIZED ({delta}), named AS (
    INSERT INTO token_metadata (token) SELECT token FROM d
    WHERE erc20_count + erc721_count + erc1155_count + wrap_count > 0
    ORDER BY token ON CONFLICT (token) DO NOTHING
), coded AS (
    INSERT INTO contract_code (address) SELECT token FROM d
    WHERE erc20_count + erc721_count + erc1155_count + wrap_count > 0
    ORDER BY token ON CONFLICT (address) DO NOTHING
)
INSERT INTO token_totals AS t (token, erc20_count, erc721_count, erc1155_count, wrap_count, holder_count,
                               minted, burnt)
SELECT token, erc20_count, erc721_count, erc1155_count, wrap_count, 0, minted, burnt FROM d ORDER BY token
ON CONFLICT (token) DO UPDATE SET
    erc20_count = t.erc20_count + excluded.erc20_count,
    erc721_count = t.erc721_count + excluded.erc721_count,
    erc1155_count = t.erc1155_count + excluded.erc1155_count,
    wrap_count = t.wrap_count + excluded.wrap_count,
    minted = t.minted + excluded.minted,
    burnt = t.burnt + excluded.burnt
