-- The ledger's nouns: assets, parties and their wallets, accounts.
--
-- Names and places can change, money cannot: what an amount means (an asset's decimals, an account's
-- asset and side) is fixed once written. Every change of these tables is recorded with who made it.
-- Rows of the ledger are written by its functions (0015) or by an administrator (0016), never truncated.

CREATE SCHEMA ledger;
COMMENT ON SCHEMA ledger IS 'Double-entry books: what the chain''s transfers mean to whoever runs this.';

CREATE TYPE ledger.side AS ENUM ('debit', 'credit');

-- No type modifier: numeric(78,0) would round a fraction where this refuses it.
CREATE DOMAIN ledger.amount AS numeric CHECK (
    scale(VALUE) = 0 AND VALUE BETWEEN 1
    AND 115792089237316195423570985008687907853269984665640564039457584007913129639935);
COMMENT ON DOMAIN ledger.amount IS 'Base units of an asset: a whole number from 1 to 2^256 - 1.';

CREATE TABLE ledger.assets (
    asset_id        integer  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code            text     NOT NULL UNIQUE CHECK (char_length(code) BETWEEN 1 AND 80),
    kind            text     NOT NULL CHECK (kind IN ('native', 'erc20', 'erc721', 'erc1155', 'offchain')),
    token           bytea    CHECK (octet_length(token) = 20),
    token_id        numeric  CHECK (token_id IS NULL OR (scale(token_id) = 0) IS TRUE AND token_id BETWEEN 0
        AND 115792089237316195423570985008687907853269984665640564039457584007913129639935),
    decimals        smallint NOT NULL CHECK (decimals BETWEEN 0 AND 77),
    trusted         boolean  NOT NULL DEFAULT false,
    fee_on_transfer boolean  NOT NULL DEFAULT false,
    CONSTRAINT assets_token    CHECK ((token IS NOT NULL) = (kind IN ('erc20', 'erc721', 'erc1155'))),
    CONSTRAINT assets_token_id CHECK ((token_id IS NOT NULL) = (kind IN ('erc721', 'erc1155')))
);
CREATE UNIQUE INDEX assets_native ON ledger.assets (kind) WHERE kind = 'native';
CREATE UNIQUE INDEX assets_of_token ON ledger.assets (token, token_id) NULLS NOT DISTINCT WHERE token IS NOT NULL;
COMMENT ON TABLE ledger.assets IS 'What is counted: the chain''s coin, a token, one id of a token contract, or something off the chain.';
COMMENT ON COLUMN ledger.assets.decimals IS 'Base units of one human unit, as a power of ten.';
COMMENT ON COLUMN ledger.assets.trusted IS 'Whether its transfers may be credited; what anybody can deploy is not.';
COMMENT ON COLUMN ledger.assets.fee_on_transfer IS 'Whether less arrives than its transfers say.';

CREATE TABLE ledger.parties (
    party_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant   text   NOT NULL DEFAULT 'default' CHECK (char_length(tenant) BETWEEN 1 AND 80),
    code     text   NOT NULL CHECK (char_length(code) BETWEEN 1 AND 80),
    kind     text   NOT NULL CHECK (kind IN ('customer', 'house', 'counterparty')),
    UNIQUE (tenant, code),
    UNIQUE (tenant, party_id)
);
COMMENT ON TABLE ledger.parties IS 'Whom money belongs to or comes from, by the code that the operator''s own systems use.';

CREATE TABLE ledger.wallets (
    address  bytea  PRIMARY KEY CHECK (octet_length(address) = 20),
    party_id bigint NOT NULL REFERENCES ledger.parties
);
CREATE INDEX wallets_party ON ledger.wallets (party_id);
COMMENT ON TABLE ledger.wallets IS 'Addresses of the chain and whose they are.';

