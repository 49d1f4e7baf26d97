-- The wallet directory: what an operator knows of addresses, and who may see it.
--
-- A label is public or internal. Every search reads one visibility at a time, out of indexes that begin
-- with it or hold nothing else: what is internal is never passed over on the way to what is public, so
-- that neither counts nor time tell of it. Names are compared in lower case and sorted by their bytes,
-- so that a page's end means the same place on every server.

CREATE TABLE labels (
    address    bytea NOT NULL CHECK (octet_length(address) = 20),
    label      text  NOT NULL CHECK (char_length(label) BETWEEN 1 AND 80),
    category   text  NOT NULL CHECK (char_length(category) BETWEEN 1 AND 40),
    visibility text  NOT NULL CHECK (visibility IN ('public', 'internal')),
    owner      text  CHECK (char_length(owner) BETWEEN 1 AND 80),
    note       text  CHECK (char_length(note) BETWEEN 1 AND 500),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (address, label)
);
CREATE INDEX labels_name ON labels (visibility, (lower(label) COLLATE "C"), address, (label COLLATE "C"));
CREATE INDEX labels_category ON labels (visibility, lower(category), (lower(label) COLLATE "C"), address, (label COLLATE "C"));
COMMENT ON TABLE labels IS 'Wallet directory, written by `tallyscan labels import`; no indexer touches it.';
COMMENT ON COLUMN labels.label IS 'Name of the address; an address may have several.';
COMMENT ON COLUMN labels.visibility IS 'public: shown to everybody; internal: shown to those with INTERNAL_API_KEY.';
COMMENT ON COLUMN labels.owner IS 'Who it belongs to in the operator''s own books; only ever shown to those with INTERNAL_API_KEY.';
COMMENT ON COLUMN labels.note IS 'Shown with the label.';

-- Searches within names are fast with trigrams. They are an extension that comes with Postgres and that
-- a managed server may keep back: without it names are compared one by one, which takes a directory of
-- millions to be felt.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX labels_public_text ON labels USING gin (lower(label) gin_trgm_ops) WHERE visibility = 'public';
    CREATE INDEX labels_internal_text ON labels USING gin (lower(label) gin_trgm_ops) WHERE visibility = 'internal';
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object
        OR unique_violation THEN
        RAISE NOTICE 'label searches go without trigrams: %', SQLERRM;
END
$$;

-- What created a contract is one of many internal transfers to it, and wanted by the contract's page.
CREATE INDEX internal_transfers_creation ON internal_transfers (to_address, block_number, tx_index, trace_index)
    WHERE kind IN (2, 3);
