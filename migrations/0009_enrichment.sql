-- What no header proves and only a node can tell: internal transfers, native balances, code, metadata.
--
-- Each kind is read behind the head with a progress of its own, and never holds the head back. What a
-- reorg drops is taken away in the reorg's own transaction and read again.

CREATE TABLE enrichment (
    kind    text PRIMARY KEY CHECK (kind IN ('traces', 'balances', 'contracts', 'tokens')),
    blocks  int8multirange NOT NULL DEFAULT '{}',
    status  text NOT NULL DEFAULT 'starting' CHECK (status IN ('starting', 'working', 'unavailable', 'off')),
    problem text,
    floor   bigint
);
COMMENT ON TABLE enrichment IS 'How far each kind of reading is, and whether the node allows it.';
COMMENT ON COLUMN enrichment.blocks IS 'Heights that are read; of no meaning for kinds that do not go by height.';
COMMENT ON COLUMN enrichment.status IS 'unavailable: the node has no such method; off: not asked for.';
COMMENT ON COLUMN enrichment.problem IS 'What holds it up, in one sentence; null while nothing does.';
COMMENT ON COLUMN enrichment.floor IS 'Lowest height that the node still tells of; null while it tells of all.';

INSERT INTO enrichment (kind) VALUES ('traces'), ('balances'), ('contracts'), ('tokens');

CREATE TABLE internal_transfers (
    block_number bigint   NOT NULL,
    gas          bigint,
    gas_used     bigint,
    tx_index     integer  NOT NULL,
    trace_index  integer  NOT NULL,
    kind         smallint NOT NULL,
    from_address bytea    NOT NULL,
    to_address   bytea    NOT NULL,
    trace_id     text     NOT NULL,
    value        numeric(78, 0) NOT NULL,
    PRIMARY KEY (block_number, tx_index, trace_index)
);
CREATE INDEX internal_transfers_from ON internal_transfers (from_address, block_number, tx_index, trace_index);
CREATE INDEX internal_transfers_to   ON internal_transfers (to_address, block_number, tx_index, trace_index);
COMMENT ON TABLE internal_transfers IS 'Calls within transactions that moved native coin, created a contract or destroyed one; what was reverted is left out.';
COMMENT ON COLUMN internal_transfers.trace_index IS 'Position in the order of execution, over all frames of the transaction; the transaction itself is 0 and not here.';
COMMENT ON COLUMN internal_transfers.kind IS '1 = call, 2 = create, 3 = create2, 4 = self-destruct.';
COMMENT ON COLUMN internal_transfers.trace_id IS 'Path of the frame: position of each call within its caller, from the top, joined by "_".';

CREATE TABLE orphaned_internal_transfers (reorg_id bigint NOT NULL REFERENCES reorgs, LIKE internal_transfers);
ALTER TABLE orphaned_internal_transfers ADD PRIMARY KEY (reorg_id, block_number, tx_index, trace_index);
COMMENT ON TABLE orphaned_internal_transfers IS 'Internal transfers of dropped blocks, where they had been read by then.';

CREATE TABLE native_balances (
    address      bytea   NOT NULL,
    block_number bigint  NOT NULL,
    balance      numeric(78, 0) NOT NULL,
    proven       boolean NOT NULL,
    PRIMARY KEY (address, block_number)
);
CREATE INDEX native_balances_block ON native_balances (block_number);
COMMENT ON TABLE native_balances IS 'Native balances after a block, one row a change; read from a node at that block''s hash.';
COMMENT ON COLUMN native_balances.proven IS 'Whether an account proof (EIP-1186) showed it to be what the block''s state root says.';

CREATE TABLE asked_balances (
    address      bytea   PRIMARY KEY,
    block_number bigint  NOT NULL,
    balance      numeric(78, 0) NOT NULL,
    proven       boolean NOT NULL
);
CREATE INDEX asked_balances_block ON asked_balances (block_number);
COMMENT ON TABLE asked_balances IS 'The newest balance of addresses that a page asked for, after the block at which it was read: a reading by itself, and no part of what native_balances tells of changes.';

CREATE TABLE contract_code (
    address        bytea PRIMARY KEY,
    read_at        bigint,
    code_size      integer,
    interfaces     integer,
    code_hash      bytea,
    implementation bytea,
    proxy          text CHECK (proxy IN ('eip1167', 'eip1967', 'eip1967_beacon', 'eip1822', 'eip7702'))
);
CREATE INDEX contract_code_read_at ON contract_code (read_at);
COMMENT ON TABLE contract_code IS 'Code of addresses that were created or that somebody asked for; read_at is null while it is to be read.';
COMMENT ON COLUMN contract_code.code_size IS 'Bytes; 0 for an account without code.';
COMMENT ON COLUMN contract_code.interfaces IS 'Sum of ERC-165 answers: 1 = ERC-165 itself, 2 = ERC-721, 4 = ERC-721 metadata, 8 = ERC-721 enumerable, 16 = ERC-1155, 32 = ERC-1155 metadata, 64 = ERC-2981.';
COMMENT ON COLUMN contract_code.proxy IS 'The kind of proxy it is, by its code or its storage; null for none.';

CREATE TABLE token_metadata (
    token        bytea PRIMARY KEY,
    read_at      bigint,
    decimals     smallint,
    name         text,
    symbol       text,
    total_supply numeric(78, 0)
);
CREATE INDEX token_metadata_read_at ON token_metadata (read_at);
COMMENT ON TABLE token_metadata IS 'What a token says of itself, cleaned and cut; nulls where it says nothing usable. read_at is null while it is to be read.';

CREATE VIEW tokens AS
SELECT t.token AS address,
       CASE WHEN erc721_count > 0 AND erc721_count >= erc1155_count THEN 'erc721'
            WHEN erc1155_count > 0 THEN 'erc1155'
            WHEN erc20_count > 0 OR m.decimals IS NOT NULL THEN 'erc20' END AS standard,
       m.name, m.symbol, m.decimals, m.total_supply, m.read_at AS metadata_block,
       t.erc20_count + t.erc721_count + t.erc1155_count + t.wrap_count AS transfer_count,
       t.holder_count, t.minted - t.burnt AS supply
FROM token_totals t LEFT JOIN token_metadata m ON m.token = t.token;
COMMENT ON VIEW tokens IS 'Tokens with their counters and what they say of themselves; the standard is that of their transfers, null where only deposits were seen and nothing else says token.';