CREATE TABLE ledger.accounts (
    account_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text        NOT NULL DEFAULT 'default' CHECK (char_length(tenant) BETWEEN 1 AND 80),
    code        text        NOT NULL CHECK (char_length(code) BETWEEN 1 AND 160),
    asset_id    integer     NOT NULL REFERENCES ledger.assets,
    party_id    bigint,
    kind        text        NOT NULL CHECK (kind IN ('asset', 'liability', 'equity', 'income', 'expense')),
    normal_side ledger.side NOT NULL,
    floor       numeric     CHECK (floor IS NULL OR (scale(floor) = 0) IS TRUE),
    closed_at   timestamptz,
    UNIQUE (tenant, code),
    FOREIGN KEY (tenant, party_id) REFERENCES ledger.parties (tenant, party_id)
);
CREATE INDEX accounts_party ON ledger.accounts (party_id);
CREATE INDEX accounts_asset ON ledger.accounts (asset_id);
COMMENT ON TABLE ledger.accounts IS 'Accounts, each in one asset. Balances are in ledger.balances: an account is the last of its entries.';
COMMENT ON COLUMN ledger.accounts.normal_side IS 'The side that makes its balance larger.';
COMMENT ON COLUMN ledger.accounts.floor IS 'What no entry may take the balance below, in base units on its normal side; null for no floor.';
COMMENT ON COLUMN ledger.accounts.closed_at IS 'From then on no entry is accepted.';

CREATE TABLE ledger.audit_log (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    login      name        NOT NULL DEFAULT session_user,
    actor      text,
    table_name name        NOT NULL,
    operation  text        NOT NULL,
    old        jsonb,
    new        jsonb
);
CREATE INDEX audit_log_table ON ledger.audit_log (table_name, id);
COMMENT ON TABLE ledger.audit_log IS 'Every change of a table whose rows can change.';
COMMENT ON COLUMN ledger.audit_log.login IS 'Who was connected to the database.';
COMMENT ON COLUMN ledger.audit_log.actor IS 'For whom, as the connection said: SET ledger.actor.';

-- As its owner: whoever changes a table may be nobody who could write here by himself.
CREATE FUNCTION ledger.record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.audit_log (actor, table_name, operation, old, new)
    VALUES (nullif(current_setting('ledger.actor', true), ''), TG_TABLE_NAME, TG_OP,
            CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
            CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN NULL;
END
$$;

-- Names are looked up in the catalog alone, here and in all that runs for somebody else: whoever may create
-- operators in a schema of his own could otherwise say what "equal" means.
CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of ledger.%: its rows are never changed or removed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'TL001', HINT = 'A wrong transaction is corrected by ledger.reverse_transaction.';
END
$$;

CREATE FUNCTION ledger.keep_meaning() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The columns that may change are the trigger's arguments.
    fixed jsonb := to_jsonb(OLD) - TG_ARGV;
BEGIN
    IF fixed <> to_jsonb(NEW) - TG_ARGV THEN
        RAISE EXCEPTION 'UPDATE of ledger.%: only % can change, since entries depend on the rest',
            TG_TABLE_NAME, array_to_string(TG_ARGV, ', ') USING ERRCODE = 'TL001';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER keep_meaning BEFORE UPDATE ON ledger.assets
    FOR EACH ROW EXECUTE FUNCTION ledger.keep_meaning('code', 'trusted', 'fee_on_transfer');
CREATE TRIGGER keep_meaning BEFORE UPDATE ON ledger.accounts
    FOR EACH ROW EXECUTE FUNCTION ledger.keep_meaning('floor', 'closed_at');
CREATE TRIGGER keep_meaning BEFORE UPDATE ON ledger.parties
    FOR EACH ROW EXECUTE FUNCTION ledger.keep_meaning('code', 'kind');

-- An account that is no longer used is closed: its entries stay, and so does it.
CREATE TRIGGER refuse_delete BEFORE DELETE ON ledger.accounts
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- Makes a table one whose every change is recorded, or one that only grows. ALWAYS: a session that plays
-- a replica fires them, too.
CREATE PROCEDURE ledger.watch(watched regclass, only_grows boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name name;
BEGIN
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', watched);
    IF only_grows THEN
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON %s
                        FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()', watched);
    ELSE
        EXECUTE format('CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON %s
                        FOR EACH ROW EXECUTE FUNCTION ledger.record_change()', watched);
    END IF;
    FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = watched AND NOT tgisinternal LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', watched, name);
    END LOOP;
END
$$;

CALL ledger.watch('ledger.assets', false);
CALL ledger.watch('ledger.parties', false);
CALL ledger.watch('ledger.wallets', false);
CALL ledger.watch('ledger.accounts', false);
CALL ledger.watch('ledger.audit_log', true);
