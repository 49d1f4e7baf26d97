-- How the ledger is written: functions that any client calls, each one statement that happens or not.
--
-- A call names itself by a key. Made again, after a lost connection for one, it answers with the
-- transaction that is there; another call under the same key is an error. Codes of errors: TL001 a change
-- of what only grows, TL002 a key used for another call, TL003 a transaction that is none, TL004 a floor
-- or a closed account, TL005 something unknown, TL006 a step that does not follow, TL007 a malformed
-- call, TL008 reversed before, TL009 a number without exact form.

CREATE TYPE ledger.posting AS (transaction_id bigint, status text, replayed boolean);

-- Refuses a login that is limited to other tenants, or to parties: what it calls is run as the owner.
CREATE FUNCTION ledger.require_tenant(of_tenant text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (char_length(of_tenant) BETWEEN 1 AND 80) IS NOT TRUE THEN
        RAISE EXCEPTION 'a tenant has 1 to 80 characters' USING ERRCODE = 'TL007';
    ELSIF EXISTS (SELECT FROM ledger.reader_limits WHERE login = session_user) AND NOT EXISTS (
        SELECT FROM ledger.reader_limits
        WHERE login = session_user AND tenant = of_tenant AND party_id IS NULL) THEN
        RAISE EXCEPTION 'login % is not allowed to write for tenant %', session_user, of_tenant
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- Whether a call has the shape of one; amounts of 78 digits, which may be too large, are left to refuse_body.
CREATE FUNCTION ledger.is_body(body jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF jsonb_typeof(body) IS DISTINCT FROM 'object' THEN
        RETURN false;
    END IF;
    RETURN body - ARRAY['key', 'lines', 'kind', 'description', 'effective_at', 'pending', 'metadata'] = '{}'
        AND jsonb_path_match(body, '$.key.type() == "string" && $.key like_regex "^.{1,200}$" && $.lines.type() == "array"
            && $.lines.size() >= 2 && $.lines.size() <= 10000 && !exists($.lines[*].type() ? (@ != "object"))
            && !exists($.lines[*] ? (!(@.account.type() == "string"
                                       && @.side.type() == "string" && (@.side == "debit" || @.side == "credit")
                                       && @.amount.type() == "string" && @.amount like_regex "^[1-9][0-9]{0,76}$")
                                     || exists(@.keyvalue() ? (@.key != "account" && @.key != "side" && @.key != "amount"))))
            && (!exists($.kind) || $.kind.type() == "string" && $.kind like_regex "^.{1,40}$")
            && (!exists($.description) || $.description.type() == "string")
            && (!exists($.effective_at) || $.effective_at.type() == "string" && $.effective_at like_regex
                "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$")
            && (!exists($.pending) || $.pending.type() == "boolean")
            && (!exists($.metadata) || $.metadata.type() == "object")', '{}', true) IS TRUE;
END
$$;

-- Says what is wrong with the shape of a call, if anything is.
CREATE FUNCTION ledger.refuse_body(body jsonb, place bigint) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    known CONSTANT jsonb := '{"key": "string", "kind": "string", "lines": "array", "description": "string",
        "effective_at": "string", "pending": "boolean", "metadata": "object"}';
    wrong text;
BEGIN
    IF jsonb_typeof(body) IS DISTINCT FROM 'object' THEN
        wrong := 'an object is expected';
    ELSIF NOT body ?& ARRAY['key', 'lines'] THEN
        wrong := '"key" and "lines" are needed';
    ELSE
        SELECT format('%s is %s, accepted are %s', key, jsonb_typeof(value),
                      (SELECT string_agg(format('%s (%s)', k, v), ', ') FROM jsonb_each_text(known) AS a(k, v)))
        INTO wrong FROM jsonb_each(body)
        WHERE jsonb_typeof(value) IS DISTINCT FROM known ->> key LIMIT 1;
        IF wrong IS NULL AND char_length(body ->> 'key') NOT BETWEEN 1 AND 200 THEN
            wrong := 'a key has 1 to 200 characters';
        ELSIF wrong IS NULL AND char_length(body ->> 'kind') NOT BETWEEN 1 AND 40 THEN
            wrong := 'a kind has 1 to 40 characters';
        ELSIF wrong IS NULL AND body ->> 'effective_at' !~
            '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.]\d+)?(Z|[+-]\d\d:\d\d)$' THEN
            wrong := format('effective_at is %s, and a time such as 2026-01-31T12:00:00Z is accepted', body ->> 'effective_at');
        END IF;
    END IF;
    IF wrong IS NULL THEN
        SELECT format('line %s is %s: accepted are {"account": code, "side": "debit" or "credit", "amount": a '
                      'whole number of base units from 1 to 2^256 - 1 as text}', n, line)
        INTO wrong FROM jsonb_array_elements(body -> 'lines') WITH ORDINALITY AS l(line, n)
        WHERE (jsonb_typeof(line) = 'object' AND line ?& ARRAY['account', 'side', 'amount']
                   AND line - ARRAY['account', 'side', 'amount'] = '{}'
                   AND jsonb_typeof(line -> 'account') = 'string' AND jsonb_typeof(line -> 'amount') = 'string'
                   AND line ->> 'side' IN ('debit', 'credit') AND line ->> 'amount' ~ '^[1-9][0-9]{0,77}$') IS NOT TRUE
           OR (line ->> 'amount')::numeric >
              115792089237316195423570985008687907853269984665640564039457584007913129639935
        LIMIT 1;
    END IF;
    IF wrong IS NULL AND jsonb_array_length(body -> 'lines') NOT BETWEEN 2 AND 10000 THEN
        wrong := format('it has %s lines, and 2 to 10,000 are accepted', jsonb_array_length(body -> 'lines'));
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'transaction % of the call: %', place, wrong USING ERRCODE = 'TL007';
    END IF;
END
$$;

-- Whether lines could be posted: of accounts that there are, and balanced.
CREATE FUNCTION ledger.check_lines(of_tenant text, lines jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    unknown text;
    uneven  text;
BEGIN
    SELECT min(line ->> 'account') INTO unknown
    FROM jsonb_array_elements(lines) AS line LEFT JOIN LATERAL (
        SELECT account_id FROM ledger.accounts WHERE tenant = of_tenant AND code = line ->> 'account' LIMIT 1
    ) AS a ON true
    WHERE account_id IS NULL;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'tenant % has no account %', of_tenant, unknown USING ERRCODE = 'TL005',
            HINT = 'ledger.open_account opens one.';
    END IF;
    SELECT format('%s by %s', code, difference) INTO uneven
    FROM (SELECT asset_id, sum(CASE line ->> 'side' WHEN 'debit' THEN 1 ELSE -1 END
                               * (line ->> 'amount')::numeric) AS difference
          FROM jsonb_array_elements(lines) AS line, LATERAL (
              SELECT asset_id FROM ledger.accounts WHERE tenant = of_tenant AND code = line ->> 'account' LIMIT 1
          ) AS a
          GROUP BY asset_id) AS sums JOIN ledger.assets USING (asset_id)
    WHERE difference <> 0 LIMIT 1;
    IF uneven IS NOT NULL THEN
        RAISE EXCEPTION 'debits and credits differ: %', uneven USING ERRCODE = 'TL003';
    END IF;
END
$$;

-- Writes the lines of posted transactions of a tenant, accounts in order, and returns how many. Each
-- account is looked up by its key: how many elements an array has is not known when this is planned, and a
-- join may read all accounts.
CREATE FUNCTION ledger.write_lines(of_tenant text, ids bigint[], lines jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    INSERT INTO ledger.entries (account_id, transaction_id, line, side, amount)
    SELECT a.account_id, ids[place], n, (line ->> 'side')::ledger.side, (line ->> 'amount')::numeric
    FROM jsonb_array_elements(lines) WITH ORDINALITY AS o(own, place),
         jsonb_array_elements(own) WITH ORDINALITY AS l(line, n),
         LATERAL (SELECT account_id FROM ledger.accounts
                  WHERE tenant = of_tenant AND code = line ->> 'account' LIMIT 1) AS a
    ORDER BY a.account_id, place, n;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;

-- Writes a transaction without its lines; those of a pending one are kept as they are. The same call finds
-- what it wrote before.
CREATE FUNCTION ledger.write_header(of_tenant text, body jsonb, place bigint) RETURNS ledger.posting
LANGUAGE plpgsql AS $$
DECLARE
    hash    bytea := sha256(convert_to(body::text, 'UTF8'));
    pending boolean;
    known   ledger.transactions;
    done    ledger.posting;
BEGIN
    IF NOT ledger.is_body(body) THEN
        PERFORM ledger.refuse_body(body, place);
    END IF;
    pending := coalesce((body -> 'pending')::boolean, false);
    INSERT INTO ledger.transactions (tenant, idempotency_key, body_hash, kind, line_count, was_pending,
                                     description, metadata, effective_at)
    VALUES (of_tenant, body ->> 'key', hash, coalesce(body ->> 'kind', 'transfer'),
            jsonb_array_length(body -> 'lines'), pending,
            body ->> 'description', body -> 'metadata', coalesce((body ->> 'effective_at')::timestamptz, now()))
    ON CONFLICT (tenant, idempotency_key) DO NOTHING
    RETURNING transaction_id INTO done.transaction_id;
    done.replayed := NOT FOUND;
    done.status := CASE WHEN pending THEN 'pending' ELSE 'posted' END;
    IF done.replayed THEN
        known := ledger.find_called(of_tenant, body ->> 'key', hash);
        done.transaction_id := known.transaction_id;
        done.status := ledger.status_of(known.transaction_id, pending);
    ELSIF pending THEN
        PERFORM ledger.check_lines(of_tenant, body -> 'lines');
        INSERT INTO ledger.pending_lines VALUES (done.transaction_id, body -> 'lines');
    END IF;
    RETURN done;
END
$$;

CREATE FUNCTION ledger.write_transaction(of_tenant text, body jsonb) RETURNS ledger.posting
LANGUAGE plpgsql AS $$
DECLARE
    done ledger.posting := ledger.write_header(of_tenant, body, 1::bigint);
BEGIN
    IF done.status = 'posted' AND NOT done.replayed THEN
        IF ledger.write_lines(of_tenant, ARRAY[done.transaction_id], jsonb_build_array(body -> 'lines'))
           <> jsonb_array_length(body -> 'lines') THEN
            PERFORM ledger.check_lines(of_tenant, body -> 'lines');
        END IF;
    END IF;
    RETURN done;
END
$$;

CREATE FUNCTION ledger.post_transaction(body jsonb, tenant text DEFAULT 'default') RETURNS ledger.posting
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.require_tenant(tenant);
    RETURN ledger.write_transaction(tenant, body);
END
$$;
COMMENT ON FUNCTION ledger.post_transaction IS 'Posts a transaction: {"key", "lines": [{"account", "side", "amount"}], "kind", "description", "effective_at", "pending", "metadata"}.';

-- All or none; answers in the order of the call.
CREATE FUNCTION ledger.post_batch(bodies jsonb, tenant text DEFAULT 'default') RETURNS SETOF ledger.posting
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body     jsonb;
    ids      bigint[] := '{}';
    lines    jsonb[] := '{}';
    expected bigint := 0;
    done     ledger.posting;
BEGIN
    PERFORM ledger.require_tenant(tenant);
    IF jsonb_typeof(bodies) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'an array of transactions is expected' USING ERRCODE = 'TL007';
    END IF;
    FOR place IN 0..jsonb_array_length(bodies) - 1 LOOP
        body := bodies -> place;
        done := ledger.write_header(tenant, body, (place + 1)::bigint);
        IF done.status = 'posted' AND NOT done.replayed THEN
            ids := ids || done.transaction_id;
            lines := lines || (body -> 'lines');
            expected := expected + jsonb_array_length(body -> 'lines');
        END IF;
        RETURN NEXT done;
    END LOOP;
    IF expected > 0 AND ledger.write_lines(tenant, ids, to_jsonb(lines)) <> expected THEN
        PERFORM ledger.check_lines(tenant, own) FROM unnest(lines) AS own;
    END IF;
END
$$;
COMMENT ON FUNCTION ledger.post_batch IS 'Posts several transactions, all or none: an array of what ledger.post_transaction takes.';

-- The transaction that a call named before; an error when that was another call.
CREATE FUNCTION ledger.find_called(of_tenant text, key text, hash bytea) RETURNS ledger.transactions
LANGUAGE plpgsql AS $$
DECLARE
    known ledger.transactions;
BEGIN
    SELECT * INTO known FROM ledger.transactions WHERE tenant = of_tenant AND idempotency_key = key;
    IF known.body_hash <> hash THEN
        RAISE EXCEPTION 'key % of tenant % was used for another call, which wrote transaction %',
            key, of_tenant, known.transaction_id USING ERRCODE = 'TL002',
            HINT = 'The same key says the same call again; another call needs a key of its own.';
    END IF;
    RETURN known;
END
$$;

-- Moves an amount between accounts of the same kind of side: from a customer to another, from wallet to
-- wallet. The one it is taken from becomes smaller, the other larger.
CREATE FUNCTION ledger.create_transfer_transaction(
    key text, from_account text, to_account text, amount numeric, description text DEFAULT NULL,
    tenant text DEFAULT 'default'
) RETURNS ledger.posting
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    hash    bytea := sha256(convert_to(jsonb_build_array(from_account, to_account, $4::text, $5)::text, 'UTF8'));
    written bigint;
    crossed boolean;
    done    ledger.posting := (NULL, 'posted', false);
BEGIN
    PERFORM ledger.require_tenant($6);
    IF (char_length(key) BETWEEN 1 AND 200 AND scale($4) = 0 AND $4 BETWEEN 1 AND
        115792089237316195423570985008687907853269984665640564039457584007913129639935) IS NOT TRUE THEN
        RAISE EXCEPTION 'key % with amount %: accepted are 1 to 200 characters, and base units from 1 to 2^256 - 1',
            key, $4 USING ERRCODE = 'TL007';
    END IF;
    INSERT INTO ledger.transactions (tenant, idempotency_key, body_hash, kind, line_count, was_pending, description)
    VALUES ($6, key, hash, 'transfer', 2, false, $5)
    ON CONFLICT (tenant, idempotency_key) DO NOTHING RETURNING transaction_id INTO done.transaction_id;
    IF NOT FOUND THEN
        done.transaction_id := (ledger.find_called($6, key, hash)).transaction_id;
        done.status := ledger.status_of(done.transaction_id, false);
        done.replayed := true;
        RETURN done;
    END IF;
    WITH lines AS (
        INSERT INTO ledger.entries (account_id, transaction_id, line, side, amount)
        SELECT a.account_id, done.transaction_id, line,
               CASE WHEN gains = (a.normal_side = 'debit') THEN 'debit' ELSE 'credit' END::ledger.side, $4
        FROM (VALUES (1, from_account, false), (2, to_account, true)) AS l(line, account, gains), LATERAL (
            SELECT account_id, normal_side FROM ledger.accounts WHERE tenant = $6 AND code = account LIMIT 1) AS a
        ORDER BY a.account_id, line
        RETURNING side
    )
    SELECT count(*), min(side) = max(side) INTO written, crossed FROM lines;
    IF written < 2 THEN
        PERFORM ledger.check_lines($6, jsonb_build_array(
            jsonb_build_object('account', from_account), jsonb_build_object('account', to_account)));
    ELSIF crossed THEN
        RAISE EXCEPTION 'accounts % and % have different normal sides: say which to debit with ledger.post_transaction',
            from_account, to_account USING ERRCODE = 'TL003';
    END IF;
    RETURN done;
END
$$;
COMMENT ON FUNCTION ledger.create_transfer_transaction IS 'Moves base units from an account to another whose balance grows on the same side.';

CREATE FUNCTION ledger.reverse_transaction(transaction_id bigint, key text, reason text) RETURNS ledger.posting
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    original ledger.transactions := ledger.lock_transaction(transaction_id);
    mirror   ledger.transactions;
    hash     bytea := sha256(convert_to(jsonb_build_object('reverses', transaction_id, 'reason', reason)::text, 'UTF8'));
    status   text;
BEGIN
    IF (char_length(key) BETWEEN 1 AND 200) IS NOT TRUE THEN
        RAISE EXCEPTION 'a key has 1 to 200 characters' USING ERRCODE = 'TL007';
    END IF;
    SELECT * INTO mirror FROM ledger.transactions t WHERE t.reverses = original.transaction_id;
    IF mirror.idempotency_key = key THEN
        mirror := ledger.find_called(original.tenant::text, key, hash);
        RETURN (mirror.transaction_id, 'posted', true)::ledger.posting;
    ELSIF mirror.transaction_id IS NOT NULL THEN
        RAISE EXCEPTION 'transaction % is reversed by % already', original.transaction_id,
            mirror.transaction_id USING ERRCODE = 'TL008';
    END IF;
    status := ledger.status_of(original.transaction_id, original.was_pending);
    IF status <> 'posted' OR original.reverses IS NOT NULL THEN
        RAISE EXCEPTION 'transaction % is %: it cannot be reversed', original.transaction_id,
            CASE WHEN original.reverses IS NULL THEN status ELSE 'a reversal' END USING ERRCODE = 'TL006';
    END IF;
    INSERT INTO ledger.transactions (tenant, idempotency_key, body_hash, kind, line_count, was_pending, reverses,
                                     description)
    VALUES (original.tenant, key, hash, 'reversal', original.line_count, false, original.transaction_id, reason)
    ON CONFLICT (tenant, idempotency_key) DO NOTHING RETURNING * INTO mirror;
    IF NOT FOUND THEN
        -- It names something else, since nothing reverses this one.
        PERFORM ledger.find_called(original.tenant::text, key, hash);
    END IF;
    INSERT INTO ledger.entries (account_id, transaction_id, line, side, amount)
    SELECT e.account_id, mirror.transaction_id, e.line,
           (CASE e.side WHEN 'debit' THEN 'credit' ELSE 'debit' END)::ledger.side, e.amount
    FROM ledger.entries e WHERE e.transaction_id = original.transaction_id
    -- Back the way that the balances came.
    ORDER BY e.account_id, e.line DESC;
    INSERT INTO ledger.transaction_events (transaction_id, state, reason)
    VALUES (original.transaction_id, 'void', reason);
    RETURN (mirror.transaction_id, 'posted', false)::ledger.posting;
END
$$;
COMMENT ON FUNCTION ledger.reverse_transaction IS 'Writes the mirror of a posted transaction, which is void from then on; once.';

-- Posts a pending transaction.
CREATE FUNCTION ledger.post_pending(transaction_id bigint) RETURNS ledger.posting
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pending ledger.transactions := ledger.lock_transaction(transaction_id);
BEGIN
    IF ledger.status_of(pending.transaction_id, pending.was_pending) = 'posted' THEN
        RETURN (pending.transaction_id, 'posted', true)::ledger.posting;
    END IF;
    INSERT INTO ledger.transaction_events (transaction_id, state) VALUES (pending.transaction_id, 'posted');
    PERFORM ledger.write_lines(pending.tenant::text, ARRAY[pending.transaction_id], (
        SELECT jsonb_build_array(lines) FROM ledger.pending_lines p WHERE p.transaction_id = pending.transaction_id));
    RETURN (pending.transaction_id, 'posted', false)::ledger.posting;
END
$$;
COMMENT ON FUNCTION ledger.post_pending IS 'Posts a transaction that was recorded as pending.';

-- Gives a pending transaction up.
CREATE FUNCTION ledger.void_pending(transaction_id bigint, reason text) RETURNS ledger.posting
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pending ledger.transactions := ledger.lock_transaction(transaction_id);
    status  text := ledger.status_of(pending.transaction_id, pending.was_pending);
BEGIN
    IF NOT pending.was_pending OR status = 'posted' THEN
        RAISE EXCEPTION 'transaction % is posted: it is reversed, not given up', pending.transaction_id
            USING ERRCODE = 'TL006', HINT = 'ledger.reverse_transaction writes its mirror.';
    ELSIF status = 'pending' THEN
        INSERT INTO ledger.transaction_events (transaction_id, state, reason)
        VALUES (pending.transaction_id, 'void', reason);
    END IF;
    RETURN (pending.transaction_id, 'void', status = 'void')::ledger.posting;
END
$$;
COMMENT ON FUNCTION ledger.void_pending IS 'Gives up a transaction that was recorded as pending.';

-- A transaction, locked: what becomes of it is decided by one caller at a time.
CREATE FUNCTION ledger.lock_transaction(id bigint) RETURNS ledger.transactions LANGUAGE plpgsql AS $$
DECLARE
    found_one ledger.transactions;
BEGIN
    SELECT * INTO found_one FROM ledger.transactions t WHERE t.transaction_id = id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no transaction %', id USING ERRCODE = 'TL005';
    END IF;
    PERFORM ledger.require_tenant(found_one.tenant::text);
    RETURN found_one;
END
$$;
