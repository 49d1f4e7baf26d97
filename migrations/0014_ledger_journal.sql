-- The journal: transactions and their entries, which only ever grow.
--
-- The database itself holds what must be true of them, whoever writes: an entry takes the next number of
-- its account and continues its balance; a posted transaction has all its lines, at least two, balanced
-- in every asset; a reversal is the mirror of what it reverses, and the only one. An account has no
-- balance of its own that could differ: it is that of its last entry.
--
-- These tables have no CHECK: each is read from its text again by every statement that inserts a row, which
-- took a tenth of posting one. Lengths are types here, the rest is asked for by the triggers.

CREATE TABLE ledger.transactions (
    transaction_id  bigint        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant          varchar(80)   NOT NULL,
    idempotency_key varchar(200)  NOT NULL,
    body_hash       bytea         NOT NULL,
    kind            varchar(40)   NOT NULL,
    line_count      smallint      NOT NULL,
    was_pending     boolean       NOT NULL,
    reverses        bigint        REFERENCES ledger.transactions,
    description     varchar(1000),
    metadata        jsonb,
    effective_at    timestamptz   NOT NULL DEFAULT now(),
    recorded_at     timestamptz   NOT NULL DEFAULT now(),
    recorded_by     name          NOT NULL DEFAULT session_user,
    UNIQUE (tenant, idempotency_key)
);
CREATE UNIQUE INDEX transactions_reverses ON ledger.transactions (reverses) WHERE reverses IS NOT NULL;
COMMENT ON TABLE ledger.transactions IS 'The journal. A transaction is posted when it is written, or pending until an event says otherwise.';
COMMENT ON COLUMN ledger.transactions.idempotency_key IS 'The caller''s own name for it: the same call, however often, is one transaction.';
COMMENT ON COLUMN ledger.transactions.body_hash IS 'SHA-256 of the call: another call under the same key is an error.';
COMMENT ON COLUMN ledger.transactions.reverses IS 'The transaction whose mirror it is.';
COMMENT ON COLUMN ledger.transactions.effective_at IS 'When it happened, as the caller says.';

CREATE TABLE ledger.pending_lines (
    transaction_id bigint PRIMARY KEY REFERENCES ledger.transactions,
    lines          jsonb  NOT NULL
);
COMMENT ON TABLE ledger.pending_lines IS 'The lines of transactions that were not posted when they were written.';

CREATE TABLE ledger.transaction_events (
    transaction_id bigint      NOT NULL REFERENCES ledger.transactions,
    state          text        NOT NULL CHECK (state IN ('posted', 'void')),
    at             timestamptz NOT NULL DEFAULT now(),
    login          name        NOT NULL DEFAULT session_user,
    reason         text        CHECK (char_length(reason) <= 1000),
    PRIMARY KEY (transaction_id, state)
);
COMMENT ON TABLE ledger.transaction_events IS 'What became of transactions: pending ones are posted or void, posted ones void once they are reversed.';

CREATE TABLE ledger.entries (
    account_id     bigint        NOT NULL,
    sequence       bigint        NOT NULL,
    transaction_id bigint        NOT NULL,
    line           smallint      NOT NULL,
    asset_id       integer       NOT NULL,
    side           ledger.side   NOT NULL,
    amount         ledger.amount NOT NULL,
    balance_before numeric       NOT NULL,
    balance_after  numeric       NOT NULL,
    PRIMARY KEY (account_id, sequence),
    UNIQUE (transaction_id, line)
);
COMMENT ON TABLE ledger.entries IS 'Lines of posted transactions. Their trigger looks their transaction and account up, neither of which is ever removed: foreign keys would look again.';
COMMENT ON COLUMN ledger.entries.sequence IS 'Number within the account, from 1 without gaps.';
COMMENT ON COLUMN ledger.entries.balance_after IS 'Balance of the account on its normal side, in base units.';

CREATE FUNCTION ledger.refuse_isolation() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is written in READ COMMITTED, not in %',
        upper(current_setting('transaction_isolation')) USING ERRCODE = 'TL003',
        HINT = 'What was committed while waiting for a lock has to be seen.';
END
$$;

