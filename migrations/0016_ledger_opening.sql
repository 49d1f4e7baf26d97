-- How parties, wallets and accounts come to be. Each call can be made again: what is there as asked for is
-- the answer, and what is there otherwise is an error that says how it is.

CREATE FUNCTION ledger.create_asset(
    code text, kind text, decimals integer, token bytea DEFAULT NULL, token_id numeric DEFAULT NULL,
    trusted boolean DEFAULT false, fee_on_transfer boolean DEFAULT false
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_one ledger.assets;
BEGIN
    INSERT INTO ledger.assets (code, kind, decimals, token, token_id, trusted, fee_on_transfer)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING * INTO found_one;
    IF NOT FOUND THEN
        SELECT * INTO found_one FROM ledger.assets a
        WHERE a.code = $1 OR a.kind = 'native' AND $2 = 'native'
           OR a.token = $4 AND a.token_id IS NOT DISTINCT FROM $5
        ORDER BY a.code = $1 DESC LIMIT 1;
    END IF;
    IF (found_one.code, found_one.kind, found_one.decimals, found_one.token, found_one.token_id)
       IS DISTINCT FROM ($1, $2, $3::smallint, $4, $5) THEN
        RAISE EXCEPTION 'asset % is there otherwise: %', found_one.code, to_jsonb(found_one) USING ERRCODE = 'TL002';
    END IF;
    RETURN found_one.asset_id;
END
$$;
COMMENT ON FUNCTION ledger.create_asset IS 'Names an asset; whether it is trusted can be changed later, what it is cannot.';

CREATE FUNCTION ledger.create_party(code text, kind text DEFAULT 'customer', tenant text DEFAULT 'default')
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found_one ledger.parties;
BEGIN
    PERFORM ledger.require_tenant($3);
    INSERT INTO ledger.parties (tenant, code, kind) VALUES ($3, $1, $2)
    ON CONFLICT (tenant, code) DO NOTHING RETURNING * INTO found_one;
    IF NOT FOUND THEN
        SELECT * INTO found_one FROM ledger.parties p WHERE p.tenant = $3 AND p.code = $1;
    END IF;
    IF found_one.kind <> $2 THEN
        RAISE EXCEPTION 'party % is there otherwise: %', $1, to_jsonb(found_one) USING ERRCODE = 'TL002';
    END IF;
    RETURN found_one.party_id;
END
$$;

CREATE FUNCTION ledger.add_wallet(address bytea, party text, tenant text DEFAULT 'default') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner  bigint := ledger.find_party(party, tenant);
    others bigint;
BEGIN
    PERFORM ledger.require_tenant($3);
    INSERT INTO ledger.wallets (address, party_id) VALUES ($1, owner) ON CONFLICT DO NOTHING;
    SELECT party_id INTO others FROM ledger.wallets w WHERE w.address = $1;
    IF others <> owner THEN
        RAISE EXCEPTION 'wallet 0x% belongs to another party', encode($1, 'hex') USING ERRCODE = 'TL002';
    END IF;
END
$$;
COMMENT ON FUNCTION ledger.add_wallet IS 'Says whose an address is; an address belongs to one party.';

CREATE FUNCTION ledger.open_account(
    code text, asset text, kind text, party text DEFAULT NULL, floor numeric DEFAULT NULL,
    normal_side ledger.side DEFAULT NULL, tenant text DEFAULT 'default'
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted    ledger.accounts;
    found_one ledger.accounts;
BEGIN
    PERFORM ledger.require_tenant($7);
    SELECT a.asset_id INTO wanted.asset_id FROM ledger.assets a WHERE a.code = $2;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no asset %', $2 USING ERRCODE = 'TL005', HINT = 'ledger.create_asset names one.';
    END IF;
    wanted.party_id := CASE WHEN party IS NOT NULL THEN ledger.find_party(party, tenant) END;
    wanted.normal_side := coalesce(normal_side, CASE WHEN $3 IN ('asset', 'expense') THEN 'debit' ELSE 'credit' END::ledger.side);
    INSERT INTO ledger.accounts (tenant, code, asset_id, party_id, kind, normal_side, floor)
    VALUES ($7, $1, wanted.asset_id, wanted.party_id, $3, wanted.normal_side, $5)
    ON CONFLICT (tenant, code) DO NOTHING RETURNING * INTO found_one;
    IF NOT FOUND THEN
        SELECT * INTO found_one FROM ledger.accounts a WHERE a.tenant = $7 AND a.code = $1;
    END IF;
    IF (found_one.asset_id, found_one.party_id, found_one.kind, found_one.normal_side, found_one.floor)
       IS DISTINCT FROM (wanted.asset_id, wanted.party_id, $3, wanted.normal_side, $5) THEN
        RAISE EXCEPTION 'account % is there otherwise: %', $1, to_jsonb(found_one) USING ERRCODE = 'TL002';
    END IF;
    RETURN found_one.account_id;
END
$$;
COMMENT ON FUNCTION ledger.open_account IS 'Opens an account in one asset. Assets and expenses grow by debits, all others by credits, unless another normal side is given.';

CREATE FUNCTION ledger.find_party(of_code text, of_tenant text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found_one bigint;
BEGIN
    SELECT party_id INTO found_one FROM ledger.parties WHERE tenant = of_tenant AND code = of_code;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % has no party %', of_tenant, of_code USING ERRCODE = 'TL005',
            HINT = 'ledger.create_party adds one.';
    END IF;
    RETURN found_one;
END
$$;
