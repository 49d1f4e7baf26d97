-- Transfer legs: what the chain moved from or to the wallets of the ledger's parties.
--
-- A leg is what was moved, by a transaction, at a place within it; an inclusion is the block in which that
-- happened. A reorg takes inclusions away and re-inclusion brings them back, in another block, under
-- another log index: the leg stays the same one, and so does whatever is linked to it. What a transaction
-- comes to may depend on its block, though: a gas fee that differs is another leg.
--
-- Legs are derived from the canonical rows by one query, for live commits, for history, and for a wallet
-- that is added later.

CREATE TABLE ledger.legs (
    leg_id       bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text     NOT NULL CHECK (kind IN ('native', 'internal', 'erc20', 'erc721', 'erc1155', 'gas')),
    ordinal      integer  NOT NULL,
    item         integer  NOT NULL,
    tx_hash      bytea    NOT NULL,
    content_hash bytea    NOT NULL,
    from_address bytea    NOT NULL,
    to_address   bytea    NOT NULL,
    token        bytea,
    token_id     numeric(78, 0),
    amount       numeric(78, 0) NOT NULL,
    UNIQUE (tx_hash, kind, ordinal, item, content_hash)
);
CREATE INDEX legs_from ON ledger.legs (from_address, leg_id);
CREATE INDEX legs_to   ON ledger.legs (to_address, leg_id);
COMMENT ON TABLE ledger.legs IS 'Transfers from or to wallets of parties, each once, however often it was included.';
COMMENT ON COLUMN ledger.legs.ordinal IS 'Place within the transaction: of the log in its receipt, of the call in its trace; 0 for value and gas.';
COMMENT ON COLUMN ledger.legs.item IS 'Place within a batch (ERC-1155); 0 for all others.';
COMMENT ON COLUMN ledger.legs.content_hash IS 'SHA-256 of what is moved: parties, token, id, amount.';
COMMENT ON COLUMN ledger.legs.from_address IS 'The zero address for mints, and for coins that were wrapped.';
COMMENT ON COLUMN ledger.legs.to_address IS 'The zero address for burns, for coins that were unwrapped, and for gas.';
COMMENT ON COLUMN ledger.legs.amount IS 'Base units; may be zero, which is never credited.';

CREATE TABLE ledger.inclusions (
    leg_id       bigint  NOT NULL REFERENCES ledger.legs,
    block_number bigint  NOT NULL,
    tx_index     integer NOT NULL,
    log_index    integer,
    orphaned_by  bigint,
    block_hash   bytea   NOT NULL,
    PRIMARY KEY (leg_id, block_hash)
);
CREATE UNIQUE INDEX inclusions_canonical ON ledger.inclusions (leg_id) WHERE orphaned_by IS NULL;
CREATE INDEX inclusions_block ON ledger.inclusions (block_number) WHERE orphaned_by IS NULL;
COMMENT ON TABLE ledger.inclusions IS 'The blocks that legs were in; one of them at most is canonical.';
COMMENT ON COLUMN ledger.inclusions.orphaned_by IS 'The last reorg that took it away; null while it is canonical.';

CREATE TABLE ledger.leg_state (
    only_one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_one),
    blocks   int8multirange NOT NULL DEFAULT '{}'
);
INSERT INTO ledger.leg_state DEFAULT VALUES;
COMMENT ON TABLE ledger.leg_state IS 'Heights whose legs are there, for every wallet that is not in wallet_replays.';

CREATE TABLE ledger.wallet_replays (
    address bytea PRIMARY KEY REFERENCES ledger.wallets ON DELETE CASCADE,
    blocks  int8multirange NOT NULL
);
COMMENT ON TABLE ledger.wallet_replays IS 'Heights that were looked through before a wallet was added, and are again for it alone.';

