-- Who may do what with the ledger.
--
--   ledger_owner   owns it, and nobody logs in as it: what it could do, switching triggers off, nobody does
--   app_admin      changes assets, parties, wallets, accounts and limits of readers; creates what it likes in the
--                  schema reports, and nothing in the others: what runs for somebody else would find it there
--   app_readwrite  calls the ledger's functions, and nothing else
--   app_readonly   reads; a login with rows in ledger.reader_limits reads only those tenants or parties
--
-- Roles belong to the whole server, and a managed one may not let us create any: that is a notice, and
-- everything belongs to whoever migrates. ledger.secure() can be called again, by somebody who may.

CREATE TABLE ledger.reader_limits (
    login    name   NOT NULL,
    tenant   text   NOT NULL,
    party_id bigint REFERENCES ledger.parties,
    UNIQUE NULLS NOT DISTINCT (login, tenant, party_id)
);
COMMENT ON TABLE ledger.reader_limits IS 'Logins that do not read everything: a row allows a tenant, or one party of it.';
CALL ledger.watch('ledger.reader_limits', false);

-- The login is the session's, which only a superuser changes. As the owner, whom no policy limits.
CREATE FUNCTION ledger.may_read(of_tenant text, of_party bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT NOT EXISTS (SELECT FROM ledger.reader_limits WHERE login = session_user)
        OR EXISTS (SELECT FROM ledger.reader_limits WHERE login = session_user AND tenant = of_tenant
                   AND (party_id IS NULL OR party_id = of_party))
$$;
CREATE FUNCTION ledger.may_read_everything() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT NOT EXISTS (SELECT FROM ledger.reader_limits WHERE login = session_user)
$$;

ALTER TABLE ledger.parties ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.wallets ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.transactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.pending_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.transaction_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.reader_limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.audit_log ENABLE ROW LEVEL SECURITY;

-- Each asks once whether anything is limited at all; where something is, rows follow from the accounts
-- and parties that can be seen.
CREATE POLICY readers ON ledger.parties
    USING ((SELECT ledger.may_read_everything()) OR ledger.may_read(tenant, party_id));
CREATE POLICY readers ON ledger.accounts
    USING ((SELECT ledger.may_read_everything()) OR ledger.may_read(tenant, party_id));
CREATE POLICY readers ON ledger.wallets
    USING ((SELECT ledger.may_read_everything()) OR EXISTS (
        SELECT FROM ledger.parties p WHERE p.party_id = wallets.party_id));
CREATE POLICY readers ON ledger.entries
    USING ((SELECT ledger.may_read_everything()) OR EXISTS (
        SELECT FROM ledger.accounts a WHERE a.account_id = entries.account_id));
-- A transaction is read by those who read any of its entries; what was pending shows all lines as they were
-- given, and is left to those who read the whole tenant.
CREATE POLICY readers ON ledger.transactions
    USING ((SELECT ledger.may_read_everything()) OR ledger.may_read(tenant, NULL)
           OR EXISTS (
               SELECT FROM ledger.entries e WHERE e.transaction_id = transactions.transaction_id));
CREATE POLICY readers ON ledger.pending_lines
    USING ((SELECT ledger.may_read_everything()) OR EXISTS (
        SELECT FROM ledger.transactions t
        WHERE t.transaction_id = pending_lines.transaction_id AND ledger.may_read(t.tenant, NULL)));
CREATE POLICY readers ON ledger.transaction_events
    USING ((SELECT ledger.may_read_everything()) OR EXISTS (
        SELECT FROM ledger.transactions t WHERE t.transaction_id = transaction_events.transaction_id));
CREATE POLICY readers ON ledger.reader_limits USING ((SELECT ledger.may_read_everything()));
CREATE POLICY readers ON ledger.audit_log USING ((SELECT ledger.may_read_everything()));

CREATE SCHEMA reports;
COMMENT ON SCHEMA reports IS 'Tables and views of the operator''s own.';

-- Creates the roles, and gives each what it may: for everything in the schema, so that a later migration
-- only has to call it again.
CREATE PROCEDURE ledger.secure() LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role    text;
    item    record;
    changed CONSTANT text := 'ledger.assets, ledger.parties, ledger.wallets, ledger.accounts, ledger.reader_limits';
BEGIN
    FOREACH role IN ARRAY ARRAY['ledger_owner', 'app_admin', 'app_readwrite', 'app_readonly'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- Another database of this server was migrated meanwhile.
            END;
        END IF;
    END LOOP;
    -- Whoever runs the migrations, and the indexer, owns the index.
    FOR item IN
        SELECT current_user AS name UNION SELECT pg_get_userbyid(relowner) FROM pg_class
        WHERE oid = 'public.chain'::regclass
    LOOP
        IF NOT pg_has_role(item.name, 'ledger_owner', 'MEMBER') THEN
            EXECUTE format('GRANT ledger_owner TO %I', item.name);
        END IF;
    END LOOP;
    REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
    GRANT USAGE ON SCHEMA ledger TO app_admin, app_readwrite, app_readonly;
    GRANT USAGE, CREATE ON SCHEMA reports TO app_admin;
    GRANT USAGE ON SCHEMA reports TO app_readonly;
    GRANT USAGE, CREATE ON SCHEMA ledger TO ledger_owner;
    GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO app_admin, app_readonly;
    EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO app_admin', changed);
    REVOKE ALL ON ALL ROUTINES IN SCHEMA ledger FROM PUBLIC;
    FOR item IN
        SELECT oid::regprocedure AS name, prokind, prosecdef FROM pg_proc
        WHERE pronamespace = 'ledger'::regnamespace ORDER BY oid
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO ledger_owner', item.name);
    END LOOP;
    -- Calls from outside are the functions that run as the owner, triggers left out.
    FOR item IN
        SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = 'ledger'::regnamespace AND prosecdef AND prorettype <> 'trigger'::regtype
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO app_admin, app_readwrite', item.name);
    END LOOP;
    GRANT EXECUTE ON FUNCTION ledger.may_read, ledger.may_read_everything, ledger.status_of, ledger.exact_units
        TO app_admin, app_readonly;
    ALTER DOMAIN ledger.amount OWNER TO ledger_owner;
    ALTER TYPE ledger.side OWNER TO ledger_owner;
    ALTER TYPE ledger.posting OWNER TO ledger_owner;
    ALTER SCHEMA ledger OWNER TO ledger_owner;
    FOR item IN
        SELECT c.oid::regclass AS name FROM pg_class c
        WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'v')
          AND relowner <> 'ledger_owner'::regrole ORDER BY c.oid
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO ledger_owner', item.name);
    END LOOP;
END
$$;

CREATE PROCEDURE ledger.secure_if_allowed() LANGUAGE plpgsql AS $$
BEGIN
    CALL ledger.secure();
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'the ledger''s roles were not set up: %; call ledger.secure() as somebody who may create roles', SQLERRM;
END
$$;
CALL ledger.secure_if_allowed();