-- Gives an entry its asset, its number and its balances. Accounts are locked here, in the order in which
-- entries are written, which is that of account_id: two writers never wait for each other.
CREATE FUNCTION ledger.append_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name    text;
    grows   ledger.side;
    lowest  numeric;
    closed  timestamptz;
    lines   smallint;
    posted  boolean;
    number  bigint;
    balance numeric;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM ledger.refuse_isolation();
    END IF;
    SELECT code, asset_id, normal_side, floor, closed_at INTO name, NEW.asset_id, grows, lowest, closed
    FROM ledger.accounts WHERE account_id = NEW.account_id FOR NO KEY UPDATE;
    -- A statement of its own: it sees what was committed while the last one waited for its lock.
    SELECT t.line_count, NOT t.was_pending OR EXISTS (
               SELECT FROM ledger.transaction_events v
               WHERE v.transaction_id = t.transaction_id AND v.state = 'posted'),
           e.sequence, e.balance_after
    INTO lines, posted, number, balance
    FROM ledger.transactions t LEFT JOIN LATERAL (
        SELECT sequence, balance_after FROM ledger.entries
        WHERE account_id = NEW.account_id ORDER BY sequence DESC LIMIT 1
    ) AS e ON true
    WHERE t.transaction_id = NEW.transaction_id;
    IF NOT (posted AND NEW.line BETWEEN 1 AND lines) IS TRUE THEN
        RAISE EXCEPTION 'transaction % has no line %, or is not posted', NEW.transaction_id, NEW.line
            USING ERRCODE = 'TL003';
    ELSIF closed IS NOT NULL THEN
        RAISE EXCEPTION 'account % is closed', name USING ERRCODE = 'TL004';
    END IF;
    NEW.sequence := coalesce(number, 0) + 1;
    NEW.balance_before := coalesce(balance, 0);
    NEW.balance_after := NEW.balance_before + CASE WHEN NEW.side = grows THEN NEW.amount ELSE -NEW.amount END;
    IF NEW.balance_after < lowest AND NEW.balance_after < NEW.balance_before THEN
        RAISE EXCEPTION 'account % has %, and % may not take it below %', name, NEW.balance_before, NEW.amount, lowest
            USING ERRCODE = 'TL004';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER append_entry BEFORE INSERT ON ledger.entries
    FOR EACH ROW EXECUTE FUNCTION ledger.append_entry();

-- A pending transaction is posted or void, a posted one is void once its mirror is there. What follows
-- from an event is found under the transaction's lock.
CREATE FUNCTION ledger.move_on() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    header   ledger.transactions;
    current  text;
    reversed boolean;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM ledger.refuse_isolation();
    END IF;
    SELECT * INTO header FROM ledger.transactions
    WHERE transaction_id = NEW.transaction_id FOR NO KEY UPDATE;
    current := ledger.status_of(header.transaction_id, header.was_pending);
    reversed := EXISTS (SELECT FROM ledger.transactions WHERE reverses = NEW.transaction_id);
    IF NOT (current = 'pending' OR current = 'posted' AND NEW.state = 'void' AND reversed) THEN
        RAISE EXCEPTION 'transaction % is %: it cannot become %', NEW.transaction_id, current, NEW.state
            USING ERRCODE = 'TL006';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER move_on BEFORE INSERT ON ledger.transaction_events
    FOR EACH ROW EXECUTE FUNCTION ledger.move_on();

CREATE FUNCTION ledger.status_of(id bigint, was_pending boolean) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT max(state) FROM ledger.transaction_events WHERE transaction_id = id),
        CASE WHEN was_pending THEN 'pending' ELSE 'posted' END)
$$;
COMMENT ON FUNCTION ledger.status_of IS 'pending, posted or void; void comes last in the alphabet as it does in life.';

-- What must be true of a posted transaction when the database transaction that posts it ends: after the call
-- of a function that ran as the owner, so this does, too.
CREATE FUNCTION ledger.require_balance() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    header ledger.transactions;
    lines  bigint;
    uneven text;