-- The query for what the blocks from $1 to $2 moved from or to wallets: all of them, or the one that is $3.
-- In braces stand the two addresses. Failed transactions move nothing but their gas. What belongs to a row is
-- looked up by its key: of a block that was just written no statistics tell how many rows it has.
CREATE FUNCTION ledger.leg_query(of_one boolean) RETURNS text LANGUAGE sql IMMUTABLE AS $f$
    SELECT replace(replace($$
    WITH moved AS (
        SELECT block_number, tx_index, NULL::integer AS log_index, 'native' AS kind, 0 AS ordinal, 0 AS item,
               hash AS tx_hash, from_address AS a, coalesce(to_address, contract_address) AS b,
               NULL::bytea AS token, NULL::numeric AS token_id, value AS amount
        FROM transactions
        WHERE block_number BETWEEN $1 AND $2 AND value > 0 AND status IS NOT FALSE
          AND {from_address, coalesce(to_address, contract_address)}
        UNION ALL
        SELECT block_number, tx_index, NULL, 'gas', 0, 0, hash, from_address,
               '\x0000000000000000000000000000000000000000', NULL, NULL,
               gas_used * effective_gas_price + coalesce(blob_gas_used * blob_gas_price, 0)
        FROM transactions
        WHERE block_number BETWEEN $1 AND $2 AND gas_used * effective_gas_price > 0
          AND {from_address, from_address}
        UNION ALL
        SELECT x.block_number, x.tx_index, x.log_index,
               CASE x.kind WHEN 2 THEN 'erc721' WHEN 3 THEN 'erc1155' ELSE 'erc20' END,
               x.log_index - t.first_log_index, x.position, t.hash, x.from_address, x.to_address,
               x.token, x.token_id, x.amount
        FROM token_transfers x, LATERAL (
            SELECT hash, first_log_index FROM transactions
            WHERE block_number = x.block_number AND tx_index = x.tx_index AND block_number BETWEEN $1 AND $2 LIMIT 1
        ) AS t
        WHERE x.block_number BETWEEN $1 AND $2 AND {x.from_address, x.to_address}
        UNION ALL
        SELECT x.block_number, x.tx_index, NULL, 'internal', x.trace_index, 0, t.hash, x.from_address, x.to_address,
               NULL, NULL, x.value
        FROM internal_transfers x, LATERAL (
            SELECT hash FROM transactions
            WHERE block_number = x.block_number AND tx_index = x.tx_index AND block_number BETWEEN $1 AND $2 LIMIT 1
        ) AS t
        WHERE x.block_number BETWEEN $1 AND $2 AND x.value > 0 AND {x.from_address, x.to_address}
    )
    SELECT m.block_number, m.tx_index, m.log_index, m.kind, m.ordinal, m.item, m.tx_hash, o.hash AS block_hash,
           m.a AS from_address, m.b AS to_address, m.token, m.token_id, m.amount,
           sha256(m.a || m.b || coalesce(m.token, '') || convert_to(format('%s/%s', m.token_id, m.amount), 'UTF8')) AS content_hash
    FROM moved m, LATERAL (
        SELECT hash FROM blocks WHERE number = m.block_number AND number BETWEEN $1 AND $2 LIMIT 1
    ) AS o$$,
    '{', CASE WHEN of_one THEN '$3 IN (' ELSE 'EXISTS (SELECT FROM (VALUES (' END),
    '}', CASE WHEN of_one THEN ')' ELSE ')) AS p(a, b), LATERAL (
            SELECT FROM ledger.wallets w WHERE w.address = p.a UNION ALL SELECT FROM ledger.wallets w WHERE w.address = p.b
        ) AS own)' END)
$f$;

-- Writes the legs of some blocks and their inclusions; those that are there stay, those that a reorg took
-- away are back. Under the lock of leg_state.
CREATE FUNCTION ledger.write_legs(low bigint, high bigint, wallet bytea DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $f$
DECLARE
    derived text := ledger.leg_query(wallet IS NOT NULL);
BEGIN
    -- Planned for the heights at hand: of hundreds of chunks they touch one or two. Wallets and legs that are
    -- there are looked up one by one: a join may read all of them for a block.
    EXECUTE format($$
        INSERT INTO ledger.legs (kind, ordinal, item, tx_hash, content_hash, from_address, to_address, token,
                                 token_id, amount)
        SELECT kind, ordinal, item, tx_hash, content_hash, from_address, to_address, token, token_id, amount
        FROM (%s) AS d ORDER BY block_number, tx_index, log_index NULLS FIRST, kind DESC, ordinal, item
        ON CONFLICT DO NOTHING
    $$, derived) USING low, high, wallet;
    EXECUTE format($$
        INSERT INTO ledger.inclusions AS i (leg_id, block_number, tx_index, log_index, block_hash)
        SELECT leg_id, block_number, tx_index, log_index, block_hash
        FROM (%s) AS d CROSS JOIN LATERAL (
            SELECT leg_id FROM ledger.legs
            WHERE tx_hash = d.tx_hash AND kind = d.kind AND ordinal = d.ordinal AND item = d.item
              AND content_hash = d.content_hash LIMIT 1
        ) AS l
        ON CONFLICT (leg_id, block_hash) DO UPDATE SET orphaned_by = NULL WHERE i.orphaned_by IS NOT NULL
    $$, derived) USING low, high, wallet;
END
$f$;

-- Legs of blocks that were just written, in their commit; and again once their traces are read.
CREATE FUNCTION ledger.record_legs(low bigint, high bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Without wallets nothing is looked through and nothing said to be: who adds one finds a gap.
    IF EXISTS (SELECT FROM ledger.wallets) THEN
        UPDATE ledger.leg_state SET blocks = blocks + int8multirange(int8range(low, high, '[]'));
        PERFORM ledger.write_legs(low, high);
    END IF;
END
$$;
COMMENT ON FUNCTION ledger.record_legs IS 'Called by the indexer, in the transaction that writes the blocks.';

-- Takes inclusions above a height away, in the reorg's transaction, before the rows go.
CREATE FUNCTION ledger.orphan_legs(ancestor bigint, reorg bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ledger.leg_state SET blocks = blocks - int8multirange(int8range(ancestor, NULL, '()'));
    UPDATE ledger.wallet_replays SET blocks = blocks - int8multirange(int8range(ancestor, NULL, '()'));
    UPDATE ledger.inclusions SET orphaned_by = reorg WHERE block_number > ancestor AND orphaned_by IS NULL;
END
$$;
COMMENT ON FUNCTION ledger.orphan_legs IS 'Called by the indexer, in the transaction of a reorg.';

-- Forgets what was derived from blocks whose rows were wrong; they are looked through again.
CREATE FUNCTION ledger.forget_legs(low bigint, high bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ledger.leg_state SET blocks = blocks - int8multirange(int8range(low, high, '[]'));
    DELETE FROM ledger.inclusions WHERE block_number BETWEEN low AND high AND orphaned_by IS NULL;
END
$$;
COMMENT ON FUNCTION ledger.forget_legs IS 'Called by a repair that wrote blocks anew.';

-- Looks through a piece of history: of what was filled in below the head, or of what a wallet missed that
-- was added later. False when there is none.
CREATE FUNCTION ledger.record_missing_legs(most bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    seen   int8multirange;
    gap    int8range;
    wallet bytea;
BEGIN
    SELECT blocks INTO seen FROM ledger.leg_state FOR UPDATE;
    IF NOT EXISTS (SELECT FROM ledger.wallets) THEN
        UPDATE ledger.leg_state s SET blocks = c.blocks FROM coverage c WHERE s.blocks <> c.blocks;
        RETURN false;
    END IF;
    SELECT r INTO gap FROM coverage c, unnest(c.blocks - seen) AS r ORDER BY r DESC LIMIT 1;
    IF FOUND THEN
        PERFORM ledger.record_legs(greatest(lower(gap), upper(gap) - most), upper(gap) - 1);
        RETURN true;
    END IF;
    SELECT address, (SELECT r FROM unnest(blocks) AS r ORDER BY r DESC LIMIT 1) INTO wallet, gap
    FROM ledger.wallet_replays LIMIT 1;
    IF gap IS NOT NULL THEN
        -- One wallet's rows are found by index: many more heights take no longer.
        gap := int8range(greatest(lower(gap), upper(gap) - most * 100), upper(gap));
        PERFORM ledger.write_legs(lower(gap), upper(gap) - 1, wallet);
    END IF;
    UPDATE ledger.wallet_replays SET blocks = blocks - int8multirange(gap) WHERE address = wallet AND gap IS NOT NULL;
    DELETE FROM ledger.wallet_replays WHERE blocks = '{}';
    RETURN wallet IS NOT NULL;
END
$$;
COMMENT ON FUNCTION ledger.record_missing_legs IS 'Called by the indexer behind the head, with a turn among the commits.';

-- A new wallet sees what comes from now on; what was looked through without it is looked through again.
CREATE FUNCTION ledger.queue_replay() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    seen int8multirange;
BEGIN
    -- After the commits that wait for nothing of ours, and before those that will see this wallet.
    SELECT blocks INTO seen FROM ledger.leg_state FOR UPDATE;
    INSERT INTO ledger.wallet_replays (address, blocks) VALUES (NEW.address, seen);
    RETURN NULL;
END
$$;
CREATE TRIGGER queue_replay AFTER INSERT ON ledger.wallets
    FOR EACH ROW EXECUTE FUNCTION ledger.queue_replay();
ALTER TABLE ledger.wallets ENABLE ALWAYS TRIGGER queue_replay;

-- Legs that are not what the canonical rows come to: all that were looked through, held against the query.
CREATE FUNCTION ledger.find_leg_faults() RETURNS TABLE (fault text, block_number bigint, detail text)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $f$
DECLARE
    heights int8range;
BEGIN
    IF EXISTS (SELECT FROM ledger.wallet_replays) OR NOT EXISTS (SELECT FROM ledger.wallets) THEN
        RETURN; -- Not complete, or nothing to hold it against.
    END IF;
    FOR heights IN SELECT r FROM ledger.leg_state, unnest(blocks) AS r LOOP
        RETURN QUERY EXECUTE format($$
            WITH derived AS (%s), expected AS (
                SELECT block_number, block_hash, tx_index, log_index, kind, ordinal, item, tx_hash, content_hash,
                       from_address, to_address, token, token_id, amount FROM derived
            ), there AS (
                SELECT block_number, block_hash, tx_index, log_index, kind, ordinal, item, tx_hash, content_hash,
                       from_address, to_address, token, token_id, amount
                FROM ledger.inclusions JOIN ledger.legs USING (leg_id)
                WHERE orphaned_by IS NULL AND block_number BETWEEN $1 AND $2
                  -- What a wallet moved that was removed since stays, and is not looked for.
                  AND EXISTS (SELECT FROM ledger.wallets w WHERE w.address IN (from_address, to_address))
            )
            SELECT 'missing', m.block_number, format('%%s leg of 0x%%s', kind, encode(tx_hash, 'hex'))
            FROM (SELECT * FROM expected EXCEPT SELECT * FROM there) AS m
            UNION ALL
            SELECT 'stray', s.block_number, format('%%s leg of 0x%%s', kind, encode(tx_hash, 'hex'))
            FROM (SELECT * FROM there EXCEPT SELECT * FROM expected) AS s
        $$, ledger.leg_query(false)) USING lower(heights), upper(heights) - 1;
    END LOOP;
    RETURN QUERY
    SELECT 'stray', i.block_number, format('leg %s is included where nothing was looked through', leg_id)
    FROM ledger.inclusions i, ledger.leg_state s WHERE orphaned_by IS NULL AND NOT s.blocks @> i.block_number;
END
$f$;
COMMENT ON FUNCTION ledger.find_leg_faults IS 'Legs that are missing, and legs that nothing on the chain comes to.';

CREATE VIEW ledger.transfers WITH (security_invoker = true) AS
SELECT l.*, i.block_number, i.block_hash, i.tx_index, i.log_index
FROM ledger.legs l LEFT JOIN ledger.inclusions i ON i.leg_id = l.leg_id AND i.orphaned_by IS NULL;
COMMENT ON VIEW ledger.transfers IS 'Legs with the canonical block that has them; nulls where none does now.';

-- A limited reader sees the legs of the wallets that it sees.
ALTER TABLE ledger.legs ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.inclusions ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.wallet_replays ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON ledger.legs
    USING ((SELECT ledger.may_read_everything()) OR EXISTS (
        SELECT FROM ledger.wallets w WHERE w.address IN (from_address, to_address)));
CREATE POLICY readers ON ledger.inclusions
    USING ((SELECT ledger.may_read_everything()) OR EXISTS (
        SELECT FROM ledger.legs l WHERE l.leg_id = inclusions.leg_id));
CREATE POLICY readers ON ledger.wallet_replays
    USING ((SELECT ledger.may_read_everything()) OR EXISTS (
        SELECT FROM ledger.wallets w WHERE w.address = wallet_replays.address));

CALL ledger.watch('ledger.legs', true);

CALL ledger.secure_if_allowed();