BEGIN
    IF TG_RELID = 'ledger.transactions'::regclass THEN
        header := NEW;
    ELSE
        SELECT * INTO header FROM ledger.transactions WHERE transaction_id = NEW.transaction_id;
    END IF;
    SELECT sum(own.lines), string_agg(
        (SELECT format('%s by %s', code, difference) FROM ledger.assets a WHERE a.asset_id = own.asset_id), ', ')
        FILTER (WHERE difference <> 0)
    INTO lines, uneven
    FROM (SELECT asset_id, count(*) AS lines,
                 sum(CASE side WHEN 'debit' THEN amount ELSE -amount END) AS difference
          FROM ledger.entries WHERE transaction_id = header.transaction_id GROUP BY asset_id) AS own;
    IF lines IS DISTINCT FROM header.line_count OR lines < 2 THEN
        RAISE EXCEPTION 'transaction % has % of its % lines', header.transaction_id, coalesce(lines, 0),
            header.line_count USING ERRCODE = 'TL003';
    ELSIF uneven IS NOT NULL THEN
        RAISE EXCEPTION 'debits and credits of transaction % differ: %', header.idempotency_key, uneven
            USING ERRCODE = 'TL003';
    ELSIF header.reverses IS NOT NULL THEN
        IF NOT ledger.is_mirror(header.transaction_id, header.reverses) THEN
            RAISE EXCEPTION 'transaction % is not the mirror of %', header.transaction_id, header.reverses
                USING ERRCODE = 'TL003';
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION ledger.is_mirror(of_one bigint, of_other bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (
        SELECT FROM (SELECT * FROM ledger.entries WHERE transaction_id = of_one) AS a
        FULL JOIN (SELECT * FROM ledger.entries WHERE transaction_id = of_other) AS b
            ON a.line = b.line AND a.account_id = b.account_id AND a.amount = b.amount AND a.side <> b.side
        WHERE a.line IS NULL OR b.line IS NULL)
$$;
COMMENT ON FUNCTION ledger.is_mirror IS 'Whether every line of the one is in the other, with the other side.';
CREATE CONSTRAINT TRIGGER require_balance AFTER INSERT ON ledger.transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT NEW.was_pending)
    EXECUTE FUNCTION ledger.require_balance();
CREATE CONSTRAINT TRIGGER require_balance AFTER INSERT ON ledger.transaction_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.state = 'posted')
    EXECUTE FUNCTION ledger.require_balance();

CALL ledger.watch('ledger.transactions', true);
CALL ledger.watch('ledger.pending_lines', true);
CALL ledger.watch('ledger.transaction_events', true);
CALL ledger.watch('ledger.entries', true);

-- The exact value or an error: a cast to numeric(28, 18) alone would round.
CREATE FUNCTION ledger.exact_units(base numeric, decimals integer, digits integer, places integer)
RETURNS numeric LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- A scale that holds all decimals, so that nothing is lost on the way.
    units numeric := trim_scale(base * ('1e-' || decimals)::numeric);
BEGIN
    IF scale(units) > places OR abs(units) >= ('1e' || (digits - places))::numeric THEN
        RAISE EXCEPTION '% is no numeric(%, %)', units, digits, places USING ERRCODE = 'TL009',
            HINT = 'Read ledger.balances, which is in base units.';
    END IF;
    RETURN units;
END
$$;

CREATE VIEW ledger.balances WITH (security_invoker = true) AS
SELECT a.account_id, a.tenant, a.code AS account, a.kind, a.normal_side, s.code AS asset, s.decimals,
       coalesce(e.sequence, 0) AS sequence, coalesce(e.balance_after, 0) AS balance
FROM ledger.accounts a JOIN ledger.assets s USING (asset_id)
LEFT JOIN LATERAL (
    SELECT sequence, balance_after FROM ledger.entries
    WHERE account_id = a.account_id ORDER BY sequence DESC LIMIT 1
) AS e ON true;
COMMENT ON VIEW ledger.balances IS 'Balances in base units, on the normal side of each account.';

CREATE VIEW ledger.balances_28_18 WITH (security_invoker = true) AS
SELECT account_id, tenant, account, asset, sequence,
       ledger.exact_units(balance, decimals, 28, 18)::numeric(28, 18) AS balance
FROM ledger.balances;
COMMENT ON VIEW ledger.balances_28_18 IS 'Balances in human units with 18 decimals; an error where one does not fit exactly.';

CREATE VIEW ledger.balances_20_8 WITH (security_invoker = true) AS
SELECT account_id, tenant, account, asset, sequence,
       ledger.exact_units(balance, decimals, 20, 8)::numeric(20, 8) AS balance
FROM ledger.balances;
COMMENT ON VIEW ledger.balances_20_8 IS 'Balances in human units with 8 decimals; an error where one does not fit exactly.';

CREATE VIEW ledger.statement WITH (security_invoker = true) AS
SELECT e.account_id, a.tenant, a.code AS account, e.sequence, t.effective_at, t.recorded_at, t.transaction_id,
       t.idempotency_key, t.kind, ledger.status_of(t.transaction_id, t.was_pending) AS status,
       t.reverses, e.line, s.code AS asset, e.side, e.amount, e.balance_before, e.balance_after, t.description
FROM ledger.entries e
JOIN ledger.transactions t USING (transaction_id)
JOIN ledger.accounts a USING (account_id)
JOIN ledger.assets s ON s.asset_id = e.asset_id;
COMMENT ON VIEW ledger.statement IS 'Every entry with what it belongs to.';
